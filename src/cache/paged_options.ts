/** Options of sequences in pages, filled in and checked apart from any GPU. */
import { checkInteger, checkObject } from "../base/check.ts";
import type { RopeOptions } from "./rope.ts";
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
  /** Rotary position embedding: keys are rotated while they are appended. The default is none. */
  rope?: RopeOptions;
}

/** The options of a cache with their defaults filled in; where no window was given, there is none. */
export type FilledPagedOptions =
  & Required<Omit<PagedKvCacheOptions, "window" | "rope">>
  & Pick<PagedKvCacheOptions, "window">
  & { rope?: FilledRope };

/** Fills in the defaults and checks each value, for keys of a size; what it returns shares nothing with the options. */
export function fillInPaged(
  action: string,
  options: PagedKvCacheOptions,
  headDim: number,
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
    rope: rope === undefined ? undefined : fillInRope(action, rope, headDim),
  };
}
