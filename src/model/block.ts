/** One layer of a decoder: attention and feed-forward, each added to the residual stream. */
import type { Gpu } from "../gpu/device.ts";
import { AttentionProjections, type NormedLayerTensors } from "../layer/attention_projections.ts";
import type { KvDtype } from "../tensor/dtype.ts";
import type { Owned } from "../gpu/owned.ts";
import { Tensor } from "../tensor/tensor.ts";
import { type BoundWork, inSequence } from "../gpu/bound_work.ts";
import { Linear, type LinearActivation } from "../layer/linear.ts";
import { normedInput, normedRows } from "../layer/linear_input.ts";
import type { Norm } from "../layer/norm.ts";
import { attentionWeights, projectionWeights } from "./layer_weights.ts";
import type { Uploads } from "./uploads.ts";
import type { DecoderSpec } from "./spec.ts";
import type { WeightData } from "./weights.ts";

/** The options of a block. */
export interface BlockOptions {
  /** Its name in front of those of its weights. */
  name: string;
  /** Element type of its matrices. */
  weightDtype: KvDtype;
}

/** Binds attention between its projections: over the cache of whoever asks. */
export type BindAttention = (tensors: NormedLayerTensors) => Promise<BoundWork>;

/** Options of a block's work. */
export interface BlockWorkOptions {
  /** Whether the tensors are to have the inputs of its projections, for other readers. The default is not. */
  keepsInputs?: boolean;
}

/** Work up to a point within attention, and from there. */
export interface Halves {
  before: readonly BoundWork[];
  after: readonly BoundWork[];
}

/** Rows of S tokens, shared by all blocks. */
export interface BlockTensors {
  /** The residual stream [1, S, dim]. */
  h: Tensor;
  /** The input of attention [1, S, dim], or `h` where its projections normalise it themselves. */
  attentionInput: Tensor;
  /** The input of the feed-forward layer [1, S, dim], likewise. */
  mlpInput: Tensor;
  /** The inside of the feed-forward layer [1, S, hiddenDim]. */
  inside: Tensor;
  /** An output that is normalised before it is added [1, S, dim]. */
  addend: Tensor;
}

/** Allocates the rows of so many tokens, or fewer; `owned` keeps them. */
export async function blockTensors(
  gpu: Gpu,
  owned: Owned,
  { dim, hiddenDim }: DecoderSpec,
  numTokens: number,
  { keepsInputs }: BlockWorkOptions = {},
): Promise<BlockTensors> {
  const tensor = async (label: string, width: number) =>
    owned.keep(await Tensor.empty(gpu, [1, numTokens, width], { label }));
  const h = await tensor("h", dim);
  const normed = (label: string) =>
    normedRows(owned, label, h, { numTokens, keepsRows: keepsInputs });
  return {
    h,
    attentionInput: await normed("attention input"),
    mlpInput: await normed("mlp input"),
    inside: await tensor("inside", hiddenDim),
    addend: await tensor("addend", dim),
  };
}

/** The modules of a block; norms that it lacks are undefined. */
interface BlockModules {
  attentionNorm: Norm;
  projections: AttentionProjections;
  postAttentionNorm?: Norm;
  mlpNorm?: Norm;
  up: Linear;
  down: Linear;
  postMlpNorm?: Norm;
}

export class Block {
  /** Its attention but for the cache. */
  readonly projections: AttentionProjections;
  readonly #isParallel: boolean;
  readonly #modules: BlockModules;

  private constructor(isParallel: boolean, modules: BlockModules) {
    this.projections = modules.projections;
    this.#isParallel = isParallel;
    this.#modules = modules;
  }

  /** Uploads the weights of a layer. */
  static async create(
    gpu: Gpu,
    spec: DecoderSpec,
    uploads: Uploads,
    { name, weightDtype }: BlockOptions,
  ): Promise<Block> {
    const { dim, numHeads, numKvHeads, headDim, norm } = spec;
    const weights = await attentionWeights(uploads, name);
    const projections = await AttentionProjections.create(
      uploads.action,
      gpu,
      uploads.owned,
      weights,
      {
        ...{ dim, numHeads, numKvHeads, headDim, weightDtype, normEps: norm.eps },
      },
    );
    const mlpNorm = spec.isParallel
      ? await uploads.optionalNorm(`${name}.mlpNorm`, norm)
      : await uploads.norm(`${name}.mlpNorm`, norm);
    const post = { ...norm, to: "sum" } as const;
    return new Block(spec.isParallel, {
      attentionNorm: await uploads.norm(`${name}.attentionNorm`, norm),
      projections,
      postAttentionNorm: await uploads.optionalNorm(`${name}.postAttentionNorm`, post),
      mlpNorm,
      up: await upOf(gpu, spec, uploads, { name, weightDtype }),
      down: await linear(
        gpu,
        uploads,
        `${name}.down`,
        await projectionWeights(uploads, `${name}.down`),
        weightDtype,
      ),
      postMlpNorm: await uploads.optionalNorm(`${name}.postMlpNorm`, post),
    });
  }

