/** The weights of an attention layer on the device, and the work on both sides of attention. */
import { checkChoice, checkFinite } from "../base/check.ts";
import { type BoundWork, inSequence } from "../gpu/bound_work.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Owned } from "../gpu/owned.ts";
import { KV_DTYPES, type KvDtype } from "../tensor/dtype.ts";
import { checkDtype, type HostTensor, Tensor } from "../tensor/tensor.ts";
import type { AttentionWeights, Projection } from "./attention_weights.ts";
import { type QueryRotation, rotationOf } from "../cache/rope_kernel.ts";
import { HeadNorms } from "./head_norms.ts";
import { Linear } from "./linear.ts";
import type { LinearInput } from "./linear_input.ts";
import { Norm } from "./norm.ts";
import { concatenated, projectionsOf } from "./projections.ts";
import { WeightMatrix } from "./weight_matrix.ts";

/** The tensors of {@linkcode MultiQueryAttention.bind}; all of them are the caller's. */
export interface LayerTensors {
  /** New tokens [B, S, dim], f32. */
  x: Tensor;
  /** The output of the layer [B, S, dim], f32, written. */
  y: Tensor;
  /** Whether it is added to `y`, as to a residual stream. The default is false. */
  adds?: boolean;
  /** The tensors that `scoreMod` and `maskMod` read, by their names, each in the planned shape and element type. */
  modTensors?: Readonly<Record<string, Tensor>>;
}

/** The tensors of a layer whose projections may normalise its input. */
export type NormedLayerTensors = LayerTensors & LinearInput;

/** Sizes and storage of projections. */
export interface ProjectionOptions {
  dim: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
  weightDtype: KvDtype;
  normEps: number;
}

/** Rows of new tokens between the projections and attention, f32 [..., heads, headDim]. */
export interface AttentionRows {
  q: Tensor;
  k: Tensor;
  v: Tensor;
  o: Tensor;
  /** Queries and keys as they are projected, where they are normalised after that. */
  projectedQ: Tensor;
  projectedK: Tensor;
}

/** Projections of queries, keys, values and the output, and norms of queries and keys. */
export class AttentionProjections {
  readonly gpu: Gpu;
  readonly options: ProjectionOptions;
  readonly #qkv: Linear;
  readonly #o: Linear;
  /** Of queries and keys, where both are normalised; else of either. */
  readonly #headNorms: HeadNorms | undefined;
  readonly #qNorm: Norm | undefined;
  readonly #kNorm: Norm | undefined;

  private constructor(
    gpu: Gpu,
    options: ProjectionOptions,
    weights: { qkv: Linear; o: Linear; headNorms?: HeadNorms; qNorm?: Norm; kNorm?: Norm },
  ) {
    this.gpu = gpu;
    this.options = options;
    this.#qkv = weights.qkv;
    this.#o = weights.o;
    this.#headNorms = weights.headNorms;
    this.#qNorm = weights.qNorm;
    this.#kNorm = weights.kNorm;
  }

  /** Uploads the weights; `owned` keeps them. */
  static async create(
    action: string,
    gpu: Gpu,
    owned: Owned,
    weights: AttentionWeights,
    options: ProjectionOptions,
  ): Promise<AttentionProjections> {
    const { weightDtype, normEps, ...shape } = options;
    checkChoice(action, "weightDtype", weightDtype, KV_DTYPES);
    checkDtype(gpu, action, weightDtype, "weightDtype");
    checkFinite(action, "normEps", normEps);
    const { q, k, v, o } = projectionsOf(action, weights, shape);
    const tensor = async (label: string, data: HostTensor) =>
      owned.keep(await Tensor.upload(gpu, data, { label }));
    const linear = async (label: string, { weight, bias }: Projection) => {
      const matrix = await WeightMatrix.upload(gpu, weight, { dtype: weightDtype, label });
      const w = owned.keep(matrix);
      const weights = bias ? { w, bias: await tensor(`${label} bias`, bias) } : { w };
      return owned.keep(new Linear(gpu, label, weights));
    };
    const gainOf = (label: string, gain: HostTensor | undefined) =>
      gain ? tensor(label, gain) : undefined;
    const gains = {
      q: await gainOf("norm q", weights.qNorm),
      k: await gainOf("norm k", weights.kNorm),
    };
    const norm = async (gain: Tensor | undefined) =>
      gain && owned.keep(await Norm.create(gpu, { gain }, { kind: "rms", eps: normEps }));
    const norms = gains.q && gains.k
      ? { headNorms: owned.keep(new HeadNorms(gpu, { q: gains.q, k: gains.k }, normEps)) }
      : { qNorm: await norm(gains.q), kNorm: await norm(gains.k) };
    return new AttentionProjections(gpu, options, {
      qkv: await linear("project qkv", concatenated([q, k, v])),
      o: await linear("project o", o),
      ...norms,
    });
  }

