import { checkObject, checkObjects, sentence } from "../base/check.ts";
import { Turns } from "../base/turns.ts";
import { RingKvCache } from "../cache/ring_kv_cache.ts";
import type { RingKvCacheOptions } from "../cache/ring_options.ts";
import { type AttentionParameters, attentionParameters } from "../costs/attention_parameters.ts";
import type { BoundWork } from "../gpu/bound_work.ts";
import { checkGpu, type Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import type { AttentionSpec } from "../plan/spec.ts";
import type { KvDtype } from "../tensor/dtype.ts";
import type { HostFloats, HostTensor } from "../tensor/tensor.ts";
import { AttentionProjections, type LayerTensors } from "./attention_projections.ts";
import type { AttentionWeights } from "./attention_weights.ts";
import { forwardTokens } from "./forward_tokens.ts";
import { RingAttention } from "./ring_attention.ts";

export type { LayerTensors };

/** Options of {@linkcode MultiQueryAttention.create}. */
export interface MultiQueryAttentionOptions extends
  Pick<
    AttentionSpec,
    "scale" | "softcap" | "alibiSlopes" | "scoreMod" | "maskMod" | "impl" | "tuning"
  > {
  /** Elements of a token. */
  dim: number;
  /** Query heads. */
  numHeads: number;
  /** Key/value heads. The default is 1: multi-query attention. */
  numKvHeads?: number;
  /** Elements of a query, a key and a value. The default is `dim / numHeads`. */
  headDim?: number;
  /**
   * The cache, f32 with layout `"BSNH"` but stored as one likes: one that is there, which stays the caller's, or how to
   * make one. Rotary positions and windows are options of the cache.
   */
  cache:
    | RingKvCache
    | Omit<RingKvCacheOptions, "numKvHeads" | "headDim" | "valueDim" | "dtype" | "layout">;
  /**
   * Whether the layer computes the blocks of its `maskMod` after each append, so that tiles that nobody sees are skipped. The
   * default is false.
   */
  blockMask?: boolean;
  /** Element type of the projections' weights; integers have a step for each output. The default is `"f32"`. */
  weightDtype?: KvDtype;
  /** Keeps the variance of a query or a key from 0, where they are normalised. The default is 1e-6. */
  normEps?: number;
}

const ACTION = "create MultiQueryAttention";
const FORWARD = "run MultiQueryAttention";

/**
 * Multi-query attention as a layer: projections to queries, keys and values, rotation, the ring cache, attention, and the
 * projection of its output. With `numHeads` KV heads it is a multi-head layer, with fewer a grouped-query layer; the
 * projections of keys and values shrink by the group size, those of queries and of the output do not.
 *
 * Shazeer 2019, "Fast Transformer Decoding: One Write-Head is All You Need", arXiv 1911.02150.
 *
 * @example A prompt, then a decode step
 * ```ts
 * import { Gpu, MultiQueryAttention } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const random = (...shape: number[]) => ({
 *   data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => Math.random() - 0.5),
 *   shape,
 * });
 * const [dim, numHeads, headDim] = [64, 8, 8];
 * const layer = await MultiQueryAttention.create(gpu, {
 *   q: { weight: random(numHeads * headDim, dim) },
 *   k: { weight: random(headDim, dim) },
 *   v: { weight: random(headDim, dim) },
 *   o: { weight: random(dim, numHeads * headDim) },
 * }, { dim, numHeads, cache: { capacity: 128, rope: {} } });
 * await layer.forward(random(1, 10, dim));
 * const y = await layer.forward(random(1, 1, dim));
 * console.log(y.shape, layer.cache.length(), layer.parameters.total); // [1, 1, 64] 11 9216
 * gpu.destroy();
 * ```
 */
export class MultiQueryAttention {
  /** Where it runs. */
  readonly gpu: Gpu;
  /** Keys and values of the tokens so far. */
  readonly cache: RingKvCache;
  /** Numbers of weights, biases left out. */
  readonly parameters: AttentionParameters;

  readonly #attention: RingAttention;
  readonly #owned: Owned;
  /** Calls of `forward` append to one cache. */
  readonly #turns = new Turns();

  private constructor(attention: RingAttention, owned: Owned) {
    const { dim, numHeads, numKvHeads, headDim } = attention.projections.options;
    this.gpu = attention.cache.gpu;
    this.cache = attention.cache;
    this.parameters = attentionParameters({ hiddenSize: dim, numHeads, numKvHeads, headDim });
    this.#attention = attention;
    this.#owned = owned;
  }

  /**
   * Uploads the weights, and makes the cache where there is none. Weights are read until it resolves, as a copy would take
   * their memory again: change no array before.
   *
   * @param gpu Where to run.
   * @param weights Projections, each weight [out, in].
   * @param options Shapes, cache and storage.
   * @returns The layer. Destroy it with {@linkcode MultiQueryAttention.destroy}.
   * @throws {TypeError} If a value is of the wrong kind, or a given cache is of another device or element type.
   * @throws {RangeError} If a weight has another shape, heads do not divide, or the device lacks an element type.
   * @throws {GpuWorkError} If the device refuses the memory or a kernel.
   */
  static async create(
    gpu: Gpu,
    weights: AttentionWeights,
    options: MultiQueryAttentionOptions,
  ): Promise<MultiQueryAttention> {
    checkGpu(ACTION, gpu);
    checkObjects(ACTION, { weights, options });
    checkObject(ACTION, "cache", options.cache);
    const { dim, numHeads, numKvHeads = 1, headDim = dim / numHeads, normEps = 1e-6 } = options;
    const { cache: given, weightDtype = "f32", scale, softcap, alibiSlopes } = options;
    const { scoreMod, maskMod, blockMask, impl, tuning } = options;
    const shape = { numHeads, numKvHeads, headDim };
    return await Owned.make(async (owned) => {
      const sizes = { dim, ...shape, weightDtype, normEps };
      const projections = await AttentionProjections.create(ACTION, gpu, owned, weights, sizes);
      const cache = given instanceof RingKvCache
        ? checkCache(gpu, given, shape)
        : owned.keep(await RingKvCache.create(gpu, { ...given, numKvHeads, headDim }));
      const scores = { scale, softcap, alibiSlopes, scoreMod, maskMod, blockMask, impl, tuning };
      const attention = owned.keep(new RingAttention(projections, cache, scores));
      return new MultiQueryAttention(attention, owned);
    });
  }

  /** Bytes of the weights on the device. */
  get weightBytes(): number {
    return this.#attention.projections.bytes;
  }

  /**
   * Checks and binds the tensors of new tokens, and compiles the kernels for their number. Each encoding appends its tokens
   * to the cache and attends to all that the cache has then.
   *
   * @param tensors What each encoding reads and writes. They and the layer must outlive what is returned.
   * @returns The layer over these tensors, to be encoded as often as the rules of the cache allow.
   * @throws {TypeError} If a tensor is missing, of another device or of another element type.
   * @throws {RangeError} If a shape does not match the layer.
   * @throws {WgslError} If `scoreMod` or `maskMod` does not compile.
   * @throws {GpuWorkError} If the device refuses the memory or a kernel.
   */
  async bind(tensors: LayerTensors): Promise<BoundWork> {
    return await this.#attention.bind(FORWARD, tensors);
  }

  /**
   * Runs the layer over new tokens from arrays to arrays: a prompt, or a decode step. Calls that are not awaited run in their
   * order.
   *
   * @param x New tokens [B, S, dim].
   * @param options The tensors that `scoreMod` and `maskMod` read, which stay the caller's.
   * @returns What attention makes of them [B, S, dim].
   * @throws {TypeError} If `x` or a tensor that is read is none.
   * @throws {RangeError} If its shape does not match the layer, or tokens would be lost that the cache's rules keep.
   * @throws {WgslError} If `scoreMod` or `maskMod` does not compile.
   * @throws {GpuWorkError} If the GPU refused some work.
   * @throws {DeviceLostError} If the device is lost.
   */
  async forward(
    x: HostTensor,
    options: Pick<LayerTensors, "modTensors"> = {},
  ): Promise<HostFloats> {
    checkObject(FORWARD, "options", options);
    const { modTensors } = options;
    return await forwardTokens(
      FORWARD,
      this.gpu,
      this.#turns,
      x,
      (tensors) => this.bind({ ...tensors, modTensors }),
    );
  }

  /** Frees weights and scratch, and the cache unless it was given. */
  destroy(): void {
    this.#owned.destroy();
  }
}

function checkCache(
  gpu: Gpu,
  cache: RingKvCache,
  shape: { numKvHeads: number; headDim: number },
): RingKvCache {
  const { numKvHeads, headDim, valueDim, dtype, layout } = cache.spec;
  if (cache.gpu.device !== gpu.device || dtype !== "f32" || layout !== "BSNH") {
    throw new TypeError(
      sentence(ACTION, `the cache must be f32, "BSNH" and on the same device`, {
        dtype,
        layout,
        cache: cache.gpu.description.description,
        device: gpu.description.description,
      }),
    );
  }
  if (numKvHeads !== shape.numKvHeads || headDim !== shape.headDim || valueDim !== headDim) {
    throw new RangeError(
      sentence(ACTION, "the cache must have the heads of the layer", {
        ...shape,
        "cache.numKvHeads": numKvHeads,
        "cache.headDim": headDim,
        "cache.valueDim": valueDim,
      }),
    );
  }
  return cache;
}
