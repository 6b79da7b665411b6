/** Options of sequences in pages, filled in and checked apart from any GPU. */
import { checkInteger, checkObject, sentence } from "../base/check.ts";
import type { RopeOptions } from "./rope.ts";
import type { PoolShape } from "./page_pool.ts";
import { type FilledRope, fillInRope } from "./rope_kernel.ts";

/** Options of {@linkcode PagedKvCache.create}. */
export interface PagedKvCacheOptions {
  /** Sequences that the cache has room for at once. The default is 1. */
  batch?: number;
  /** Most tokens of a sequence. */
  capacity: number;
  /** First tokens of a sequence that every later query sees besides its window. The default is 0. */
  sinks?: number;
  /**
   * Tokens besides the sinks that a query sees, its own included: pages that no query will see are given back. The default
   * is all of them.
   */
  window?: number;
  /**
   * Most query rows of a sequence in a step whose window is kept, also where fewer of them are new tokens. The default is 1.
   */
  maxSeqLen?: number;
  /**
   * Rotary position embedding: keys are rotated while they are appended. A list has that of each layer of the pool, undefined
   * for a layer that has none. The default is none.
   */
  rope?: RopeOptions | readonly (RopeOptions | undefined)[];
}

/** The options of a cache with their defaults filled in; where no window was given, there is none. */
export type FilledPagedOptions =
  & Required<Omit<PagedKvCacheOptions, "window" | "rope">>
  & Pick<PagedKvCacheOptions, "window">
  & {
    /** Rotary positions of each layer. */
    ropes: readonly (FilledRope | undefined)[];
  };

/** Fills in the defaults and checks each value, for a pool's layers; what it returns shares nothing with the options. */
export function fillInPaged(
  action: string,
  options: PagedKvCacheOptions,
  pool: Pick<PoolShape, "layers" | "headDim">,
): FilledPagedOptions {
  checkObject(action, "options", options);
  const { batch = 1, capacity, sinks = 0, window, maxSeqLen = 1, rope } = options;
  for (const [name, value] of Object.entries({ batch, capacity, maxSeqLen })) {
    checkInteger(action, name, value);
  }
  checkInteger(action, "sinks", sinks, 0);
  if (window !== undefined) checkInteger(action, "window", window);
  return {
    ...{ batch, capacity, sinks, window, maxSeqLen },
    ropes: fillInRopes(action, rope, pool),
  };
}

function fillInRopes(
  action: string,
  rope: PagedKvCacheOptions["rope"],
  { layers, headDim }: Pick<PoolShape, "layers" | "headDim">,
): (FilledRope | undefined)[] {
  const filledOf = (one: RopeOptions | undefined, name: string) =>
    one === undefined ? undefined : fillInRope(action, one, headDim, name);
  if (!Array.isArray(rope)) {
    return new Array(layers).fill(filledOf(rope as RopeOptions | undefined, "rope"));
  }
  if (rope.length !== layers) {
    const rule = "a list of rope must have an entry for each layer of the pool";
    throw new RangeError(sentence(action, rule, { rope: rope.length, layers }));
  }
  return Array.from(rope, (one, layer) => filledOf(one, `rope[${layer}]`));
}
