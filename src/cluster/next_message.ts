/** Waits for a worker's next message while the worker lives. */
import { NoRespondersError, type RequestError } from "@nats-io/transport-node";
import { type Cluster, natsOf } from "./cluster.ts";
import { NoWorkerError, WorkerLostError } from "./errors.ts";
import type { Inbox } from "./inbox.ts";

/** How long the silence of a worker is borne. */
export interface Patience {
  /** Milliseconds of silence after which the server is asked whether the worker is still there. The default is 1500. */
  silence?: number;
  /** Milliseconds of silence after which a worker counts as lost that is there. The default is 30,000. */
  patience?: number;
}

/** The status that a NATS server answers with where nobody has a subject. */
const NO_RESPONDERS = 503;

/**
 * The bytes of the next message to an inbox; undefined where the signal closed the inbox.
 *
 * At the subject's `.probe` the worker says whether it still works for the inbox.
 *
 * @throws {NoWorkerError} If nobody has the subject, or nobody had when the request came.
 * @throws {WorkerLostError} If the worker ends, forgot the inbox, or is silent for too long.
 */
export async function nextFrom(
  cluster: Cluster,
  { inbox, worker, subject, isTaken, signal, silence = 1500, patience = 30_000 }: Patience & {
    inbox: Inbox;
    worker: string;
    subject: string;
    /** Whether the worker said that it took the request: if not, it had ended before. */
    isTaken: boolean;
    signal?: AbortSignal;
  },
): Promise<Uint8Array | undefined> {
  const lost = (why: string) => new WorkerLostError(`Worker ${worker} was lost: ${why}`);
  const absent = (why: string) => new NoWorkerError(`There is no worker ${worker}: ${why}`);
  const end = performance.now() + patience;
  while (true) {
    const message = await inbox.next(Math.max(1, Math.min(silence, end - performance.now())));
    // What came before the signal is not wanted any more.
    if (signal?.aborted) return undefined;
    if (message?.headers?.code === NO_RESPONDERS) {
      throw absent("nobody has its subject");
    }
    if (message) return message.data;
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
      if ((error as RequestError).cause instanceof NoRespondersError) {
        throw isTaken ? lost("it ended") : absent("it ended");
      }
      // A worker whose thread computes does not answer in time, and may still live.
      if ((error as Error).name !== "TimeoutError") throw error;
    }
  }
}
