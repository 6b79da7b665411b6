/** The workers of a service that are there, as the service's own statistics tell. */
import { createInbox, type Subscription } from "@nats-io/transport-node";
import { checkFunction, checkInteger, checkObject, checkString } from "../base/check.ts";
import { checkCluster, type Cluster, isWord, MAX_BYTES, nameOf, natsOf } from "./cluster.ts";
import { delay } from "./delay.ts";
import { MessageError } from "./errors.ts";
import { decodeJson } from "./message.ts";

const OPEN = "find workers";

/** A worker, and what it said of itself last. */
export interface Worker<State> {
  /** What askers call it. */
  id: string;
  /** What it said, as it was read. */
  state: State;
}

/** Options of {@linkcode Workers.open}. */
export interface WorkersOptions<State> {
  /** The name of the service. */
  name: string;
  /** The model, as {@linkcode modelFingerprint} gives it: workers of other models are counted, and no more. */
  fingerprint: string;
  /** Checks what a worker says of itself; undefined leaves the worker out, as null does, which one that stops says. */
  readState: (state: unknown) => State | undefined;
  /** Milliseconds between two questions. The default is 250. */
  refresh?: number;
  /** Milliseconds after which a worker is forgotten that says nothing. The default is 30,000. */
  patience?: number;
}

/** A worker that is there. */
interface Known<State> extends Worker<State> {
  /** The number of the question that it answered last. */
  seen: number;
  /** Whether it is left out until it answers again. */
  isPassedOver: boolean;
}

/** The status that a NATS server answers with where nobody has a subject. */
const NO_RESPONDERS = 503;
/** Milliseconds between two questions. */
const REFRESH = 250;
/** Milliseconds that the first question waits for the first answer, and then for those of others. */
const FIRST_ANSWERS = { first: 1000, others: 50 };

/**
 * Knows which workers are there: it asks for the statistics of their service, again and again. An answer counts whenever it
 * comes: workers whose threads compute answer late.
 *
 * @example
 * ```ts
 * import { type Cluster, Workers } from "@onehead/attention/cluster";
 *
 * async function listWorkers(cluster: Cluster) {
 *   const readState = (state: unknown) => state;
 *   const workers = await Workers.open(cluster, { name: "count", fingerprint: "none", readState });
 *   const ids = workers.list().map(({ id }) => id);
 *   workers.close();
 *   return ids;
 * }
 * console.log(typeof listWorkers); // AnswerService has a worker of this example
 * ```
 */
export class Workers<State> {
  readonly #cluster: Cluster;
  readonly #options: WorkersOptions<State>;
  readonly #known = new Map<string, Known<State>>();
  /** The number of the question that each worker of another model answered last. */
  readonly #others = new Map<string, number>();
  /** Where their statistics are asked for. */
  readonly #subject: string;
  readonly #inbox = createInbox();
  readonly #answers: Subscription;
  /** The number of the question that the server answered last, as nobody has the service. */
  #unheard = -Infinity;
  /** Questions so far: workers age by them, and not by the clock, which goes on while this thread computes. */
  #asked = 0;
  #waiting: (() => void)[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;

