import { checkChoice, checkGroups, checkInteger, sentence } from "../base/check.ts";
import { KV_DTYPES, type KvDtype } from "../tensor/dtype.ts";
import { kvBytes } from "../cache/kv_shape.ts";

/** What the size of a model's KV cache depends on. */
export interface CacheShape {
  /** Attention layers. */
  numLayers: number;
  /** Key/value heads of each layer: 1 for multi-query attention. */
  numKvHeads: number;
  /** Elements of a key. */
  headDim: number;
  /** Elements of a value. The default is `headDim`. */
  valueDim?: number;
  /**
   * The layers, of all `numLayers`, that see a window of the context only: the last `window` tokens, and the first `sinks`
   * of the sequence.
   */
  windowed?: { numLayers: number; window: number; sinks?: number };
}

/** What a cache is to hold. */
export interface CacheOptions {
  /** Tokens per sequence. */
  contextLen: number;
  /** Sequences. The default is 1. */
  batch?: number;
  /** Element type. The default is `"f16"`. */
  dtype?: KvDtype;
  /** Most tokens of one append, for which a windowed layer keeps slots beside its window. The default is 1. */
  maxSeqLen?: number;
}

/** The memory of a device, and what else is in it. */
export interface MemoryBudget {
  /** Bytes of the device that a program can have. */
  memoryBytes: number;
  /** Bytes of the model's weights. The default is 0. */
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
  /** Whether that is within what the weights leave. */
  fits: boolean;
}

/** Parameters of the four projections of an attention layer, biases left out. */
export interface AttentionParameters {
  /** Of the queries: hidden size x heads x head size. */
  q: number;
  /** Of the keys: hidden size x KV heads x head size. */
  k: number;
  /** Of the values: hidden size x KV heads x value size. */
  v: number;
  /** Of the output: heads x value size x hidden size. */
  o: number;
  /** Of all four. */
  total: number;
}

const ACTION = "plan memory";
/** A ring counts the tokens and the arrivals of each sequence, in u32. */
const COUNTER_BYTES = 8;

/**
 * Bytes of K and V of a model: for a cache without windows 2 x layers x KV heads x head size x tokens x batch x bytes of
 * an element (Shazeer 2019, arXiv 1911.02150). Quantized rows are larger by their scales; a windowed layer stops growing
 * at the slots that its ring needs.
 *
 * @param shape Layers and heads.
 * @param options Tokens, sequences and element type.
 * @returns Bytes, without the ring's counters.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a count is not a whole number of at least 1.
 *
 * @example LLaMA-2-7B at 16K, as trained (MHA) and with one KV head (MQA)
 * ```ts
 * import { kvCacheBytes } from "@onehead/attention";
 *
 * const layers = { numLayers: 32, headDim: 128 };
 * console.log(kvCacheBytes({ ...layers, numKvHeads: 32 }, { contextLen: 16384 }) / 2 ** 30); // 8 (GiB)
 * console.log(kvCacheBytes({ ...layers, numKvHeads: 1 }, { contextLen: 16384 }) / 2 ** 30); // 0.25
 * ```
 */
export function kvCacheBytes(shape: CacheShape, options: CacheOptions): number {
  checkShape(shape);
  checkOptions(options);
  return bytesOf(shape, options);
}

/**
 * Parameters of an attention layer: what sharing K/V heads saves in weights.
 *
 * @param layer Heads and sizes; `valueDim` is `headDim` where not given.
 * @returns Numbers of parameters, by projection.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a count is not a whole number of at least 1, or the heads do not divide.
 *
 * @example
 * ```ts
 * import { attentionParameters } from "@onehead/attention";
 *
 * const layer = { hiddenSize: 4096, numHeads: 32, headDim: 128 };
 * console.log(attentionParameters({ ...layer, numKvHeads: 32 }).total); // 67108864
 * console.log(attentionParameters({ ...layer, numKvHeads: 1 }).total); // 34603008
 * ```
 */
export function attentionParameters(
  layer: {
    hiddenSize: number;
    numHeads: number;
    numKvHeads: number;
    headDim: number;
    valueDim?: number;
  },
): AttentionParameters {
  const { hiddenSize, numHeads, numKvHeads, headDim, valueDim = headDim } = layer;
  const sizes = { hiddenSize, numHeads, numKvHeads, headDim, valueDim };
  for (const [name, value] of Object.entries(sizes)) checkInteger(ACTION, name, value);
  checkGroups(ACTION, { numHeads, numKvHeads });
  const q = hiddenSize * numHeads * headDim;
  const k = hiddenSize * numKvHeads * headDim;
  const v = hiddenSize * numKvHeads * valueDim;
  const o = numHeads * valueDim * hiddenSize;
  return { q, k, v, o, total: q + k + v + o };
}

