/** Replicas behind a gateway, by events: requests come, steps and reads end, the gateway asks who has room. */
import { sentence } from "../../../src/base/check.ts";
import { loadOf, WorkerChoice } from "../../shared/cluster/worker_choice.ts";
import { Replica, type ReplicaOptions, type Simulated } from "./replica.ts";
import type { FleetRequest } from "./requests.ts";

/** The fleet to simulate. */
export interface FleetOptions extends ReplicaOptions {
  /** GPUs, each with the whole model. */
  replicas: number;
  /** Sequences that wait at a replica that is given no more. */
  maxQueue: number;
}

/** A request that is over. */
export interface Finished extends Omit<Simulated, "firstAt" | "endAt"> {
  firstAt: number;
  endAt: number;
}

/** What a simulation came to. */
export interface Simulation {
  /** All requests, in the order of their coming. */
  requests: Finished[];
  replicas: Replica[];
}

/** Seconds between two questions of a gateway to its workers. */
const REFRESH_SECONDS = 0.25;

/**
 * Runs requests to their ends. One replica takes them itself, as `serve` does; several have a gateway, as `serve --nats` is:
 * the same choice among the workers, by what each said of itself last. Messages take no time, and prompts share no beginnings.
 *
 * @param requests In the order of their coming.
 * @throws {RangeError} If a request does not fit the pages of a replica.
 */
export function simulate(requests: readonly FleetRequest[], options: FleetOptions): Simulation {
  const replicas = Array.from({ length: options.replicas }, () => new Replica(options));
  const gateway = options.replicas === 1 ? new Direct(replicas[0]) : new Gateway(replicas, options);
  const all = requests.map((request): Simulated => ({
    ...{ id: -1, request, generated: 0, unread: 0 },
    maxTokens: request.prompt + request.mostAnswer,
  }));
  for (const { maxTokens } of all) checkFits(maxTokens, options.pages);
  for (let next = 0, over = 0; over < all.length;) {
    const times = replicas.map(({ nextAt = Infinity }) => nextAt);
    const now = Math.min(all[next]?.request.at ?? Infinity, gateway.refreshAt, ...times);
    for (const replica of replicas) {
      if (replica.nextAt !== now) continue;
      const ended = replica.finish();
      for (const one of ended) gateway.end(one);
      over += ended.length;
    }
    if (gateway.refreshAt === now) gateway.refresh();
    for (; all[next]?.request.at === now; next++) gateway.add(all[next]);
    for (const replica of replicas) replica.start(now);
  }
  return { requests: all as Finished[], replicas };
}

function checkFits(maxTokens: number, { total, pageSize }: ReplicaOptions["pages"]): void {
  if (maxTokens <= total * pageSize) return;
  const rule = "each request must fit the pages of a replica (ask for fewer tokens)";
  throw new RangeError(sentence("simulate a fleet", rule, { maxTokens, pages: total, pageSize }));
}

/** Whoever hands requests to replicas. */
interface Routing {
  /** The second at which it asks its replicas again. */
  readonly refreshAt: number;
  refresh(): void;
  add(one: Simulated): void;
  end(one: Simulated): void;
}

/** One replica, which takes everything at once. */
class Direct implements Routing {
  readonly refreshAt = Infinity;
  readonly #replica: Replica;

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  refresh(): void {}

  add(one: Simulated): void {
    this.#replica.add(one);
  }

  end(): void {}
}

/**
 * The gateway of `serve --nats`: it chooses by room, and keeps those for whom there is none until it has asked again. While
 * nobody has anything to do, asking again tells nothing new, and is left out.
 */
class Gateway implements Routing {
  refreshAt = 0;
  #asked = 0;
  readonly #replicas: readonly Replica[];
  readonly #choice = new WorkerChoice();
  readonly #places: number;
  readonly #room: { contextLen: number; maxQueue: number };
  readonly #ends = new Map<Simulated, () => void>();
  #told: Parameters<WorkerChoice["take"]>[0] = [];
  readonly #waiting: Simulated[] = [];

  constructor(
    replicas: readonly Replica[],
    { pages: { total, pageSize }, maxQueue, maxRunning }: FleetOptions,
  ) {
    this.#places = maxRunning;
    this.#replicas = replicas;
    this.#room = { contextLen: total * pageSize, maxQueue };
  }

  refresh(): void {
    this.#asked = this.refreshAt;
    this.#told = this.#replicas.map(({ load, availablePages: available }, id) => ({
      id: `${id}`,
      state: { ...this.#room, ...loadOf({ places: this.#places, ...load, pages: { available } }) },
    }));
    // Where there is no room for one there is none for those behind it, as all fit every replica.
    const left = this.#waiting.findIndex((one) => !this.#give(one));
    this.#waiting.splice(0, left < 0 ? Infinity : left);
    this.refreshAt = Infinity;
    if (this.#ends.size > 0 || this.#waiting.length > 0) this.#askAfter(this.#asked);
  }

  add(one: Simulated): void {
    this.#askAfter(Math.max(this.#asked, one.request.at));
    if (!this.#give(one)) this.#waiting.push(one);
  }

  /** Gives a request to a replica that has room; false where none has. */
  #give(one: Simulated): boolean {
    const taken = this.#choice.take(this.#told, [], one.maxTokens);
    if (!taken) return false;
    this.#ends.set(one, taken.end);
    this.#replicas[Number(taken.id)].add(one);
    return true;
  }

  end(one: Simulated): void {
    this.#ends.get(one)!();
    this.#ends.delete(one);
    this.#askAfter(one.endAt!);
  }

  /** Asks at the next turn after a second, unless it does so anyway. */
  #askAfter(second: number): void {
    if (this.refreshAt < Infinity) return;
    const turns = Math.floor((second - this.#asked) / REFRESH_SECONDS) + 1;
    this.refreshAt = this.#asked + turns * REFRESH_SECONDS;
  }
}