  private constructor(cluster: Cluster, options: WorkersOptions<State>) {
    this.#cluster = cluster;
    this.#options = options;
    this.#subject = `$SRV.STATS.${nameOf(cluster, options.name)}`;
    this.#answers = natsOf(cluster).subscribe(this.#inbox, {
      callback: (error, message) => {
        if (!error) {
          if (message.headers?.code === NO_RESPONDERS) this.#unheard = this.#asked;
          else this.#hear(message.data);
        }
        this.#wake();
      },
    });
  }

  /**
   * Asks who is there, and goes on asking until it is closed.
   *
   * @param cluster Where the workers are.
   * @param options The service, the model, and how workers are asked.
   * @returns Those that answered within the first moments; others come later.
   * @throws {TypeError} If the cluster or the options are none.
   */
  static async open<State>(
    cluster: Cluster,
    options: WorkersOptions<State>,
  ): Promise<Workers<State>> {
    checkCluster(OPEN, cluster);
    checkObject(OPEN, "options", options);
    const { fingerprint, readState, refresh, patience } = options;
    checkString(OPEN, "fingerprint", fingerprint);
    checkFunction(OPEN, "readState", readState);
    if (refresh !== undefined) checkInteger(OPEN, "refresh", refresh);
    if (patience !== undefined) checkInteger(OPEN, "patience", patience);
    const workers = new Workers(cluster, options);
    workers.#ask();
    const { first, others } = FIRST_ANSWERS;
    const timer = setTimeout(() => workers.#wake(), first);
    await workers.refreshed();
    clearTimeout(timer);
    await delay(others);
    workers.#timer = setInterval(() => workers.#refresh(), options.refresh ?? REFRESH);
    return workers;
  }

  /** Those who can be asked. */
  list(): Worker<State>[] {
    return [...this.#known.values()].filter(({ isPassedOver }) => !isPassedOver);
  }

  /** Those that are there, with those that are passed over. */
  all(): Worker<State>[] {
    return [...this.#known.values()];
  }

  /** The number of workers that are there, with those that are passed over. */
  get count(): number {
    return this.#known.size;
  }

  /** The number of workers of other models that are there. */
  get others(): number {
    return this.#others.size;
  }

  /** Whether the server says that nobody has the service, of whichever model: a worker that computes has it, and is silent. */
  get isDeserted(): boolean {
    // The last question may still be under way.
    return this.#unheard >= this.#asked - 1;
  }

  /**
   * Leaves a worker out until it answers again: it is there, and had no room.
   *
   * @param id The worker's {@linkcode Worker.id}; one that is not there is ignored.
   */
  passOver(id: string): void {
    checkString("pass over a worker", "id", id);
    const worker = this.#known.get(id);
    if (worker) worker.isPassedOver = true;
  }

  /**
   * Takes a worker for lost until it answers again.
   *
   * @param id The worker's {@linkcode Worker.id}.
   */
  forget(id: string): void {
    checkString("forget a worker", "id", id);
    this.#known.delete(id);
  }

  /** Resolves when a worker answers, and at the latest when all are asked again. */
  refreshed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Asks no more; who waits goes on. */
  close(): void {
    clearInterval(this.#timer);
    this.#answers.unsubscribe();
    this.#wake();
  }

  #refresh(): void {
    const { patience = 30_000, refresh = REFRESH } = this.#options;
    const oldest = this.#asked - patience / refresh;
    for (const { id, seen } of this.#known.values()) if (seen < oldest) this.#known.delete(id);
    for (const [id, seen] of this.#others) if (seen < oldest) this.#others.delete(id);
    this.#ask();
    this.#wake();
  }

  #ask(): void {
    this.#asked++;
    const connection = natsOf(this.#cluster);
    // Who is known ages then.
    if (connection.isClosed()) return;
    connection.publish(this.#subject, undefined, { reply: this.#inbox });
  }

  /** Takes an answer; what is none is ignored. */
  #hear(bytes: Uint8Array): void {
    const { fingerprint, readState } = this.#options;
    const answer = readStatistics(bytes);
    if (!answer) return;
    const { id, model } = answer;
    const seen = this.#asked;
    if (model !== fingerprint) {
      this.#others.set(id, seen);
      return;
    }
    // One whose state is null is stopping; one whose state is not read is none that can be asked.
    const state = answer.state === null ? undefined : readState(answer.state);
    if (state === undefined) this.#known.delete(id);
    else this.#known.set(id, { id, state, seen, isPassedOver: false });
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

/** What a worker's statistics say; undefined where they are none, or its id is no word, by which nobody could be asked. */
function readStatistics(
  bytes: Uint8Array,
): { id: string; model: unknown; state: unknown } | undefined {
  try {
    const { id, metadata, endpoints } = decodeJson(bytes, MAX_BYTES) as {
      id?: unknown;
      metadata?: { fingerprint?: unknown };
      endpoints?: readonly { name?: unknown; data?: unknown }[];
    };
    if (!isWord(id)) return undefined;
    const state = endpoints?.find(({ name }) => name === "answer")?.data;
    return { id, model: metadata?.fingerprint, state };
  } catch (error) {
    // Fields of other kinds than they should be are a TypeError.
    if (error instanceof MessageError || error instanceof TypeError) return undefined;
    throw error;
  }
}
