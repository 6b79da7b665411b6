/** A queue of jobs that outlives whoever works on them, on JetStream. */
import {
  AckPolicy,
  type Consumer,
  DeliverPolicy,
  DiscardPolicy,
  jetstream,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstreamManager,
  type JsMsg,
  RetentionPolicy,
  type StreamConfig,
} from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import {
  checkFunction,
  checkInteger,
  checkObject,
  checkSignal,
  checkString,
  sentence,
} from "../base/check.ts";
import { cutMessage } from "../base/excerpt.ts";
import { checkServed } from "./check_served.ts";
import {
  checkCluster,
  type Cluster,
  isWord,
  MAX_BYTES,
  mostOf,
  nameOf,
  natsOf,
  subjectOf,
} from "./cluster.ts";
import { delay } from "./delay.ts";
import { JobNotTakenError, MessageError } from "./errors.ts";
import { decodeJson, encodeGiven, encodeJson } from "./message.ts";
import { servicesOf } from "./services.ts";
import { Workers } from "./workers.ts";

/** Options of {@linkcode JobQueue.open}. */
export interface JobQueueOptions {
  /** What the jobs are, a word. */
  name: string;
  /** The model, as {@linkcode modelFingerprint} gives it: workers of other models do not get the jobs. */
  fingerprint: string;
  /** Most results that the server keeps, set by who opens the queue first; then jobs wait. The default is a million. */
  maxResults?: number;
}

/** Options of {@linkcode JobQueue.work}. */
export interface JobWorkOptions {
  /** Ends the work. */
  signal: AbortSignal;
  /** Milliseconds after which the jobs of a silent worker go to others, the same for all workers. The default is 30,000. */
  patience?: number;
  /** Whether another job can be begun. The default is always. */
  hasRoom?: () => boolean;
  /** Told, in a sentence, why a job was given back or a result waits. The default is `console.warn`. */
  warn?: (sentence: string) => void;
}

/** The outcome of a job. */
export type JobOutcome =
  | { id: string; result: unknown }
  /** Why there is no result, and will be none. */
  | { id: string; dead: string };

/** A job as it is sent. */
interface Job {
  run: string;
  id: string;
  job: unknown;
}

const OPEN = "open a queue of jobs";
const WORK = "work on a queue of jobs";
/** Times that a job is given to a worker. */
const MOST_DELIVERIES = 3;
/** Why a job is dead that was given out so often. The server counts deliveries: a worker that stalls gets its own job again. */
const NO_RESULT =
  `it was given out ${MOST_DELIVERIES} times, and each time its worker ended, failed or was silent for too long`;
/** Milliseconds in which a job or a result that is sent twice is kept once, and results are kept: a day. */
const KEPT = 24 * 60 * 60 * 1000;
/** Milliseconds until a result is offered again that the server could not take. */
const AGAIN = 1000;
/** Times that a job is sent to a server that does not answer. */
const MOST_TRIES = 3;
/**
 * Milliseconds between two signs of life of the server to who waits for outcomes: two that do not come, as after it started anew,
 * and outcomes are asked for again from the last one on.
 */
const HEARTBEAT = 2000;
/** Milliseconds for which the server holds a question for a job: the least that it takes. */
const HELD = 1000;
/** The server's code for a stream that is not there. */
const NOT_FOUND = JetStreamApiCodes.StreamNotFound;
/** Bytes of the headers of a message beside its id, at most. */
const HEADERS = 64;
/** Most characters of an id: its header, of up to nine bytes a character, leaves a message room for an outcome. */
const LONGEST_ID = 1000;
/** Milliseconds between two looks whether there is room for a job. */
const LOOK = 25;