/**
 * The longest context that a device holds.
 *
 * @param shape Layers and heads.
 * @param budget Memory, and what else is in it.
 * @param options Sequences and element type.
 * @returns Tokens per sequence: 0 where not one fits, Infinity where every layer has a window and that fits.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a count is not a whole number of at least 1, or the weights alone do not fit.
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
  checkShape(shape);
  checkOptions({ ...options, contextLen: 1 });
  return largest((contextLen) => neededBytes(shape, budget, { ...options, contextLen }) <= free);
}

/**
 * The largest batch that a device holds.
 *
 * @param shape Layers and heads.
 * @param budget Memory, and what else is in it.
 * @param options Tokens per sequence and element type.
 * @returns Sequences: 0 where not one fits.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a count is not a whole number of at least 1, or the weights alone do not fit.
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
  checkShape(shape);
  checkOptions(options);
  return largest((batch) => neededBytes(shape, budget, { ...options, batch }) <= free);
}

/**
 * Which combinations of context and batch a device holds.
 *
 * @param shape Layers and heads.
 * @param budget Memory, and what else is in it.
 * @param options The contexts and batches to combine, and the element type.
 * @returns A cell for each combination, contexts outermost.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a count is not a whole number of at least 1, or the weights alone do not fit.
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
  const { contextLens, batches, ...rest } = options;
  const free = freeBytes(budget);
  checkShape(shape);
  return contextLens.flatMap((contextLen) =>
    batches.map((batch) => {
      checkOptions({ ...rest, contextLen, batch });
      const bytes = neededBytes(shape, budget, { ...rest, contextLen, batch });
      return { contextLen, batch, bytes, fits: bytes <= free };
    })
  );
}

/** Tokens that a layer keeps: all of them, or those of its window, its sinks and an append that is still to attend. */
export function layerSlots(
  { contextLen, maxSeqLen = 1 }: CacheOptions,
  windowed?: CacheShape["windowed"],
): number {
  if (!windowed) return contextLen;
  return Math.min(contextLen, windowed.window + maxSeqLen - 1 + (windowed.sinks ?? 0));
}

/** The layers of a model by what they see: all of the context, or a window. */
export function layerKinds(
  { numLayers, windowed }: CacheShape,
): { count: number; windowed?: CacheShape["windowed"] }[] {
  const kinds = [{ count: numLayers - (windowed?.numLayers ?? 0) }, {
    count: windowed?.numLayers ?? 0,
    windowed,
  }];
  return kinds.filter(({ count }) => count > 0);
}

/** Throws unless the shape makes sense. */
export function checkShape(shape: CacheShape): void {
  const { numLayers, numKvHeads, headDim, valueDim = headDim, windowed } = shape;
  const sizes = { numLayers, numKvHeads, headDim, valueDim };
  for (const [name, value] of Object.entries(sizes)) checkInteger(ACTION, name, value);
  if (!windowed) return;
  checkInteger(ACTION, "windowed.numLayers", windowed.numLayers, 0);
  checkInteger(ACTION, "windowed.window", windowed.window);
  checkInteger(ACTION, "windowed.sinks", windowed.sinks ?? 0, 0);
  if (windowed.numLayers > numLayers) {
    throw new RangeError(
      sentence(ACTION, "the windowed layers must be among all layers", {
        numLayers,
        "windowed.numLayers": windowed.numLayers,
      }),
    );
  }
}

/** Throws unless the options make sense. */
export function checkOptions(options: CacheOptions): void {
  const { contextLen, batch = 1, dtype = "f16", maxSeqLen = 1 } = options;
  for (const [name, value] of Object.entries({ contextLen, batch, maxSeqLen })) {
    checkInteger(ACTION, name, value);
  }
  checkChoice(ACTION, "dtype", dtype, KV_DTYPES);
}

function bytesOf(shape: CacheShape, options: CacheOptions): number {
  const { numKvHeads, headDim, valueDim = headDim } = shape;
  const { batch = 1, dtype = "f16" } = options;
  return layerKinds(shape).reduce((sum, { count, windowed }) => {
    const slots = layerSlots(options, windowed);
    return sum + count * kvBytes({ batch, numKvHeads, headDim, valueDim, kvDtype: dtype }, slots);
  }, 0);
}

/** What grows with the batch: the cache as it is allocated, and activations. */
function neededBytes(shape: CacheShape, budget: MemoryBudget, options: CacheOptions): number {
  const { batch = 1 } = options;
  const counters = batch * shape.numLayers * COUNTER_BYTES;
  return bytesOf(shape, options) + counters + batch * (budget.activationBytes ?? 0);
}

/** What the weights leave. */
function freeBytes({ memoryBytes, weightBytes = 0, activationBytes = 0 }: MemoryBudget): number {
  for (const [name, value] of Object.entries({ memoryBytes, weightBytes, activationBytes })) {
    if (typeof value !== "number") {
      throw new TypeError(sentence(ACTION, `${name} must be a number`, { [name]: value }));
    }
    if (!(value >= 0 && value < Infinity)) {
      throw new RangeError(
        sentence(ACTION, `${name} must be at least 0 and finite`, { [name]: value }),
      );
    }
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

/** The largest whole number that passes, where everything smaller passes too; Infinity where nothing is too large. */
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
