/** Whoever hands requests to replicas: nobody between, or the gateway of several. */
import { loadOf, WorkerChoice } from "../../shared/cluster/worker_choice.ts";
import type { Post } from "./post.ts";
import type { Replica, ReplicaOptions, Simulated } from "./replica.ts";

/** The fleet to simulate. */
export interface FleetOptions extends ReplicaOptions {
  /** GPUs, each with the whole model. */
  replicas: number;
  /** Sequences that wait at a replica that is given no more. */
  maxQueue: number;
  /** Seconds of a request beyond its steps: half of them pass before a replica hears of it, half before its tokens arrive. */
  overheadSeconds: number;
}

/** Seconds between two questions of a gateway to its workers. */
const REFRESH_SECONDS = 0.25;

/** Whoever hands requests to replicas. */
export interface Routing {
  /** The second at which it asks its replicas again. */
  readonly refreshAt: number;
  refresh(): void;
  add(one: Simulated): void;
  end(one: Simulated, now: number): void;
}

/** One replica, which takes everything. */
export class Direct implements Routing {
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

/** What a replica said of itself. */
type Told = Parameters<WorkerChoice["take"]>[0][number];

/**
 * The gateway of `serve --nats`: it chooses by what replicas said last, and keeps those for whom there is no room, or that a
 * replica refuses, until another word comes. While nobody has anything to do, asking again tells nothing new, and is left out.
 */
export class Gateway implements Routing {
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
