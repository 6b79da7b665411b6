import { checkChoice, checkObject, sentence } from "../base/check.ts";
import { Linear } from "./linear.ts";
import { WeightMatrix } from "./weight_matrix.ts";
import { Norm } from "./norm.ts";
import { once } from "../base/once.ts";
import { Turns } from "../base/turns.ts";
import { forwardTokens } from "./forward_tokens.ts";
import { concatenated, projectionsOf } from "./projections.ts";
import type { AttentionWeights, Projection } from "./attention_weights.ts";
import { Attention } from "../attend/attention.ts";
import { type BoundWork, inSequence } from "../gpu/bound_work.ts";
import type { Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import { type AttentionParameters, attentionParameters } from "../costs/attention_parameters.ts";
import { RingKvCache } from "../cache/ring_kv_cache.ts";
import type { RingKvCacheOptions } from "../cache/ring_options.ts";
import type { AttentionSpec } from "../plan/spec.ts";
import {
  checkDtype,
  checkTensor,
  type HostFloats,
  type HostTensor,
  Tensor,
} from "../tensor/tensor.ts";
import { KV_DTYPES, type KvDtype } from "../tensor/dtype.ts";

/** Options of {@linkcode MultiQueryAttention.create}. */
export interface MultiQueryAttentionOptions
  extends Pick<AttentionSpec, "scale" | "softcap" | "alibiSlopes" | "impl" | "tuning"> {
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
  /** Element type of the projections' weights; integers have a step for each output. The default is `"f32"`. */
  weightDtype?: KvDtype;
  /** Keeps the variance of a query or a key from 0, where they are normalised. The default is 1e-6. */
  normEps?: number;
}

/** The tensors of {@linkcode MultiQueryAttention.bind}; all of them are the caller's. */
export interface LayerTensors {
  /** New tokens [B, S, dim], f32. */
  x: Tensor;
  /** The output of the layer [B, S, dim], f32, written. */
  y: Tensor;
  /** Whether it is added to `y`, as to a residual stream. The default is false. */
  adds?: boolean;
}

/** The attention and the tensors for a number of new tokens. */
interface Chunk {
  q: Tensor;
  k: Tensor;
  v: Tensor;
  o: Tensor;
  /** Queries and keys as they are projected, where they are normalised after that. */
  projectedQ: Tensor;
  projectedK: Tensor;
  attention: Attention;
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

  readonly #dim: number;
  readonly #spec: Omit<AttentionSpec, "seqLen">;
  readonly #owned: Owned;
  readonly #qkv: Linear;
  readonly #o: Linear;
  readonly #qNorm: Norm | undefined;
  readonly #kNorm: Norm | undefined;
  /** Calls of `forward` append to one cache. */
  readonly #turns = new Turns();
  readonly #chunks = new Map<number, Promise<Chunk>>();

  private constructor(
    cache: RingKvCache,
    spec: Omit<AttentionSpec, "seqLen">,
    { owned, dim }: { owned: Owned; dim: number },
    weights: { qkv: Linear; o: Linear; qNorm?: Norm; kNorm?: Norm },
  ) {
    const { numHeads, headDim } = spec;
    const { numKvHeads } = cache.spec;
    this.gpu = cache.gpu;
    this.cache = cache;
    this.parameters = attentionParameters({
      hiddenSize: dim,
      numHeads,
      numKvHeads,
      headDim,
    });
    this.#dim = dim;
    this.#spec = spec;
    this.#owned = owned;
    this.#qkv = weights.qkv;
    this.#o = weights.o;
    this.#qNorm = weights.qNorm;
    this.#kNorm = weights.kNorm;
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
    checkObject(ACTION, "weights", weights);
    checkObject(ACTION, "options", options);
    checkObject(ACTION, "cache", options.cache);
    const { dim, numHeads, numKvHeads = 1, headDim = dim / numHeads, normEps = 1e-6 } = options;
    const { cache: given, weightDtype = "f32", scale, softcap, alibiSlopes, impl, tuning } =
      options;
    const shape = { numHeads, numKvHeads, headDim };
    checkChoice(ACTION, "weightDtype", weightDtype, KV_DTYPES);
    checkDtype(gpu, ACTION, weightDtype, "weightDtype");
    const { q, k, v, o } = projectionsOf(ACTION, weights, { dim, ...shape });

    return await Owned.make(async (owned) => {
      const tensor = async (label: string, data: HostTensor) =>
        owned.keep(await Tensor.upload(gpu, data, { label }));
      const linear = async (label: string, { weight, bias }: Projection) => {
        const matrix = await WeightMatrix.upload(gpu, weight, { dtype: weightDtype, label });
        const w = owned.keep(matrix);
        const weights = bias ? { w, bias: await tensor(`${label} bias`, bias) } : { w };
        return owned.keep(new Linear(gpu, label, weights));
      };
      const norm = async (label: string, gain: HostTensor | undefined) => {
        if (!gain) return undefined;
        const weights = { gain: await tensor(label, gain) };
        return owned.keep(await Norm.create(gpu, weights, { kind: "rms", eps: normEps }));
      };
      const cache = given instanceof RingKvCache
        ? checkCache(gpu, given, shape)
        : owned.keep(await RingKvCache.create(gpu, { ...given, numKvHeads, headDim }));
      return new MultiQueryAttention(
        cache,
        { ...cache.spec, numHeads, scale, softcap, alibiSlopes, impl, tuning },
        { owned, dim },
        {
          qkv: await linear("project qkv", concatenated([q, k, v])),
          o: await linear("project o", o),
          qNorm: await norm("norm q", weights.qNorm),
          kNorm: await norm("norm k", weights.kNorm),
        },
      );
    });
  }

  /** Bytes of the weights on the device. */
  get weightBytes(): number {
    const modules = [this.#qkv, this.#o, this.#qNorm, this.#kNorm];
    return modules.reduce((sum, module) => sum + (module?.bytes ?? 0), 0);
  }

  /**
   * Checks and binds the tensors of new tokens, and compiles the kernels for their number. Each encoding appends its tokens
   * to the cache and attends to all that the cache has then.
   *
   * @param tensors What each encoding reads and writes. They and the layer must outlive what is returned.
   * @returns The layer over these tensors, to be encoded as often as the rules of the cache allow.
   * @throws {TypeError} If a tensor is missing, of another device or of another element type.
   * @throws {RangeError} If a shape does not match the layer.
   * @throws {GpuWorkError} If the device refuses the memory or a kernel.
   */
  async bind(tensors: LayerTensors): Promise<BoundWork> {
    const { gpu, cache } = this;
    const { batch } = cache.spec;
    const { x, y, adds = false } = tensors;
    const seqLen = x?.shape?.[1];
    const shape = [batch, seqLen, this.#dim];
    checkTensor(FORWARD, "x", x, { gpu, shape, dtype: "f32" });
    checkTensor(FORWARD, "y", y, { gpu, shape, dtype: "f32" });
    const chunk = await once(this.#chunks, seqLen, () => this.#makeChunk(seqLen));
    const { q, k, v, o, projectedQ, projectedK, attention } = chunk;
    const numTokens = batch * seqLen;
    const buffers = { q: projectedQ.buffer, k: projectedK.buffer, v: v.buffer };
    const widths = { qWidth: q.length / numTokens, kvWidth: k.length / numTokens };
    const normed = (norm: Norm | undefined, from: Tensor, to: Tensor) =>
      norm ? [norm.bind({ x: from.buffer, y: to.buffer }, to.length / to.shape[3])] : [];
    return inSequence([
      await this.#qkv.bind({ x: x.buffer, ...buffers }, numTokens, widths),
      ...normed(this.#qNorm, projectedQ, q),
      ...normed(this.#kNorm, projectedK, k),
      cache.bindAppend({ k, v }),
      ...(cache.hasRope ? [cache.bindRopeQueries(q)] : []),
      attention.bind({ q, cache, o }),
      await this.#o.bind({ x: o.buffer, y: y.buffer }, numTokens, adds ? "sum" : "y"),
    ]);
  }

  /**
   * Runs the layer over new tokens from arrays to arrays: a prompt, or a decode step. Calls that are not awaited run in their
   * order.
   *
   * @param x New tokens [B, S, dim].
   * @returns What attention makes of them [B, S, dim].
   * @throws {TypeError} If `x` is no tensor.
   * @throws {RangeError} If its shape does not match the layer, or tokens would be lost that the cache's rules keep.
   * @throws {GpuWorkError} If the GPU refused some work.
   * @throws {DeviceLostError} If the device is lost.
   */
  async forward(x: HostTensor): Promise<HostFloats> {
    return await forwardTokens(FORWARD, this.gpu, this.#turns, x, (tensors) => this.bind(tensors));
  }

  /** Frees weights and scratch, and the cache unless it was given. */
  destroy(): void {
    this.#owned.destroy();
  }

  async #makeChunk(seqLen: number): Promise<Chunk> {
    const { gpu } = this;
    const { batch, numKvHeads, headDim } = this.cache.spec;
    const { numHeads } = this.#spec;
    return await Owned.make(async (owned) => {
      const empty = async (label: string, numHeads: number) =>
        owned.keep(await Tensor.empty(gpu, [batch, seqLen, numHeads, headDim], { label }));
      const q = await empty("q", numHeads);
      const k = await empty("k", numKvHeads);
      const chunk = {
        q,
        k,
        v: await empty("v", numKvHeads),
        o: await empty("o", numHeads),
        projectedQ: this.#qNorm ? await empty("projected q", numHeads) : q,
        projectedK: this.#kNorm ? await empty("projected k", numKvHeads) : k,
        attention: owned.keep(await Attention.create(gpu, { ...this.#spec, seqLen })),
      };
      this.#owned.keep(owned);
      return chunk;
    });
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
