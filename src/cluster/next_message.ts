/** Waits for a worker's next message while the worker lives. */
import { checkInteger } from "../base/check.ts";
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

/** What came of the question whether a worker still works for an inbox. */
type Probed = "working" | "idle" | "absent" | "silent";

/** Throws unless the silence that is borne is a number of milliseconds. */
export function checkPatience(action: string, { silence, patience }: Patience): void {
  for (const [name, value] of Object.entries({ silence, patience })) {
    if (value !== undefined) checkInteger(action, name, value);
  }
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
  // Its waits are counted, and not the clock: what comes while this thread computes is heard by a later wait.
  let left = patience;
  while (true) {
    const wait = Math.min(silence, left);
    let message = await inbox.next(wait);
    let probed: Probed = "working";
    if (!message && !signal?.aborted) {
      left -= wait;
      if (left > 0) {
        const timeout = Math.min(silence, left);
        probed = await probe(cluster, subject, inbox.subject, timeout);
        if (probed === "silent") left -= timeout;
      }
      // What it said before it answered or ended, or while this thread computed, is there already.
      message = await inbox.next(0);
    }
    // What came before the signal is not wanted any more.
    if (signal?.aborted) return undefined;
    if (message?.headers?.code === NO_RESPONDERS) {
      throw absent("nobody has its subject");
    }
    if (message) return message.data;
    if (probed === "absent") throw isTaken ? lost("it ended") : absent("it ended");
    if (probed === "idle") throw lost("it does not know the request any more");
    if (left <= 0) throw lost(`it said nothing for ${patience} ms`);
  }
}

/** Asks a worker whether it still works for an inbox. One whose thread computes is silent, and may still live. */
async function probe(
  cluster: Cluster,
  subject: string,
  inbox: string,
  timeout: number,
): Promise<Probed> {
  try {
    const said = await natsOf(cluster).request(`${subject}.probe`, inbox, { timeout });
    return said.string() === "true" ? "working" : "idle";
  } catch (error) {
    if ((error as RequestError).cause instanceof NoRespondersError) return "absent";
    if ((error as Error).name === "TimeoutError") return "silent";
    throw error;
  }
}
