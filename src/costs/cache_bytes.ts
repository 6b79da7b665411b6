/** Bytes of a model's KV cache. */
import { checkChoice, checkInteger, checkObject, sentence } from "../base/check.ts";
import { layerBytes } from "../cache/kv_shape.ts";
import { KV_DTYPES, type KvDtype } from "../tensor/dtype.ts";

/** The layers and heads that decide the size of a model's KV cache. */
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
   * Whether the first `valueDim` elements of a key are the value, so that a token has one row instead of two, as in
   * multi-head latent attention (DeepSeek-AI 2024, arXiv 2405.04434). The default is false.
   */
  isLatent?: boolean;
  /**
   * The layers, of all `numLayers`, that see a window of the context only: the last `window` tokens, and the first `sinks`
   * of the sequence.
   */
  windowed?: { numLayers: number; window: number; sinks?: number };
}

/** The tokens that a cache holds, and their element type. */
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

const ACTION = "plan memory";

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
  checkCacheShape(shape);
  checkCacheOptions(options);
  return cacheBytes(shape, options);
}

/**
 * The layers of a model by the tokens that each keeps of a sequence: all of the context, or those of its window, its sinks
 * and an append that is still to attend.
 */
export function layerSlots(
  { numLayers, windowed }: CacheShape,
  { contextLen, maxSeqLen = 1 }: CacheOptions,
): { numLayers: number; slots: number }[] {
  if (!windowed) return [{ numLayers, slots: contextLen }];
  const { window, sinks = 0 } = windowed;
  return [
    { numLayers: numLayers - windowed.numLayers, slots: contextLen },
    {
      numLayers: windowed.numLayers,
      slots: Math.min(contextLen, window + maxSeqLen - 1 + sinks),
    },
  ];
}

/** Throws unless the shape is that of a cache. */
export function checkCacheShape(shape: CacheShape): void {
  checkObject(ACTION, "shape", shape);
  const { numLayers, numKvHeads, headDim, valueDim = headDim, isLatent, windowed } = shape;
  const sizes = { numLayers, numKvHeads, headDim, valueDim };
  for (const [name, value] of Object.entries(sizes)) checkInteger(ACTION, name, value);
  if (isLatent && valueDim > headDim) {
    throw new RangeError(
      sentence(ACTION, "a value that is part of its key must not be longer", { headDim, valueDim }),
    );
  }
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

/** Throws unless the options are those of a cache. */
export function checkCacheOptions(options: CacheOptions): void {
  checkObject(ACTION, "options", options);
  const { contextLen, batch = 1, dtype = "f16", maxSeqLen = 1 } = options;
  for (const [name, value] of Object.entries({ contextLen, batch, maxSeqLen })) {
    checkInteger(ACTION, name, value);
  }
  checkChoice(ACTION, "dtype", dtype, KV_DTYPES);
}

/** {@linkcode kvCacheBytes} of a shape and options that are checked already. */
export function cacheBytes(shape: CacheShape, options: CacheOptions): number {
  const { numKvHeads, headDim, valueDim = headDim, isLatent = false } = shape;
  const { batch = 1, dtype = "f16" } = options;
  const valuesAre = isLatent ? "keys" : undefined;
  const sizes = { batch, numKvHeads, headDim, valueDim, valuesAre, kvDtype: dtype } as const;
  return layerSlots(shape, options)
    .reduce((sum, { numLayers, slots }) => sum + numLayers * layerBytes(sizes, slots), 0);
}
