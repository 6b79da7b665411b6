import { checkChoice, checkInteger, checkObject, checkObjects, sentence } from "../base/check.ts";
import { once } from "../base/once.ts";
import { Turns } from "../base/turns.ts";
import { forwardTokens } from "./forward_tokens.ts";
import { RingKvCache } from "../cache/ring_kv_cache.ts";
import type { RingKvCacheOptions } from "../cache/ring_options.ts";
import type { RopeOptions } from "../cache/rope.ts";
import { fillInRope, Rope } from "../cache/rope_kernel.ts";
import {
  type AttentionParameters,
  latentAttentionParameters,
} from "../costs/attention_parameters.ts";
import { type BoundWork, boundWork, inSequence } from "../gpu/bound_work.ts";
import { checkGpu, type Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import { explain } from "../plan/explain.ts";
import { type LatentForm, type LatentPlan, planLatent } from "../plan/latent.ts";
import { planAttention } from "../plan/plan.ts";
import type { AttentionSpec } from "../plan/spec.ts";
import { KV_DTYPES, type KvDtype } from "../tensor/dtype.ts";
import {
  checkDtype,
  checkTensor,
  type HostFloats,
  type HostTensor,
  Tensor,
} from "../tensor/tensor.ts";
import {
  checkLatentWeights,
  type LatentAttentionWeights,
  type LatentMatrices,
  latentMatrices,
} from "./latent_weights.ts";
import { Linear } from "./linear.ts";
import { LayerAttention } from "./layer_attention.ts";
import type { LayerTensors } from "./multi_query_attention.ts";
import { Norm } from "./norm.ts";
import { WeightMatrix } from "./weight_matrix.ts";

/** Options of {@linkcode LatentAttention.create}. */
export interface LatentAttentionOptions
  extends Pick<AttentionSpec, "scoreMod" | "maskMod" | "impl" | "tuning"> {
  /** Elements of a token. */
  dim: number;
  /** Query heads. */
  numHeads: number;
  /** Elements of a query and a key of a head without positions. */
  nopeDim: number;
  /** Elements of a rotary query and key, an even number. */
  ropeDim: number;
  /** Elements of a value of a head. */
  valueDim: number;
  /** Elements of a latent vector. */
  rank: number;
  /** Factor on queries times keys. The default is `1 / sqrt(nopeDim + ropeDim)`. */
  scale?: number;
  /**
   * Whether the layer computes the blocks of its `maskMod` after each append, so that tiles that nobody sees are skipped. The
   * default is false.
   */
  blockMask?: boolean;
  /** Rotary positions; DeepSeek's checkpoints have `style: "pairs"`. The default is base 10000 in halves. */
  rope?: Omit<RopeOptions, "dims" | "firstDim">;
  /** How to make the cache of latent rows, f32 with layout `"BSNH"` but stored as one likes. */
  cache: Omit<
    RingKvCacheOptions,
    "numKvHeads" | "headDim" | "valueDim" | "valuesAre" | "dtype" | "layout" | "rope"
  >;
  /** Element type of the projections' weights; integers have a step for each output. The default is `"f32"`. */
  weightDtype?: KvDtype;
  /** Number that keeps the variance of a normalised row from 0. The default is 1e-6. */
  normEps?: number;
  /**
   * The form that {@linkcode LatentAttention.forward} computes in. `"expanded"` is for new tokens of an empty cache. The
   * default is `"auto"`: the one with fewer operations.
   */
  form?: LatentForm | "auto";
}

/** The options of a layer with their defaults filled in. */
type FilledOptions =
  & Required<
    Omit<LatentAttentionOptions, keyof Attending | "cache" | "rope" | "weightDtype" | "normEps">
  >
  & Attending
  & { queryRank?: number };

/** Options of the attention of either form. */
type Attending = Pick<
  LatentAttentionOptions,
  "scoreMod" | "maskMod" | "blockMask" | "impl" | "tuning"
>;

/** Projections of both forms. */
type Linears = Record<Exclude<keyof LatentMatrices, "qDown">, Linear> & { qDown?: Linear };

/** The weights of a layer on the device. */
interface Weights {
  linears: Linears;
  qNorm?: Norm;
  latentNorm: Norm;
}

const ACTION = "create LatentAttention";
const FORWARD = "run LatentAttention";

/**
 * Multi-head latent attention as a layer: a token's keys and values of all heads are made of one latent vector of `rank`
 * elements and one rotary key of `ropeDim`, and a cache keeps these alone.
 *
 * In its absorbed form it is multi-query attention: each query takes in the matrix that makes keys of latent vectors, all
 * heads read one key of `rank + ropeDim` elements, and its first `rank` elements are the value. In its expanded form, for
 * the tokens of an empty cache, each head has a key and a value of its own. Both give the same output;
 * {@linkcode LatentAttention.plan} says which has fewer operations.
 *
 * DeepSeek-V2 (2024, arXiv 2405.04434), DeepSeek-V3 (2024, arXiv 2412.19437).
 *
 * @example A prompt, then a decode step
 * ```ts
 * import { Gpu, LatentAttention } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const random = (...shape: number[]) => ({
 *   data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => Math.random() - 0.5),
 *   shape,
 * });
 * const sizes = { dim: 64, numHeads: 8, nopeDim: 16, ropeDim: 8, valueDim: 16, rank: 32 };
 * const layer = await LatentAttention.create(gpu, {
 *   q: { weight: random(8 * 24, 64) },
 *   kvDown: { weight: random(40, 64) },
 *   kvNorm: random(32),
 *   kvUp: { weight: random(8 * 32, 32) },
 *   o: { weight: random(64, 8 * 16) },
 * }, { ...sizes, cache: { capacity: 128 } });
 * await layer.forward(random(1, 10, 64));
 * const y = await layer.forward(random(1, 1, 64));
 * console.log(y.shape, layer.cache.length(), layer.cache.bytes); // [1, 1, 64] 11 20552: 128 rows of 40
 * gpu.destroy();
 * ```
 */
export class LatentAttention {
  /** Where it runs. */
  readonly gpu: Gpu;
  /** Latent vectors and rotary keys of the tokens so far. */
  readonly cache: RingKvCache;
  /** Numbers of weights, norms left out. */
  readonly parameters: AttentionParameters;

  readonly #options: FilledOptions;
  readonly #owned: Owned;
  readonly #weights: Weights;
  /** Positions of queries in the expanded form. */
  readonly #rope: Rope;
  /** Calls of `forward` append to one cache. */
  readonly #turns = new Turns();
  readonly #chunks = new Map<string, Promise<Chunk>>();

  private constructor(
    cache: RingKvCache,
    options: FilledOptions,
    parameters: AttentionParameters,
    made: { owned: Owned; weights: Weights; rope: Rope },
  ) {
    this.gpu = cache.gpu;
    this.cache = cache;
    this.parameters = parameters;
    this.#options = options;
    this.#owned = made.owned;
    this.#weights = made.weights;
    this.#rope = made.rope;
  }

  /**
   * Uploads the weights, in the matrices of both forms, and makes the cache.
   *
   * @param gpu Where to run.
   * @param weights Projections and norms.
   * @param options Shapes, positions, cache and storage.
   * @returns The layer. Destroy it with {@linkcode LatentAttention.destroy}.
   * @throws {TypeError} If a value is of the wrong kind.
   * @throws {RangeError} If a weight has another shape, a value is out of range, or the device lacks an element type.
   * @throws {GpuWorkError} If the device refuses the memory or a kernel.
   */
  static async create(
    gpu: Gpu,
    weights: LatentAttentionWeights,
    options: LatentAttentionOptions,
  ): Promise<LatentAttention> {
    checkGpu(ACTION, gpu);
    checkObjects(ACTION, { weights, options });
    checkObject(ACTION, "cache", options.cache);
    const { cache: cacheOptions, weightDtype = "f32", normEps = 1e-6, form = "auto" } = options;
    const { dim, numHeads, nopeDim, ropeDim, valueDim, rank, rope = {} } = options;
    const { scoreMod, maskMod, blockMask, impl, tuning } = options;
    const shape = { dim, numHeads, nopeDim, ropeDim, valueDim, rank };
    checkChoice(ACTION, "weightDtype", weightDtype, KV_DTYPES);
    checkChoice(ACTION, "form", form, ["auto", "absorbed", "expanded"]);
    checkDtype(gpu, ACTION, weightDtype, "weightDtype");
    const queryRank = checkLatentWeights(ACTION, weights, shape);
    const headDim = nopeDim + ropeDim;
    const { scale = 1 / Math.sqrt(headDim) } = options;
    const latent = { rank, ropeDim, queryRank };
    const parameters = latentAttentionParameters({ dim, numHeads, headDim, valueDim, latent });

    return await Owned.make(async (owned) => {
      const linear = async (label: string, matrix: HostTensor, heads?: number) => {
        const w = owned.keep(
          await WeightMatrix.upload(gpu, matrix, { dtype: weightDtype, label }),
        );
        return owned.keep(new Linear(gpu, label, { w }, { heads }));
      };
      const norm = async (label: string, gain: HostTensor, width?: number) => {
        const tensor = owned.keep(await Tensor.upload(gpu, gain, { label }));
        const to = width === undefined ? "y" : { heads: 1, first: 0, width };
        const options = { kind: "rms", eps: normEps, to } as const;
        return owned.keep(await Norm.create(gpu, { gain: tensor }, options));
      };
      const { qDown, ...matrices } = latentMatrices(weights, shape);
      const cache = owned.keep(
        await RingKvCache.create(gpu, {
          ...{ ...cacheOptions, numKvHeads: 1, headDim: rank + ropeDim, valueDim: rank },
          ...{ valuesAre: "keys", rope: { ...rope, firstDim: rank } },
        }),
      );
      const filledRope = fillInRope(ACTION, { ...rope, firstDim: nopeDim }, headDim);
      return new LatentAttention(
        cache,
        { ...shape, queryRank, scale, form, scoreMod, maskMod, blockMask, impl, tuning },
        parameters,
        {
          owned,
          weights: {
            linears: {
              qDown: qDown && await linear("compress q", qDown),
              qNope: await linear("project q", matrices.qNope),
              qRope: await linear("project rotary q", matrices.qRope),
              latent: await linear("project latent", matrices.latent),
              keyRope: await linear("project rotary k", matrices.keyRope),
              absorbed: await linear("absorb q", matrices.absorbed, numHeads),
              values: await linear("project values", matrices.values, numHeads),
              expandedKeys: await linear("expand k", matrices.expandedKeys),
              expandedValues: await linear("expand v", matrices.expandedValues),
              o: await linear("project o", matrices.o),
            },
            qNorm: "q" in weights ? undefined : await norm("norm q", weights.qNorm),
            latentNorm: await norm("norm latent", weights.kvNorm, rank + ropeDim),
          },
          rope: await Rope.create(gpu, owned, filledRope, { headDim, dtype: "f32" }),
        },
      );
    });
  }

  /** Bytes of the weights on the device, those of both forms. */
  get weightBytes(): number {
    const { linears, qNorm, latentNorm } = this.#weights;
    return [...Object.values(linears), qNorm, latentNorm]
      .reduce((sum, module) => sum + (module?.bytes ?? 0), 0);
  }

  /**
   * Plans new tokens: the form, the reason, and the operations of both forms.
   *
   * @param seqLen New tokens of each sequence.
   * @param history Tokens of a sequence before them. The default is those of the cache.
   * @returns The plan.
   * @throws {TypeError} If a value is no number.
   * @throws {RangeError} If there is no new token, or the expanded form is asked for and there are older ones.
   */
  plan(seqLen: number, history: number = this.cache.maxLength): LatentPlan {
    checkInteger(FORWARD, "seqLen", seqLen);
    checkInteger(FORWARD, "history", history, 0);
    const plan = planLatent(this.#options, { seqLen, contextLen: history + seqLen });
    const { form } = this.#options;
    if (form === "auto") return plan;
    if (form === "expanded" && history > 0) throw olderTokens(history);
    return { ...plan, form, reason: `form "${form}" is asked for` };
  }

  /**
   * Describes for people how new tokens are computed: the form, the reason, and the plan of the attention in that form.
   *
   * @param seqLen New tokens of each sequence.
   * @param history Tokens of a sequence before them. The default is those of the cache.
   * @returns Lines of text, without a newline at the end.
   */
  explain(seqLen: number, history?: number): string {
    const { form, reason } = this.plan(seqLen, history);
    const attention = planAttention(
      this.#specOf(form, seqLen),
      this.gpu.device.limits,
      this.gpu.profile,
    );
    return `${form}, as ${reason}\n${explain(attention)}`;
  }

  /**
   * Checks and binds the tensors of new tokens, and compiles the kernels for their number. Each encoding appends its tokens
   * to the cache and attends to all that the cache has then.
   *
   * @param tensors What each encoding reads and writes. They and the layer must outlive what is returned.
   * @param form The form; the expanded one is encoded while the cache is empty. The default is `"absorbed"`.
   * @returns The layer over these tensors, to be encoded as often as the rules of the cache allow.
   * @throws {TypeError} If a tensor is missing, of another device or of another element type.
   * @throws {RangeError} If a shape does not match the layer.
   * @throws {WgslError} If `scoreMod` or `maskMod` does not compile.
   * @throws {GpuWorkError} If the device refuses the memory or a kernel.
   */
  async bind(tensors: LayerTensors, form: LatentForm = "absorbed"): Promise<BoundWork> {
    checkChoice(FORWARD, "form", form, ["absorbed", "expanded"]);
    const { gpu, cache } = this;
    const { batch } = cache.spec;
    const { dim, numHeads, nopeDim, ropeDim, rank } = this.#options;
    const { linears, qNorm, latentNorm } = this.#weights;
    const { x, y, adds = false, modTensors } = tensors;
    const seqLen = x?.shape?.[1];
    checkTensor(FORWARD, "x", x, { gpu, shape: [batch, seqLen, dim], dtype: "f32" });
    checkTensor(FORWARD, "y", y, { gpu, shape: [batch, seqLen, dim], dtype: "f32" });
    const chunk = await once(
      this.#chunks,
      `${form} ${seqLen}`,
      () => this.#makeChunk(form, seqLen),
    );
    const numTokens = batch * seqLen;
    const row = rank + ropeDim;
    const { k, latent } = chunk;
    const project = (name: keyof Linears, from: Tensor, to: Tensor, target?: Target) =>
      linears[name]!.bind({ x: from.buffer, y: to.buffer }, numTokens, target);
    const compressed = qNorm && chunk.compressed
      ? [
        await project("qDown", x, chunk.compressed.down),
        qNorm.bind(
          { x: chunk.compressed.down.buffer, y: chunk.compressed.normed.buffer },
          numTokens,
        ),
      ]
      : [];
    const queries = chunk.compressed?.normed ?? x;
    const appended = [
      ...compressed,
      await project("latent", x, latent),
      latentNorm.bind({ x: latent.buffer, y: k.buffer }, numTokens),
      await project("keyRope", x, k, { heads: 1, first: rank, width: row }),
      cache.bindAppend({ k }),
    ];
    const output = await project("o", chunk.values, y, adds ? "sum" : "y");
    if (chunk.form === "absorbed") {
      const { q, nope, averaged, attention } = chunk;
      const target = { heads: numHeads, width: row };
      return inSequence([
        ...appended,
        await project("qNope", queries, nope),
        await project("absorbed", nope, q, { ...target, first: 0 }),
        await project("qRope", queries, q, { ...target, first: rank }),
        cache.bindRopeQueries(q),
        ...attention.bind({ q, cache, o: averaged, modTensors }),
        await project("values", averaged, chunk.values),
        output,
      ]);
    }
    const { q, keys, headValues, attention } = chunk;
    const target = { heads: numHeads, width: nopeDim + ropeDim };
    const rows = { arrangement: "padded", seqLen } as const;
    const ropes = { ...rows, layout: "BSNH", batch, numHeads, buffer: q.buffer } as const;
    const isFirst = boundWork([], () => {
      const { maxLength } = cache;
      if (maxLength > 0) throw olderTokens(maxLength);
      return undefined;
    });
    return inSequence([
      isFirst,
      ...appended,
      // The row is in the cache already: here it takes the positions that expanded keys have.
      cache.bindRopeQueries(k),
      await project("expandedKeys", k, keys),
      await project("expandedValues", k, headValues),
      await project("qNope", queries, q, { ...target, first: 0 }),
      await project("qRope", queries, q, { ...target, first: nopeDim }),
      boundWork([this.#rope.bind(ropes, { lengths: cache.lengthsBuffer })]),
      ...attention.bind({ q, k: keys, v: headValues, o: chunk.values, modTensors }),
      output,
    ]);
  }

  /**
   * Runs the layer over new tokens from arrays to arrays: a prompt, or a decode step. Calls that are not awaited run in their
   * order.
   *
   * @param x New tokens [B, S, dim].
   * @param options The tensors that `scoreMod` and `maskMod` read, which stay the caller's.
   * @returns What attention makes of them [B, S, dim].
   * @throws {TypeError} If `x` or a tensor that is read is none.
   * @throws {RangeError} If its shape does not match the layer, tokens would be lost that the cache's rules keep, or the
   * expanded form is asked for and the cache has tokens.
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
    return await forwardTokens(FORWARD, this.gpu, this.#turns, x, async (tensors) => {
      const { form } = this.plan(tensors.x.shape[1]);
      return await this.bind({ ...tensors, modTensors }, form);
    });
  }

  /** Frees weights, scratch and cache. */
  destroy(): void {
    this.#owned.destroy();
  }

  #specOf(form: LatentForm, seqLen: number): AttentionSpec {
    const { numHeads, nopeDim, ropeDim, valueDim, scale, impl, tuning } = this.#options;
    const { scoreMod, maskMod, blockMask } = this.#options;
    const { batch, window, sinks } = this.cache.spec;
    const shared = { numHeads, seqLen, scale, scoreMod, maskMod, blockMask, impl, tuning };
    if (form === "absorbed") return { ...this.cache.spec, ...shared };
    const sizes = { headDim: nopeDim + ropeDim, valueDim };
    return { ...shared, ...sizes, batch, capacity: seqLen, window, sinks };
  }

  async #makeChunk(form: LatentForm, seqLen: number): Promise<Chunk> {
    const { gpu } = this;
    const { batch } = this.cache.spec;
    const { numHeads, nopeDim, ropeDim, valueDim, rank, queryRank } = this.#options;
    return await Owned.make(async (owned) => {
      const empty = async (label: string, heads: number, size: number) =>
        owned.keep(await Tensor.empty(gpu, [batch, seqLen, heads, size], { label }));
      const shared = {
        compressed: queryRank === undefined ? undefined : {
          down: await empty("compressed q", 1, queryRank),
          normed: await empty("normed q", 1, queryRank),
        },
        latent: await empty("latent", 1, rank),
        k: await empty("latent k", 1, rank + ropeDim),
        values: await empty("values", numHeads, valueDim),
        attention: await LayerAttention.create(gpu, owned, this.#specOf(form, seqLen)),
      };
      const chunk: Chunk = form === "absorbed"
        ? {
          ...{ form, ...shared },
          nope: await empty("q without positions", numHeads, nopeDim),
          q: await empty("absorbed q", numHeads, rank + ropeDim),
          averaged: await empty("averaged latent", numHeads, rank),
        }
        : {
          ...{ form, ...shared },
          q: await empty("q", numHeads, nopeDim + ropeDim),
          keys: await empty("k", numHeads, nopeDim + ropeDim),
          headValues: await empty("v", numHeads, valueDim),
        };
      this.#owned.keep(owned);
      return chunk;
    });
  }
}

/** The target of a projection. */
type Target = Parameters<Linear["bind"]>[2];

/** The attention and the tensors for a number of new tokens. */
type Chunk =
  & {
    /** Queries of few elements, where they are compressed. */
    compressed?: { down: Tensor; normed: Tensor };
    /** Latent vectors before their norm. */
    latent: Tensor;
    /** Rows for the cache. */
    k: Tensor;
    /** Averaged values of each head. */
    values: Tensor;
    attention: LayerAttention;
  }
  & (
    | {
      form: "absorbed";
      nope: Tensor;
      q: Tensor;
      averaged: Tensor;
    }
    | {
      form: "expanded";
      q: Tensor;
      keys: Tensor;
      headValues: Tensor;
    }
  );

function olderTokens(history: number): RangeError {
  return new RangeError(
    sentence(FORWARD, 'the expanded form is for an empty cache (choose "absorbed", or clear it)', {
      history,
    }),
  );
}