/**
 * Jobs, each done once: the server keeps a job until its result is stored, gives it to another worker when its own is lost, and
 * keeps the first result of those that two workers may send. A job that is given out three times without a result is dead: its
 * outcome is the reason, at the subject `prefix.name.results.RUN.dead`, where that of a job that was done is at `.done`. A worker
 * that is silent for too long may be given its own job again, and that counts, too.
 *
 * @example Double numbers
 * ```ts
 * import { connect, JobQueue } from "@onehead/attention/cluster";
 *
 * async function double(servers: string, numbers: readonly number[]) {
 *   const cluster = { connection: await connect({ servers }), prefix: "example" };
 *   const queue = await JobQueue.open(cluster, { name: "doubles", fingerprint: "none" });
 *   const working = new AbortController();
 *   const work = queue.work((number) => Promise.resolve(2 * Number(number)), {
 *     signal: working.signal,
 *   });
 *   for (const [i, number] of numbers.entries()) await queue.add("run1", `${i}`, number);
 *   const results: unknown[] = [];
 *   for await (const outcome of queue.outcomes("run1")) {
 *     results.push("result" in outcome ? outcome.result : outcome.dead);
 *     if (results.length === numbers.length) break;
 *   }
 *   working.abort();
 *   await work;
 *   await cluster.connection.close();
 *   return results;
 * }
 * console.log(typeof double); // double("nats://127.0.0.1:4222", [1, 2]), where a nats-server has JetStream
 * ```
 */
export class JobQueue {
  readonly #cluster: Cluster;
  readonly #options: JobQueueOptions;
  readonly #client: JetStreamClient;

  private constructor(cluster: Cluster, options: JobQueueOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.#client = jetstream(natsOf(cluster));
  }

  /**
   * Opens a queue, and makes it where it is not there.
   *
   * @param cluster The server that keeps it.
   * @param options What the jobs are, and the model that they are of.
   * @returns The queue; it holds nothing that would have to be closed.
   * @throws {RangeError} If the server has no JetStream, the account may not use it, or a name is no word.
   */
  static async open(cluster: Cluster, options: JobQueueOptions): Promise<JobQueue> {
    checkCluster(OPEN, cluster);
    checkObject(OPEN, "options", options);
    const { name, fingerprint, maxResults = 1e6 } = options;
    checkString(OPEN, "fingerprint", fingerprint);
    checkInteger(OPEN, "maxResults", maxResults);
    const stream = (what: string) => nameOf(cluster, name, what);
    const window = { duplicate_window: nanos(KEPT) };
    try {
      const manager = await jetstreamManager(natsOf(cluster));
      await makeStream(manager, {
        ...{ name: stream("jobs"), subjects: [`${subjectOf(cluster, name, "jobs")}.>`] },
        ...{ retention: RetentionPolicy.Workqueue, ...window },
      });
      await makeStream(manager, {
        ...{ name: stream("results"), subjects: [`${subjectOf(cluster, name, "results")}.>`] },
        ...{ retention: RetentionPolicy.Limits, discard: DiscardPolicy.New, ...window },
        // Not max_bytes: it leaves out what a message takes beyond its own bytes, and a server then drops the oldest result.
        ...{ max_age: nanos(KEPT), max_msgs: maxResults },
      });
      return new JobQueue(cluster, options);
    } catch (error) {
      if (error instanceof RangeError) throw error;
      throw new RangeError(
        sentence(OPEN, "the NATS server must have JetStream (nats-server --jetstream)", { error }),
      );
    }
  }

