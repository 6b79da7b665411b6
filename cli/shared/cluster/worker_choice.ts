/** Which worker is to continue a sequence: who has the beginning of it already, then who has the least to do. */
import type { Worker } from "../../../src/cluster/mod.ts";
import type { EngineStats } from "../generation/engine.ts";
import type { WorkerState } from "./sequence_message.ts";

/** Sequences that are remembered of each worker. */
const REMEMBERED = 32;
/** A shorter common beginning saves no work: pages of a cache have as many tokens. */
const PAGE = 32;
/** Sequences that a worker is given, at most, until it tells of them: it may be gone, or full. */
const MOST_UNTOLD = 4;

/** A worker that has a sequence, until its end is told. */
export interface Taken {
  id: string;
  end(): void;
}

/** What a choice depends on. */
type WorkerRoom = Pick<WorkerState, "running" | "waiting" | "maxQueue" | "contextLen">;

/**
 * The load of an engine as others are told of it: a sequence that waits for nothing but the next step, as there is room, runs
 * already. Otherwise a worker with free places would refuse the second of two sequences that come within a step.
 */
export function loadOf(
  { places, running, waiting, pages }: Pick<EngineStats, "places" | "running" | "waiting"> & {
    pages?: Pick<NonNullable<EngineStats["pages"]>, "available">;
  },
): Pick<EngineStats, "running" | "waiting"> {
  const room = pages?.available === 0 ? 0 : Math.max(0, places - running);
  const starting = Math.min(waiting, room);
  return { running: running + starting, waiting: waiting - starting };
}

/** Chooses workers, and remembers which sequences they had. */
export class WorkerChoice {
  readonly #had = new Map<string, (readonly number[])[]>();
  readonly #running = new Map<string, number>();

  /**
   * Gives a sequence to the best of the workers that have room for `room` tokens; undefined where none has. Who comes next finds
   * it given.
   */
  take(
    workers: readonly Worker<WorkerRoom>[],
    tokens: readonly number[],
    room: number,
  ): Taken | undefined {
    const [best] = workers
      .filter(({ state: { waiting, maxQueue, contextLen } }) =>
        contextLen >= room && waiting < maxQueue
      )
      .map(({ id, state }) => ({
        ...{ id, told: state.running + state.waiting, given: this.#running.get(id) ?? 0 },
        shared: this.#shared(id, tokens),
      }))
      .filter(({ told, given }) => given - told < MOST_UNTOLD)
      .map((worker) => ({ ...worker, load: Math.max(worker.given, worker.told) }))
      .sort((a, b) => b.shared - a.shared || a.load - b.load);
    if (!best) return undefined;
    const { id } = best;
    this.#had.set(id, [tokens, ...this.#had.get(id) ?? []].slice(0, REMEMBERED));
    this.#add(id, 1);
    return { id, end: () => this.#add(id, -1) };
  }

  /** Forgets a worker that was lost. */
  forget(id: string): void {
    this.#had.delete(id);
  }

  /** Counts what a worker has of this gateway; a worker that has nothing is not kept. */
  #add(id: string, change: number): void {
    const running = (this.#running.get(id) ?? 0) + change;
    if (running === 0) this.#running.delete(id);
    else this.#running.set(id, running);
  }

  /** Whole pages of tokens that a sequence has in common with one that the worker had. */
  #shared(id: string, tokens: readonly number[]): number {
    const lengths = (this.#had.get(id) ?? []).map((had) => commonLength(had, tokens));
    return Math.floor(Math.max(0, ...lengths) / PAGE);
  }
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  const end = Math.min(a.length, b.length);
  for (let i = 0; i < end; i++) if (a[i] !== b[i]) return i;
  return end;
}
