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
  /** Seconds of a request beyond its steps: half of them pass before a replica hears of it, half before its tokens arrive. */
  overheadSeconds: number;
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
 * the same choice among the workers, by what each said of itself last. A message takes half of a request's overhead, and is
 * heard by a replica once its thread waits for no read. Prompts share no beginnings.
 *
 * @param requests In the order of their coming.
 * @throws {RangeError} If a request does not fit the pages of a replica.
 */
export function simulate(requests: readonly FleetRequest[], options: FleetOptions): Simulation {
  const replicas = Array.from({ length: options.replicas }, () => new Replica(options));
  const post = new Post(options.overheadSeconds / 2);
  const gateway = options.replicas === 1
    ? new Direct(replicas[0], post)
    : new Gateway(replicas, post, options);
  const all = requests.map((request): Simulated => ({
    ...{ id: -1, request, generated: 0, unread: 0 },
    maxTokens: request.prompt + request.mostAnswer,
  }));
  for (const { maxTokens } of all) checkFits(maxTokens, options.pages);
  let reads = 0;
  const slowness = () => options.times.slowness(reads++);
  for (let next = 0, over = 0; over < all.length;) {
    const times = replicas.map(({ nextAt = Infinity }) => nextAt);
    const arrival = all[next]?.request.at ?? Infinity;
    const now = Math.min(arrival, gateway.refreshAt, post.nextAt, ...times);
    for (const replica of replicas) {
      if (replica.nextAt !== now) continue;
      const ended = replica.finish();
      for (const one of ended) post.send(now, (now) => gateway.end(one, now));
      over += ended.length;
    }
    if (gateway.refreshAt === now) gateway.refresh();
    for (; all[next]?.request.at === now; next++) gateway.add(all[next]);
    post.deliver(now);
    for (const replica of replicas) replica.start(now, slowness);
  }
  const finished = all as Finished[];
  return {
    requests: finished.map(({ firstAt, endAt, ...one }) => ({
      ...{ ...one, firstAt: firstAt + post.seconds, endAt: endAt + post.seconds },
    })),
    replicas,
  };
}

function checkFits(maxTokens: number, { total, pageSize }: ReplicaOptions["pages"]): void {
  if (maxTokens <= total * pageSize) return;
  const rule = "each request must fit the pages of a replica (ask for fewer tokens)";
  throw new RangeError(sentence("simulate a fleet", rule, { maxTokens, pages: total, pageSize }));
}

/** Messages, each under way for as long: they arrive in the order in which they were sent. */
class Post {
  readonly #sent: { at: number; arrive: (now: number) => void }[] = [];

  /** @param seconds Seconds of a message. */
  constructor(readonly seconds: number) {}

  /** The second at which the next message arrives. */
  get nextAt(): number {
    return this.#sent[0]?.at ?? Infinity;
  }

  /** Sends a message. */
  send(now: number, arrive: (now: number) => void): void {
    this.#sent.push({ at: now + this.seconds, arrive });
  }

  /** Delivers those that arrive now, and what is sent and arrives at once by them. */
  deliver(now: number): void {
    while (this.nextAt <= now) this.#sent.shift()!.arrive(now);
  }
}

/** Whoever hands requests to replicas. */
interface Routing {
  /** The second at which it asks its replicas again. */
  readonly refreshAt: number;
  refresh(): void;
  add(one: Simulated): void;
  end(one: Simulated, now: number): void;
}

/** One replica, which takes everything. */
class Direct implements Routing {
  readonly refreshAt = Infinity;
  readonly #replica: Replica;
  readonly #post: Post;

  constructor(replica: Replica, post: Post) {
    this.#replica = replica;
    this.#post = post;
  }

  refresh(): void {}

  add(one: Simulated): void {
    const replica = this.#replica;
    this.#post.send(one.request.at, (now) => replica.hear(() => replica.add(one), now));
  }