  /**
   * Adds a job, which the server has then.
   *
   * @param run The jobs that belong together, a word: their outcomes come together.
   * @param id The job among them, any text of up to 1,000 characters.
   * @param job What workers get, as JSON.
   * @returns False if the same job was added before, within a day. It is true where the server's word was lost and the job was
   *   sent again.
   * @throws {RangeError} If no message can hold the job, `run` is no word, or `id` has a lone surrogate or more than 1,000
   *   characters.
   * @throws {JobNotTakenError} If the server does not take it, as where its disk is full. It may be added again.
   */
  async add(run: string, id: string, job: unknown): Promise<boolean> {
    const { name, fingerprint } = this.#options;
    subjectOf(this.#cluster, run);
    checkString("add a job", "id", id);
    const bytes = encodeGiven("add a job", ["job", job], { run, id } satisfies Omit<Job, "job">);
    if (!isId(id)) {
      const most = LONGEST_ID;
      const rule = "its id must have no lone surrogate, and few enough characters";
      throw new RangeError(sentence("add a job", rule, { id, characters: id.length, most }));
    }
    const msgID = messageId(run, id);
    const most = this.#most(msgID);
    if (bytes.length > most) {
      throw new RangeError(
        sentence("add a job", "it must fit a message", { id, bytes: bytes.length, most }),
      );
    }
    const subject = subjectOf(this.#cluster, name, "jobs", fingerprint);
    for (let tries = 1;; tries++) {
      try {
        const { duplicate } = await this.#client.publish(subject, bytes, { msgID });
        // A try whose acknowledgement was lost may have added it.
        return !duplicate || tries > 1;
      } catch (error) {
        // What was sent while the connection was broken is gone, and what came twice is kept once.
        if ((error as Error).name === "TimeoutError" && tries < MOST_TRIES) continue;
        const rule = "the NATS server must take it (its log says more), with room on its disk";
        throw new JobNotTakenError(sentence("add a job", rule, { id, error }));
      }
    }
  }

  /**
   * Checks that the server has room for the results of a run. Without room nothing is lost: jobs and their workers wait for it.
   *
   * @param run The jobs that belong together, a word.
   * @param results How many it has in all, with those that are there.
   * @throws {RangeError} If the stream of results is too full for them, or `run` is no word; the message names the stream, and has
   *   how many results of other runs it keeps.
   */
  async checkRoom(run: string, results: number): Promise<void> {
    const { name } = this.#options;
    subjectOf(this.#cluster, run);
    checkInteger("add jobs", "results", results, 0);
    const stream = nameOf(this.#cluster, name, "results");
    const manager = await jetstreamManager(natsOf(this.#cluster));
    const { config: { max_msgs: most }, state: { messages, subjects } } = await manager.streams
      .info(stream, { subjects_filter: `${subjectOf(this.#cluster, name, "results", run)}.*` });
    const kept = messages - sumOf(subjects);
    // The server has -1 for a stream that anything fits.
    if (most < 0 || kept + results <= most) return;
    const rule =
      "the stream of results must have room for them (nats stream purge empties it, of " +
      "the results of all that was done before, too)";
    throw new RangeError(sentence("add jobs", rule, { stream, results, kept, most }));
  }

  /**
   * Counts the jobs of the model that are left, of all runs, and then the outcomes of a run that are kept: where no job is left, no
   * more come.
   *
   * @param run The jobs that belong together, a word.
   * @returns The two numbers, as of now.
   */
  async count(run: string): Promise<{ jobs: number; outcomes: number }> {
    const { name, fingerprint } = this.#options;
    subjectOf(this.#cluster, run);
    const manager = await jetstreamManager(natsOf(this.#cluster));
    const countOf = async (what: string, of: string) => {
      const options = { subjects_filter: subjectOf(this.#cluster, name, what) + of };
      const { state } = await manager.streams.info(nameOf(this.#cluster, name, what), options);
      return sumOf(state.subjects);
    };
    const jobs = await countOf("jobs", `.${fingerprint}`);
    return { jobs, outcomes: await countOf("results", `.${run}.*`) };
  }

  /**
   * Follows who is within {@linkcode JobQueue.work} on jobs of the model.
   *
   * @returns The workers, until the caller closes it.
   */
  async workers(): Promise<Workers<true>> {
    const { fingerprint } = this.#options;
    const options = { name: this.#service, fingerprint, readState: () => true as const };
    return await Workers.open(this.#cluster, options);
  }

  /**
   * Yields the outcomes of a run, those that are there already first; it ends with its reader, or by the signal. An outcome
   * comes twice only where a worker was taken for lost for more than a day.
   *
   * @param run The jobs that belong together, a word.
   * @param options The signal that ends it.
   * @returns Outcomes in the order in which they were stored: results, and jobs that have none.
   * @throws {MessageError} If what is stored is no outcome.
   */
  async *outcomes(
    run: string,
    options: { signal?: AbortSignal } = {},
  ): AsyncGenerator<JobOutcome, void, undefined> {
    const action = "read outcomes of jobs";
    checkObject(action, "options", options);
    const { signal } = options;
    if (signal !== undefined) checkSignal(action, signal);
    const { name } = this.#options;
    const consumer = await this.#client.consumers.get(nameOf(this.#cluster, name, "results"), {
      filter_subjects: `${subjectOf(this.#cluster, name, "results", run)}.*`,
      deliver_policy: DeliverPolicy.All,
    });
    const messages = await consumer.consume({ idle_heartbeat: HEARTBEAT });
    const end = () => void messages.close();
    signal?.addEventListener("abort", end);
    if (signal?.aborted) end();
    try {
      for await (const message of messages) yield readOutcome(decodeJson(message.data, MAX_BYTES));
    } finally {
      signal?.removeEventListener("abort", end);
      await messages.close();
    }
  }

  /**
   * Does jobs until the signal, then finishes those that were begun. A job is acknowledged when its result is stored.
   *
   * @param perform Does a job, which it checks, and returns its result as JSON, `null` for none. A `TypeError`, a `RangeError` or a
   *   {@linkcode MessageError} that it throws is the job's outcome; after any other error the job is given out again, three
   *   times in all.
   * @param options When to end, whether there is room for another job, and who is told what went wrong.
   * @throws {RangeError} If the server refuses to hand out jobs, or to let this worker be found: none was begun.
   */
  async work(
    perform: (job: unknown) => Promise<unknown>,
    options: JobWorkOptions,
  ): Promise<void> {
    checkFunction(WORK, "perform", perform);
    checkObject(WORK, "options", options);
    const { signal, patience = 30_000, hasRoom = () => true, warn = console.warn } = options;
    checkSignal(WORK, signal);
    checkInteger(WORK, "patience", patience);
    checkFunction(WORK, "hasRoom", hasRoom);
    checkFunction(WORK, "warn", warn);
    const consumer = await this.#consumer(patience);
    const leave = await this.#announce();
    /** The jobs under way, by their numbers in the stream. */
    const begun = new Map<number, Promise<void>>();
    try {
      while (!signal.aborted) {
        if (!hasRoom()) {
          await delay(LOOK);
          continue;
        }
        try {
          const message = await consumer.next({ expires: HELD });
          // One that is under way here comes again where this thread was too busy to say so: it is done once.
          if (!message || begun.has(message.seq)) continue;
          const done = this.#perform(message, perform, { signal, patience, warn })
            .finally(() => begun.delete(message.seq));
          begun.set(message.seq, done);
        } catch (error) {
          if (natsOf(this.#cluster).isClosed()) break;
          warn(`No jobs come: ${error}`);
          await delay(AGAIN);
        }
      }
      await Promise.all(begun.values());
    } finally {
      await leave();
    }
  }

  /** The name of the service by which workers are found. */
  get #service(): string {
    return `${this.#options.name}-jobs`;
  }

  /** Lets {@linkcode JobQueue.workers} find this worker, until it leaves. */
  async #announce(): Promise<() => Promise<void>> {
    const service = await servicesOf(this.#cluster).add({
      name: nameOf(this.#cluster, this.#service),
      version: "1.0.0",
      metadata: { fingerprint: this.#options.fingerprint },
    });
    await checkServed(WORK, this.#cluster, service);
    return async () => {
      // Whose connection is closed is found no more.
      if (!natsOf(this.#cluster).isClosed()) await service.stop();
    };
  }

  /** The server's list of the jobs of the model that are left, which all workers share. */
  async #consumer(patience: number): Promise<Consumer> {
    const { name, fingerprint } = this.#options;
    try {
      const manager = await jetstreamManager(natsOf(this.#cluster));
      const consumer = await manager.consumers.add(nameOf(this.#cluster, name, "jobs"), {
        durable_name: fingerprint,
        filter_subject: subjectOf(this.#cluster, name, "jobs", fingerprint),
        ack_policy: AckPolicy.Explicit,
        ack_wait: nanos(patience),
      });
      return this.#client.consumers.getConsumerFromInfo(consumer);
    } catch (error) {
      const rule = "the server must have it, and let this account make a consumer of it";
      throw new RangeError(sentence(WORK, rule, { name, patience, error }));
    }
  }

  async #perform(
    message: JsMsg,
    perform: (job: unknown) => Promise<unknown>,
    { signal, patience, warn }: Omit<Required<JobWorkOptions>, "hasRoom">,
  ): Promise<void> {
    const alive = setInterval(() => message.working(), patience / 3);
    try {
      const { run, id, job } = readJob(decodeJson(message.data, MAX_BYTES));
      const { deliveryCount } = message.info;
      // A worker that was only silent may still have a result: it has as long again to store it, and what is stored first counts.
      if (deliveryCount === MOST_DELIVERIES + 1) return message.nak(patience);
      const outcome = deliveryCount > MOST_DELIVERIES
        ? { id, dead: NO_RESULT }
        : await outcomeOf(id, () => perform(job)).catch(async (error) => {
          if (deliveryCount < MOST_DELIVERIES) throw error;
          warn(`A job was given out for the last time: ${error}`);
          // Who was only silent has as long again here, too.
          const end = performance.now() + patience;
          while (!signal.aborted && performance.now() < end) await delay(LOOK);
          if (signal.aborted) throw error;
          return { id, dead: cutMessage(`${NO_RESULT}; the last error: ${error}`) };
        });
      await this.#store(run, outcome, { signal, warn });
      await message.ackAck();
    } catch (error) {
      warn(`A job is given back: ${error}`);
      // Without the reason: servers before 2.10.4 do not know a word with one, and give the job out again.
      if (error instanceof MessageError) message.term();
      else message.nak(AGAIN);
    } finally {
      clearInterval(alive);
    }
  }

  /** Stores an outcome, under `done` or `dead`, however long the server has no room for it. */
  async #store(
    run: string,
    outcome: JobOutcome,
    { signal, warn }: Required<Pick<JobWorkOptions, "signal" | "warn">>,
  ): Promise<void> {
    const connection = natsOf(this.#cluster);
    const { id } = outcome;
    const msgID = messageId(run, id);
    let [kind, bytes] = ["dead" in outcome ? "dead" : "done", encodeJson(outcome)];
    const most = this.#most(msgID);
    if (bytes.length > most) {
      const dead = `its result has ${bytes.length} bytes, and a message holds ${most}`;
      [kind, bytes] = ["dead", encodeJson({ id, dead })];
    }
    const subject = subjectOf(this.#cluster, this.#options.name, "results", run, kind);
    while (true) {
      try {
        await this.#client.publish(subject, bytes, { msgID });
        return;
      } catch (error) {
        if (signal.aborted || connection.isClosed()) throw error;
        warn(`A result waits for the server: ${(error as Error).message}`);
        await delay(AGAIN);
      }
    }
  }

  /** Most bytes of a job or an outcome: what the server passes on and readers decode, less the headers. */
  #most(msgID: string): number {
    return mostOf(this.#cluster, MAX_BYTES) - HEADERS - msgID.length;
  }
}

/** The outcome of a job that is done, or that nobody can do. */
async function outcomeOf(id: string, perform: () => Promise<unknown>): Promise<JobOutcome> {
  try {
    return { id, result: await perform() ?? null };
  } catch (error) {
    const isOfJob = [TypeError, RangeError, MessageError].some((kind) => error instanceof kind);
    if (!isOfJob) throw error;
    return { id, dead: cutMessage((error as Error).message) };
  }
}

function readJob(value: unknown): Job {
  const { run, id, job } = (value ?? {}) as Partial<Job>;
  if (isWord(run) && typeof id === "string" && isId(id)) return { run, id, job };
  const rule = "it must have a run, a word, and an id that its outcome can be stored by";
  throw new MessageError(sentence("read a job", rule, { job: value }));
}

/** Whether an outcome can be stored by an id: URIs, as which headers have it, know no lone surrogates. */
function isId(id: string): boolean {
  return id.length <= LONGEST_ID && id.isWellFormed();
}

function readOutcome(value: unknown): JobOutcome {
  const { id, result, dead } = (value ?? {}) as { id?: unknown; result?: unknown; dead?: unknown };
  if (typeof id === "string" && typeof dead === "string") return { id, dead };
  if (typeof id === "string" && result !== undefined) return { id, result };
  throw new MessageError(
    sentence("read the outcome of a job", "it must have an id and a result", { outcome: value }),
  );
}

/** The messages of some subjects of a stream. */
function sumOf(subjects: Record<string, number> = {}): number {
  return Object.values(subjects).reduce((sum, count) => sum + count, 0);
}

/** Makes a stream unless it is there, as whoever made it wanted it. */
async function makeStream(
  manager: JetStreamManager,
  config: Partial<StreamConfig> & { name: string },
): Promise<void> {
  try {
    await manager.streams.info(config.name);
  } catch (error) {
    if (!(error instanceof JetStreamApiError && error.code === NOT_FOUND)) throw error;
    await manager.streams.add(config);
  }
}

/** What the server knows a job and its outcome by; a header, whose characters are few. */
function messageId(run: string, id: string): string {
  return `${run}.${encodeURIComponent(id)}`;
}
