/** Jobs of a command, from the name of their run to their outcomes. */
import { type JobOutcome, type JobQueue, NoWorkerError } from "../../../src/cluster/mod.ts";

/** Milliseconds between two looks at who is there. */
const LOOK = 250;

/** A word that stands for all that results depend on: a later call of a command finds its results by it. */
export async function runNameOf(...values: readonly unknown[]): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(values));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** How long nobody may be there who does the jobs. */
export interface WaitOptions {
  /** Milliseconds without a worker. The default is any number of them. */
  wait?: number;
  /** What starts a worker, for the message. */
  cure?: string;
}

/**
 * Hands over the outcome of each job of a run that is waited for, once. Others are left out: those of an earlier call.
 *
 * @throws {NoWorkerError} If nobody is there for too long.
 * @throws {Error} If the connection is closed for good.
 */
export async function followJobs(
  queue: JobQueue,
  run: string,
  waiting: Set<string>,
  onOutcome: (outcome: JobOutcome) => void | Promise<void>,
  { wait = Infinity, cure }: WaitOptions = {},
): Promise<void> {
  if (waiting.size === 0) return;
  const workers = await queue.workers();
  const absence = new AbortController();
  let seen = performance.now();
  const timer = setInterval(() => {
    if (workers.list().length > 0) seen = performance.now();
    else if (performance.now() - seen > wait) absence.abort();
  }, Math.min(LOOK, wait));
  try {
    for await (const outcome of queue.outcomes(run, absence)) {
      seen = performance.now();
      if (!waiting.delete(outcome.id)) continue;
      await onOutcome(outcome);
      if (waiting.size === 0) return;
    }
    if (!absence.signal.aborted) {
      throw new Error(
        "Cannot finish as the connection to the NATS server was closed for good: " +
          `jobs left ${waiting.size}`,
      );
    }
    throw new NoWorkerError(
      `Cannot finish as no worker took jobs for ${wait / 1000} s (start one: ${cure}): ` +
        `jobs left ${waiting.size}, workers of other models or versions ${workers.others}`,
    );
  } finally {
    clearInterval(timer);
    workers.close();
  }
}