  end(): void {}
}

type Told = Parameters<WorkerChoice["take"]>[0][number];

/**
 * The gateway of `serve --nats`: it chooses by what replicas said last, and keeps those for whom there is no room, or that a
 * replica refuses, until another word comes. While nobody has anything to do, asking again tells nothing new, and is left out.
 */
class Gateway implements Routing {
  refreshAt = Infinity;
  #asked = 0;
  readonly #replicas: readonly Replica[];
  readonly #post: Post;
  readonly #options: FleetOptions;
  readonly #choice = new WorkerChoice();
  readonly #ends = new Map<Simulated, () => void>();
  /** What each replica said last; one that refused a request is left out until it says more. */
  readonly #told = new Map<number, Told>();
  readonly #waiting: Simulated[] = [];

  constructor(replicas: readonly Replica[], post: Post, options: FleetOptions) {
    this.#replicas = replicas;
    this.#post = post;
    this.#options = options;
    for (const id of replicas.keys()) this.#told.set(id, this.#stateOf(id));
  }

  refresh(): void {
    const now = this.#asked = this.refreshAt;
    for (const [id, replica] of this.#replicas.entries()) {
      this.#send(now, replica, (now) => {
        const told = this.#stateOf(id);
        this.#post.send(now, (now) => {
          this.#told.set(id, told);
          this.#giveWaiting(now);
        });
      });
    }
    this.#giveWaiting(now);
    this.refreshAt = Infinity;
    if (this.#ends.size > 0 || this.#waiting.length > 0) this.#askAfter(now);
  }

  add(one: Simulated): void {
    const { at } = one.request;
    this.#askAfter(Math.max(this.#asked, at));
    if (!this.#give(one, at)) this.#waiting.push(one);
  }

  end(one: Simulated, now: number): void {
    this.#ends.get(one)!();
    this.#ends.delete(one);
    this.#askAfter(now);
  }

  /** What a replica says of itself. */
  #stateOf(id: number): Told {
    const { maxQueue, maxRunning: places, pages: { total, pageSize } } = this.#options;
    const { load, availablePages: available } = this.#replicas[id];
    const said = loadOf({ places, ...load, pages: { available } });
    return { id: `${id}`, state: { contextLen: total * pageSize, maxQueue, ...said } };
  }

  /** Where there is no room for one there is none for those behind it, as all fit every replica. */
  #giveWaiting(now: number): void {
    const left = this.#waiting.findIndex((one) => !this.#give(one, now));
    this.#waiting.splice(0, left < 0 ? Infinity : left);
  }

  /** Gives a request to a replica that has room; false where none has. */
  #give(one: Simulated, now: number): boolean {
    const taken = this.#choice.take([...this.#told.values()], [], one.maxTokens);
    if (!taken) return false;
    this.#ends.set(one, taken.end);
    const id = Number(taken.id);
    const replica = this.#replicas[id];
    this.#send(now, replica, (now) => {
      const { state: { waiting, maxQueue } } = this.#stateOf(id);
      if (waiting < maxQueue) replica.add(one);
      else this.#post.send(now, (now) => this.#takeBack(one, id, now));
    });
    return true;
  }

  /** Gives a request elsewhere that a replica refused. */
  #takeBack(one: Simulated, id: number, now: number): void {
    this.end(one, now);
    this.#told.delete(id);
    if (!this.#give(one, now)) this.#waiting.push(one);
  }

  #send(now: number, replica: Replica, message: (now: number) => void): void {
    this.#post.send(now, (now) => replica.hear(message, now));
  }

  /** Asks at the next turn after a second, unless it does so anyway. */
  #askAfter(second: number): void {
    if (this.refreshAt < Infinity) return;
    const turns = Math.floor((second - this.#asked) / REFRESH_SECONDS) + 1;
    this.refreshAt = this.#asked + turns * REFRESH_SECONDS;
  }
}
