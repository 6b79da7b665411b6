/** Replicas behind a gateway, by events: requests come, steps and reads end, the gateway asks who has room. */
import { sentence } from "../../../src/base/check.ts";
import { Direct, type FleetOptions, Gateway } from "./gateway.ts";
import { Post } from "./post.ts";
import { Replica, type ReplicaOptions, type Simulated } from "./replica.ts";
import type { FleetRequest } from "./requests.ts";

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
  const excess = () => options.times.excessSeconds(reads++);
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
    for (const replica of replicas) replica.start(now, excess);
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
