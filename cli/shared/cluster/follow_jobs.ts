/** Jobs of a command, from the name of their run to their outcomes. */
import { type JobOutcome, type JobQueue, NoWorkerError } from "../../../src/cluster/mod.ts";

/** Milliseconds between two looks at who is there. */
const LOOK = 250;
/** Milliseconds between two looks whether outcomes can still come. */
const COUNT = 1000;
/** Milliseconds in which a worker may come that was not there when all else was done. */
const ABSENCE = 2000;
/** Jobs that are added at a time. */
const TOGETHER = 64;

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

/** What {@linkcode haveJobsDone} asks of a command. */
export interface JobsOptions extends WaitOptions {
  /** Adds a job to a run: false if it was there, and undefined where nobody waits for it. */
  add: (run: string, id: string) => Promise<boolean | undefined>;
  /** Takes the outcome of a job; true has a job done again that an earlier call added. */
  onOutcome: (outcome: JobOutcome, isKnown: boolean) => boolean | void | Promise<boolean | void>;
  /** Told how many jobs were asked for before, and how many of them are done again. */
  error: (sentence: string) => void;
}

/** When {@linkcode isWorkedOn} takes nobody to be there. */
export interface AbsenceOptions {
  /** What workers may do first. */
  others: Promise<void>;
  /** Milliseconds behind it for which one that is there may be silent: its thread may wait for a GPU. */
  wait: number;
  /** Milliseconds behind it in which one may come. */
  absence?: number;
}

/** Whether somebody works on a queue. Of who is too busy to answer the server knows, as it does of workers of other models. */
export async function isWorkedOn(
  queue: JobQueue,
  { others, wait, absence = ABSENCE }: AbsenceOptions,
): Promise<boolean> {
  const workers = await queue.workers();
  try {
    if (workers.count === 0) await others;
    const start = performance.now();
    const isOver = () => performance.now() - start >= (workers.isDeserted ? absence : wait);
    while (workers.count === 0 && !isOver()) await workers.refreshed();
    return workers.count > 0;
  } finally {
    workers.close();
  }
}

/**
 * Adds jobs and hands over their outcomes. Jobs of an earlier call whose outcomes are refused, or gone, are added again, in a run
 * of another name: the server takes a job of a run once.
 *
 * @throws {NoWorkerError} If nobody is there for too long.
 * @throws {Error} If a job that was added now is gone without an outcome, or the connection is closed for good.
 */
export async function haveJobsDone(
  queue: JobQueue,
  run: string,
  ids: readonly string[],
  { add, onOutcome, error, ...wait }: JobsOptions,
): Promise<void> {
  let left = ids;
  for (let attempt = 1; left.length > 0; attempt++) {
    const name = attempt === 1 ? run : `${run}-${attempt}`;
    if (attempt > 1) error(`Asked for again, as earlier results cannot be used: ${left.length}`);
    const [waiting, known] = [new Set<string>(), new Set<string>()];
    for (let i = 0; i < left.length; i += TOGETHER) {
      await Promise.all(
        left.slice(i, i + TOGETHER).map(async (id) => {
          const isNew = await add(name, id);
          if (isNew === false) known.add(id);
          if (isNew !== undefined) waiting.add(id);
        }),
      );
    }
    if (attempt === 1 && known.size > 0) {
      error(`Asked for before, within a day: ${known.size} of ${ids.length} jobs`);
    }
    const again: string[] = [];
    await followJobs(queue, name, waiting, async (outcome) => {
      if (await onOutcome(outcome, known.has(outcome.id))) again.push(outcome.id);
    }, wait);
    const gone = [...waiting].filter((id) => !known.has(id)).length;
    if (gone > 0) {
      throw new Error(
        "Cannot finish as the server has neither jobs nor results that were just added " +
          `(was a stream purged, or are workers of another version?): jobs gone ${gone}`,
      );
    }
    left = [...again, ...waiting];
  }
}

/**
 * Hands over the outcome of each job of a run that is waited for, once. Others are left out: those of an earlier call. Jobs whose
 * outcomes cannot come any more are left in `waiting`.
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
  const end = new AbortController();
  /** Ids of all outcomes that came. */
  const came = new Set<string>();
  let seen = performance.now();
  const timer = setInterval(() => {
    if (workers.list().length > 0) seen = performance.now();
    else if (performance.now() - seen > wait) absence.abort();
  }, Math.min(LOOK, wait));
  const counting = setInterval(() => {
    queue.count(run).then(({ jobs, outcomes }) => {
      if (jobs === 0 && came.size >= outcomes) end.abort();
    }, () => {/* A server that does not answer is asked again. */});
  }, COUNT);
  try {
    const signal = AbortSignal.any([absence.signal, end.signal]);
    for await (const outcome of queue.outcomes(run, { signal })) {
      seen = performance.now();
      came.add(outcome.id);
      if (!waiting.delete(outcome.id)) continue;
      await onOutcome(outcome);
      if (waiting.size === 0) return;
    }
    if (end.signal.aborted) return;
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
    clearInterval(counting);
    workers.close();
  }
}
