/** The contexts and batches that fit the memory of a device beside a model's parameters. */
import { checkAmount, checkArray, checkObject, sentence } from "../base/check.ts";
import {
  cacheBytes,
  type CacheOptions,
  type CacheShape,
  checkCacheOptions,
  checkCacheShape,
} from "./cache_bytes.ts";

/** The memory of a device, and what a model needs of it besides the cache. */
export interface MemoryBudget {
  /** Bytes of the device that a program can have. */
  memoryBytes: number;
  /** Bytes of the model's parameters. The default is 0. */
  weightBytes?: number;
  /** Bytes of activations for each sequence of a batch. The default is 0. */
  activationBytes?: number;
}

/** One combination of batch and context, and whether it fits. */
export interface FeasibleCell {
  /** Tokens per sequence. */
  contextLen: number;
  /** Sequences. */
  batch: number;
  /** Bytes of the KV cache with its counters, and of activations. */
  bytes: number;
  /** Whether the memory holds them beside the parameters. */
  fits: boolean;
}

const ACTION = "plan memory";
/** A ring counts the tokens and the arrivals of each sequence, and its own changes, in u32. */
const COUNTER_BYTES = { ofSequence: 8, ofRing: 64 };

/**
 * The longest context that a device holds.
 *
 * @param shape Layers and heads.
 * @param budget Memory, and what else the model needs of it.
 * @param options Sequences and element type.
 * @returns Tokens per sequence: 0 where not one fits, Infinity where every layer has a window and that fits.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a count is not a whole number of at least 1, or the parameters alone do not fit.
 *
 * @example
 * ```ts
 * import { longestContext } from "@onehead/attention";
 *
 * const mha = { numLayers: 32, numKvHeads: 32, headDim: 128 };
 * const card = { memoryBytes: 80e9, weightBytes: 13.5e9 };
 * console.log(longestContext(mha, card), longestContext({ ...mha, numKvHeads: 1 }, card)); // 126838 4058837
 * ```
 */
export function longestContext(
  shape: CacheShape,
  budget: MemoryBudget,
  options: Omit<CacheOptions, "contextLen"> = {},
): number {
  const free = freeBytes(budget);
  checkCacheShape(shape);
  checkObject(ACTION, "options", options);
  checkCacheOptions({ ...options, contextLen: 1 });
  return largest((contextLen) => neededBytes(shape, budget, { ...options, contextLen }) <= free);
}

/**
 * The largest batch that a device holds.
 *
 * @param shape Layers and heads.
 * @param budget Memory, and what else the model needs of it.
 * @param options Tokens per sequence and element type.
 * @returns Sequences: 0 where not one fits.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a count is not a whole number of at least 1, or the parameters alone do not fit.
 *
 * @example
 * ```ts
 * import { largestBatch } from "@onehead/attention";
 *
 * const mha = { numLayers: 32, numKvHeads: 32, headDim: 128 };
 * const card = { memoryBytes: 80e9, weightBytes: 13.5e9 };
 * const options = { contextLen: 65536 };
 * console.log(largestBatch(mha, card, options), largestBatch({ ...mha, numKvHeads: 1 }, card, options)); // 1 61
 * ```
 */
export function largestBatch(
  shape: CacheShape,
  budget: MemoryBudget,
  options: Omit<CacheOptions, "batch">,
): number {
  const free = freeBytes(budget);
  checkCacheShape(shape);
  checkCacheOptions(options);
  return largest((batch) => neededBytes(shape, budget, { ...options, batch }) <= free);
}

/**
 * Which combinations of context and batch a device holds.
 *
 * @param shape Layers and heads.
 * @param budget Memory, and what else the model needs of it.
 * @param options The contexts and batches to combine, and the element type.
 * @returns A cell for each combination, contexts outermost.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a count is not a whole number of at least 1, or the parameters alone do not fit.
 *
 * @example
 * ```ts
 * import { feasibleSpace } from "@onehead/attention";
 *
 * const mha = { numLayers: 32, numKvHeads: 32, headDim: 128 };
 * const card = { memoryBytes: 80e9, weightBytes: 13.5e9 };
 * const cells = feasibleSpace(mha, card, { contextLens: [4096, 65536], batches: [1, 8] });
 * console.log(cells.map(({ fits }) => fits)); // [true, true, true, false]
 * ```
 */
export function feasibleSpace(
  shape: CacheShape,
  budget: MemoryBudget,
  options: Omit<CacheOptions, "contextLen" | "batch"> & {
    contextLens: readonly number[];
    batches: readonly number[];
  },
): FeasibleCell[] {
  checkObject(ACTION, "options", options);
  const { contextLens, batches, ...rest } = options;
  checkArray(ACTION, "contextLens", contextLens);
  checkArray(ACTION, "batches", batches);
  const free = freeBytes(budget);
  checkCacheShape(shape);
  return contextLens.flatMap((contextLen) =>
    batches.map((batch) => {
      checkCacheOptions({ ...rest, contextLen, batch });
      const bytes = neededBytes(shape, budget, { ...rest, contextLen, batch });
      return { contextLen, batch, bytes, fits: bytes <= free };
    })
  );
}

/** Bytes that grow with the batch: the cache as it is allocated, and activations. */
function neededBytes(shape: CacheShape, budget: MemoryBudget, options: CacheOptions): number {
  const { batch = 1 } = options;
  const { ofSequence, ofRing } = COUNTER_BYTES;
  const counters = shape.numLayers * (batch * ofSequence + ofRing);
  return cacheBytes(shape, options) + counters + batch * (budget.activationBytes ?? 0);
}

/** Bytes that the parameters leave. */
function freeBytes(budget: MemoryBudget): number {
  checkObject(ACTION, "budget", budget);
  const { memoryBytes, weightBytes = 0, activationBytes = 0 } = budget;
  for (const [name, value] of Object.entries({ memoryBytes, weightBytes, activationBytes })) {
    checkAmount(ACTION, name, value);
  }
  if (weightBytes > memoryBytes) {
    throw new RangeError(
      sentence(ACTION, "the weights must fit (use a larger device or fewer bits a weight)", {
        memoryBytes,
        weightBytes,
        missingBytes: weightBytes - memoryBytes,
      }),
    );
  }
  return memoryBytes - weightBytes;
}

/** The largest whole number that passes, if all smaller ones pass too; Infinity if none is too large. */
function largest(passes: (value: number) => boolean): number {
  if (!passes(1)) return 0;
  let low = 1;
  while (passes(low * 2)) {
    low *= 2;
    if (low > Number.MAX_SAFE_INTEGER) return Infinity;
  }
  for (let step = low / 2; step >= 1; step /= 2) {
    if (passes(low + step)) low += step;
  }
  return low;
}