  /** Which of queries and keys are normalised: layers that are alike in this can share rows. */
  get norms(): string {
    const [q, k] = [this.#qNorm, this.#kNorm].map((norm) => norm ?? this.#headNorms);
    return [...(q ? ["q"] : []), ...(k ? ["k"] : [])].join();
  }

  /** Bytes of the weights on the device. */
  get bytes(): number {
    const modules = [this.#qkv, this.#o, this.#headNorms, this.#qNorm, this.#kNorm];
    return modules.reduce((sum, module) => sum + (module?.bytes ?? 0), 0);
  }

  /** Allocates rows of new tokens, [B, S] or [tokens] of them; `owned` keeps them. */
  async emptyRows(owned: Owned, tokens: readonly number[]): Promise<AttentionRows> {
    const { numHeads, numKvHeads, headDim } = this.options;
    const empty = async (label: string, heads: number) =>
      owned.keep(await Tensor.empty(this.gpu, [...tokens, heads, headDim], { label }));
    const q = await empty("q", numHeads);
    const k = await empty("k", numKvHeads);
    return {
      ...{ q, k, v: await empty("v", numKvHeads), o: await empty("o", numHeads) },
      projectedQ: this.#headNorms ?? this.#qNorm ? await empty("projected q", numHeads) : q,
      projectedK: this.#headNorms ?? this.#kNorm ? await empty("projected k", numKvHeads) : k,
    };
  }

  /** How the norm of queries rotates them as well, to the positions that they will have in a cache; undefined if it does not. */
  rotationFor(cache: object): QueryRotation | undefined {
    return this.#headNorms && rotationOf(cache);
  }

  /**
   * Binds the layer over new tokens, with the work that takes `q`, `k` and `v` to `o` between its projections.
   *
   * @param rotation The rotation of queries, where that work does without: see {@linkcode rotationFor}.
   */
  async bind(
    tensors: NormedLayerTensors,
    rows: AttentionRows,
    attend: readonly BoundWork[],
    rotation?: QueryRotation,
  ): Promise<BoundWork> {
    const inputs = await this.bindInputs(tensors, rows, rotation);
    return inSequence([inputs, ...attend, await this.bindOutput(rows.o, tensors)]);
  }

  /** Binds what attention takes: from new tokens `x` to `q`, `k` and `v`; queries are rotated where norms do that as well. */
  async bindInputs(
    { x, norm }: LinearInput,
    rows: AttentionRows,
    rotation?: QueryRotation,
  ): Promise<BoundWork> {
    const { q, k, v, projectedQ, projectedK } = rows;
    const numTokens = x.length / this.options.dim;
    const buffers = { q: projectedQ.buffer, k: projectedK.buffer, v: v.buffer };
    const widths = { qWidth: q.length / numTokens, kvWidth: k.length / numTokens };
    const normed = (norm: Norm | undefined, from: Tensor, to: Tensor) =>
      norm ? [norm.bind({ x: from.buffer, y: to.buffer }, to.length / this.options.headDim)] : [];
    return inSequence([
      await this.#qkv.bind({ x: x.buffer, ...buffers }, numTokens, widths, norm),
      ...normed(this.#qNorm, projectedQ, q),
      ...normed(this.#kNorm, projectedK, k),
      ...(this.#headNorms ? [await this.#headNorms.bind(rows, numTokens, rotation)] : []),
    ]);
  }

  /** Binds what is made of attention's output: from `o` to the layer's. */
  bindOutput(o: Tensor, { y, adds = false }: Omit<LayerTensors, "x">): Promise<BoundWork> {
    const numTokens = y.length / this.options.dim;
    return this.#o.bind({ x: o.buffer, y: y.buffer }, numTokens, adds ? "sum" : "y");
  }
}
