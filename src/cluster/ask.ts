/** Asks a worker, and follows its answer while the worker lives. */
import { checkInteger, checkObject, checkSignal, checkString, sentence } from "../base/check.ts";
import { ANSWER_VERSION, readAnswer } from "./answer_protocol.ts";
import { checkCluster, type Cluster, MAX_BYTES, mostOf, natsOf, subjectOf } from "./cluster.ts";
import { WorkerLostError } from "./errors.ts";
import { errorOf } from "./failure.ts";
import { Inbox } from "./inbox.ts";
import { decodeJson, encodeGiven } from "./message.ts";
import { checkPatience, nextFrom, type Patience } from "./next_message.ts";

const ACTION = "ask a worker";

/** The worker that is asked, and how long its silence is borne. */
export interface AskOptions extends Patience {
  /** The name of the service. */
  name: string;
  /** The worker's own name among those of the service. */
  worker: string;
  /** The model, as {@linkcode modelFingerprint} gives it. */
  fingerprint: string;
  /** Ends the answer: no error is thrown, nothing more comes, and the worker is told. */
  signal?: AbortSignal;
  /** Most bytes of a message of the answer. The default is 1 MiB. */
  maxBytes?: number;
}

/**
 * Asks a worker for an answer and yields its items as they come, each once and in order.
 *
 * @param cluster Where the worker is.
 * @param options The worker, and how long its silence is borne.
 * @param request What the service reads, as JSON.
 * @returns Portions of the answer: the items that came in one message.
 * @throws {NoWorkerError} If nobody has the worker's name.
 * @throws {WorkerLostError} If the worker ends, loses a message, or is silent for too long.
 * @throws {WorkerBusyError} If it has no room.
 * @throws {MessageError} If it says what is not of the protocol.
 * @throws {TypeError | RangeError} If it refuses the request, or no message can hold it.
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
  checkCluster(ACTION, cluster);
  checkObject(ACTION, "options", options);
  const { name, worker, fingerprint, signal, maxBytes = MAX_BYTES } = options;
  checkPatience(ACTION, options);
  checkString(ACTION, "fingerprint", fingerprint);
  checkInteger(ACTION, "maxBytes", maxBytes);
  if (signal !== undefined) checkSignal(ACTION, signal);
  const asked = encodeGiven(ACTION, ["request", request], { version: ANSWER_VERSION, fingerprint });
  const connection = natsOf(cluster);
  const subject = subjectOf(cluster, name, worker);
  if (signal?.aborted) return;
  const most = mostOf(cluster, MAX_BYTES);
  if (asked.length > most) {
    const rule = "the request must fit a message";
    throw new RangeError(sentence(ACTION, rule, { bytes: asked.length, most }));
  }
  const inbox = new Inbox(connection);
  const close = () => inbox.close();
  signal?.addEventListener("abort", close);
  try {
    connection.publish(subject, asked, { reply: inbox.subject });
    let [count, isTaken] = [0, false];
    while (true) {
      const bytes = await nextFrom(cluster, { inbox, subject, isTaken, ...options });
      if (!bytes) return;
      isTaken = true;
      const message = readAnswer(decodeJson(bytes, maxBytes));
      if (message.kind === "failed") throw errorOf(message, `Worker ${worker}`);
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
