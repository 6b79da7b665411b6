/** Asks a worker, and follows its answer while the worker lives. */
import { NoRespondersError, type RequestError } from "@nats-io/transport-node";
import { ANSWER_VERSION, type AnswerMessage, readAnswer } from "./answer_protocol.ts";
import { type Cluster, MAX_BYTES, natsOf, subjectOf } from "./cluster.ts";
import { NoWorkerError, WorkerBusyError, WorkerLostError } from "./errors.ts";
import { Inbox } from "./inbox.ts";
import { decodeJson, encodeJson } from "./message.ts";

/** The worker that is asked, and how long its silence is borne. */
export interface AskOptions {
  /** The name of the service. */
  name: string;
  /** The worker's own name among those of the service. */
  worker: string;
  /** The model, as {@linkcode modelFingerprint} gives it. */
  fingerprint: string;
  /** Ends the answer: no error is thrown, nothing more comes, and the worker is told. */
  signal?: AbortSignal;
  /** Milliseconds of silence after which the server is asked whether the worker is still there. The default is 1500. */
  silence?: number;
  /** Milliseconds of silence after which a worker counts as lost that is there. The default is 30,000. */
  patience?: number;
  /** Most bytes of a message of the answer. The default is 1 MiB. */
  maxBytes?: number;
}

/** The status that a NATS server answers with where nobody has a subject. */
const NO_RESPONDERS = 503;

/**
 * Asks a worker for an answer and yields its items as they come, each once and in order.
 *
 * @param cluster Where the worker is.
 * @param options The worker, and how long its silence is borne.
 * @param request What the service reads, as JSON.
 * @throws {NoWorkerError} If nobody has the worker's name.
 * @throws {WorkerLostError} If the worker ends, loses a message, or is silent for too long.
 * @throws {WorkerBusyError} If it has no room.
 * @throws {MessageError} If it says what is not of the protocol.
 * @throws {TypeError | RangeError} If it refuses the request.
 *
 * @example
 * ```ts
 * import { ask, type Cluster } from "@onehead/attention/cluster";
 *
 * async function collect(cluster: Cluster, worker: string) {
 *   const items: unknown[] = [];
 *   const options = { name: "count", worker, fingerprint: "none" };
 *   for await (const part of ask(cluster, options, "to three")) items.push(...part);
 *   return items;
 * }
 * console.log(typeof collect); // AnswerService has the worker of this example
 * ```
 */
export async function* ask(
  cluster: Cluster,
  options: AskOptions,
  request: unknown,
): AsyncGenerator<readonly unknown[], void, undefined> {
  const { name, worker, fingerprint, signal, maxBytes = MAX_BYTES } = options;
  const connection = natsOf(cluster);
  const subject = subjectOf(cluster, name, worker);
  if (signal?.aborted) return;
  const inbox = new Inbox(connection);
  const close = () => inbox.close();
  signal?.addEventListener("abort", close);
  try {
    const asked = { version: ANSWER_VERSION, fingerprint, request };
    connection.publish(subject, encodeJson(asked), { reply: inbox.subject });
    let count = 0;
    while (true) {
      const bytes = await nextOf(inbox, subject, cluster, options);
      if (!bytes) return;
      const message = readAnswer(decodeJson(bytes, maxBytes));
      if (message.kind === "failed") throw errorOf(message, worker);
      const said = message.kind === "items"
        ? message.from
        : message.kind === "end" && message.count;
      if (said !== false && said !== count) {
        throw new WorkerLostError(`Worker ${worker} was lost: of ${said} items ${count} came`);
      }
      if (message.kind === "end") return;
      if (message.kind !== "items") continue;
      count += message.items.length;
      yield message.items;
    }
  } finally {
    signal?.removeEventListener("abort", close);
    inbox.close();
  }
}

/** The bytes of the next message; undefined where the asker closed the inbox. */
async function nextOf(
  inbox: Inbox,
  subject: string,
  cluster: Cluster,
  { worker, signal, silence = 1500, patience = 30_000 }: AskOptions,
): Promise<Uint8Array | undefined> {
  const lost = (why: string) => new WorkerLostError(`Worker ${worker} was lost: ${why}`);
  const end = performance.now() + patience;
  while (true) {
    const message = await inbox.next(Math.max(1, Math.min(silence, end - performance.now())));
    if (message?.headers?.code === NO_RESPONDERS) {
      throw new NoWorkerError(`There is no worker ${worker}: nobody has its subject`);
    }
    if (message) return message.data;
    if (signal?.aborted) return undefined;
    if (performance.now() >= end) throw lost(`it said nothing for ${patience} ms`);
    try {
      const timeout = Math.max(1, Math.min(silence, end - performance.now()));
      const said = await natsOf(cluster).request(`${subject}.probe`, inbox.subject, { timeout });
      // What it said before this is there already.
      const last = await inbox.next(0);
      if (last) return last.data;
      if (said.string() !== "true") throw lost("it does not know the request any more");
    } catch (error) {
      if (error instanceof WorkerLostError) throw error;
      if ((error as RequestError).cause instanceof NoRespondersError) throw lost("it ended");
      // A worker whose thread computes does not answer in time, and may still live.
      if ((error as Error).name !== "TimeoutError") throw error;
    }
  }
}

function errorOf(
  { failure, message }: Extract<AnswerMessage, { kind: "failed" }>,
  worker: string,
): Error {
  if (failure === "busy") return new WorkerBusyError(message);
  if (failure === "lost") return new WorkerLostError(`Worker ${worker} was lost: ${message}`);
  if (failure === "TypeError") return new TypeError(message);
  return failure === "RangeError" ? new RangeError(message) : new Error(message);
}