  /** Bytes of the weights on the device. */
  get weightBytes(): number {
    return Object.values(this.#modules).reduce((sum, module) => sum + (module?.bytes ?? 0), 0);
  }

  /** Binds the layer over the tokens of `h`, which is read and added to; `attend` binds its attention. */
  async bind(
    tensors: BlockTensors,
    attend: BindAttention,
    options?: BlockWorkOptions,
  ): Promise<BoundWork> {
    const halves = async (bound: NormedLayerTensors) => ({
      before: [await attend(bound)],
      after: [],
    });
    const { before, after } = await this.bindHalves(tensors, halves, options);
    return inSequence([...before, ...after]);
  }

  /** Binds the layer as {@linkcode Block.bind} does, cut where its attention is cut. */
  async bindHalves(
    tensors: BlockTensors,
    attend: (tensors: NormedLayerTensors) => Promise<Halves>,
    { keepsInputs }: BlockWorkOptions = {},
  ): Promise<Halves> {
    const { attentionNorm, postAttentionNorm, mlpNorm, up, down, postMlpNorm } = this.#modules;
    const { h, attentionInput, mlpInput, inside, addend } = tensors;
    const numTokens = h.shape[1];
    const inputOf = (norm: Norm, y: Tensor) =>
      normedInput(norm, { x: h, y }, { numTokens, keepsRows: keepsInputs });
    const added = (norm: Norm | undefined) =>
      norm ? [norm.bind({ x: addend.buffer, y: h.buffer }, numTokens)] : [];

    const ofAttention = inputOf(attentionNorm, attentionInput);
    const attention = await attend({
      ...ofAttention.input,
      ...(postAttentionNorm ? { y: addend } : { y: h, adds: true }),
    });
    // Without a norm of its own, the feed-forward layer reads what attention reads.
    const { input, before } = mlpNorm ? inputOf(mlpNorm, mlpInput) : { ...ofAttention, before: [] };
    const beforeDown = [
      ...before,
      await up.bind({ x: input.x.buffer, y: inside.buffer }, numTokens, "y", input.norm),
    ];
    // Parallel layers read the residual stream before attention adds to it.
    return {
      before: [
        ...ofAttention.before,
        ...(this.#isParallel ? beforeDown : []),
        ...attention.before,
      ],
      after: [
        ...attention.after,
        ...added(postAttentionNorm),
        ...(this.#isParallel ? [] : beforeDown),
        postMlpNorm
          ? await down.bind({ x: inside.buffer, y: addend.buffer }, numTokens)
          : await down.bind({ x: inside.buffer, y: h.buffer }, numTokens, "sum"),
        ...added(postMlpNorm),
      ],
    };
  }
}

/** The first projection of the feed-forward layer, with the rows of the gate between its own. */
async function upOf(
  gpu: Gpu,
  { activation: kind, isGated }: DecoderSpec,
  uploads: Uploads,
  { name, weightDtype }: BlockOptions,
): Promise<Linear> {
  const weight = await uploads.read(`${name}.up.weight`);
  const bias = await uploads.optional(`${name}.up.bias`);
  const up = isGated
    ? {
      weight: alternating(await uploads.read(`${name}.gate.weight`), weight),
      bias: bias && alternating(zerosLike(bias), bias),
    }
    : { weight, bias };
  return await linear(gpu, uploads, `${name}.up`, up, weightDtype, { kind, isGated });
}

async function linear(
  gpu: Gpu,
  uploads: Uploads,
  label: string,
  { weight, bias }: { weight: WeightData; bias?: WeightData },
  dtype: KvDtype,
  activation?: LinearActivation,
): Promise<Linear> {
  const w = await uploads.matrix(label, weight, dtype);
  const weights = bias ? { w, bias: await uploads.tensor(label, bias) } : { w };
  return uploads.owned.keep(new Linear(gpu, label, weights, { activation }));
}

/** The rows of two matrices in turns. */
function alternating(first: WeightData, second: WeightData): WeightData {
  const [rows, size = 1] = first.shape;
  const data = new Float32Array(2 * rows * size);
  for (let row = 0; row < rows; row++) {
    const rowOf = (matrix: WeightData) => matrix.data.subarray(row * size, (row + 1) * size);
    data.set(rowOf(first), 2 * row * size);
    data.set(rowOf(second), (2 * row + 1) * size);
  }
  return { data, shape: [2 * rows, ...first.shape.slice(1)] };
}

function zerosLike({ data, shape }: WeightData): WeightData {
  return { data: new Float32Array(data.length), shape };
}
