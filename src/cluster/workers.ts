/** The workers of a service that are there, as the service's own statistics tell. */
import { checkObject } from "../base/check.ts";
import { checkCluster, type Cluster, nameOf, servicesOf } from "./cluster.ts";

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
  /** Checks what a worker says of itself; undefined leaves the worker out. */
  readState: (state: unknown) => State | undefined;
  /** Milliseconds between two questions. The default is 250. */
  refresh?: number;
  /** Milliseconds after which a worker is left out that says nothing. The default is 10,000. */
  patience?: number;
}

/** Milliseconds in which workers answer: those after the first, and all. */
const ANSWERS = { stall: 50, maxWait: 1000 };

/**
 * Knows which workers are there: it asks for the statistics of their service, again and again.
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
  readonly #known = new Map<string, Worker<State> & { seen: number }>();
  #others = 0;
  #waiting: (() => void)[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  private constructor(cluster: Cluster, options: WorkersOptions<State>) {
    this.#cluster = cluster;
    this.#options = options;
  }

  /** Asks who is there, and goes on asking until it is closed. */
  static async open<State>(
    cluster: Cluster,
    options: WorkersOptions<State>,
  ): Promise<Workers<State>> {
    checkCluster(OPEN, cluster);
    checkObject(OPEN, "options", options);
    const workers = new Workers(cluster, options);
    await workers.#refresh();
    return workers;
  }

  /** Those who are there. */
  list(): Worker<State>[] {
    return [...this.#known.values()];
  }

  /** The number of workers of other models that are there. */
  get others(): number {
    return this.#others;
  }

  /** Leaves a worker out until it answers again: it was lost, or has no room. */
  forget(id: string): void {
    this.#known.delete(id);
  }

  /** Resolves when workers were asked again. */
  refreshed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Asks no more; who waits goes on. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#wake();
  }

  async #refresh(): Promise<void> {
    // Without a server, or with nobody at it, there are no answers: those who are known age.
    this.#others = await this.#ask().catch(() => 0);
    const { patience = 10_000, refresh = 250 } = this.#options;
    for (const { id, seen } of this.#known.values()) {
      if (performance.now() - seen > patience) this.#known.delete(id);
    }
    this.#wake();
    if (!this.#isClosed) this.#timer = setTimeout(() => void this.#refresh(), refresh);
  }

  /** Asks everybody; returns the number of workers of other models. */
  async #ask(): Promise<number> {
    const { name, fingerprint, readState } = this.#options;
    const client = servicesOf(this.#cluster).client({ strategy: "stall", ...ANSWERS });
    let others = 0;
    for await (
      const { id, metadata, endpoints } of await client.stats(nameOf(this.#cluster, name))
    ) {
      if (metadata?.fingerprint !== fingerprint) {
        others++;
        continue;
      }
      const state = readState(endpoints?.find(({ name }) => name === "answer")?.data);
      if (state !== undefined) this.#known.set(id, { id, state, seen: performance.now() });
    }
    return others;
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
