/** A model as the planner knows it. */
import type { CacheShape, LatentSizes } from "../../mod.ts";
import type { ModelOutline } from "../../src/checkpoints/model_types/model_type.ts";

/** A decoder's shapes. Its `numLayers` are those that keep keys and values. */
export interface Model extends CacheShape {
  /** Name, e.g. "LLaMA-2-7B". */
  name: string;
  /** Layers that keep numbers of a fixed size instead: convolutions, linear attention, Mamba. */
  recurrentLayers?: number;
  /** Query heads of each layer. */
  numHeads: number;
  /** KV heads that the model was trained with. */
  numKvHeads: number;
  /** Sizes of compressed keys and values, where the cache holds these instead. */
  latent?: LatentSizes;
  /** Width of the residual stream. */
  hiddenSize: number;
  /** Width inside the feed-forward layers, or inside each expert. */
  ffnSize: number;
  /** Whether these have a gate (SwiGLU, GeGLU): three matrices instead of two. */
  isGated: boolean;
  /** Experts beside each other in the layers that have some, and how many of them a token passes. */
  experts?: { count: number; perToken: number; width: number; parameters: number };
  /** Rows of the token embedding. */
  vocabSize: number;
  /** Whether the output layer is the token embedding. */
  isTied: boolean;
  /** Longest context that the model is published for, where that is known. */
  maxContext?: number;
  /** Parameters of the whole model: as published, or as counted. */
  parameters: number;
  /** The publication of all this. */
  source: string;
  /** Whether its layers are not known, and taken for a dense model's. */
  isAssumed?: boolean;
  /** Whether it is the decoder of a model that also sees or hears. */
  isMultimodal?: boolean;
}

/** The values of a model that are not in its outline. */
type Origin = Pick<Model, "name" | "source" | "isAssumed" | "isMultimodal">;

/**
 * The shapes of a model whose layers are known.
 *
 * @throws {RangeError} If none of them keeps keys and values.
 */
export function modelOf(outline: ModelOutline, origin: Origin): Model {
  const { layers, dim, hiddenDim, contextLen, expertParameters, valueDim, ...rest } = outline;
  const windows = layers.flatMap(({ attention }) =>
    attention.kind === "sliding" ? attention.window : []
  );
  const recurrentLayers = layers.filter(({ attention }) => attention.kind === "none").length;
  if (recurrentLayers === layers.length) {
    throw new RangeError(
      `Cannot plan as no layer of ${origin.name} keeps keys and values: current value layers=${layers.length}`,
    );
  }
  const sparse = layers.find(({ feedForward }) => feedForward.experts)?.feedForward;
  return {
    ...rest,
    ...origin,
    numLayers: layers.length - recurrentLayers,
    ...(recurrentLayers > 0 ? { recurrentLayers } : {}),
    hiddenSize: dim,
    ffnSize: hiddenDim,
    ...(valueDim === rest.headDim ? {} : { valueDim }),
    windowed: windows.length > 0 ? { numLayers: windows.length, window: windows[0] } : undefined,
    experts: sparse?.experts && {
      ...sparse.experts,
      width: sparse.experts.perToken * sparse.width + (sparse.sharedWidth ?? 0),
      parameters: expertParameters,
    },
    maxContext: contextLen,
  };
}

/** The cache of a model as it was trained; compressed keys and values are one row that all heads share. */
export function ownCache(model: Model): CacheShape {
  const { numLayers, numKvHeads, headDim, valueDim, windowed, latent } = model;
  if (!latent) return { numLayers, numKvHeads, headDim, valueDim, windowed };
  const { rank, ropeDim } = latent;
  return { numLayers, numKvHeads: 1, headDim: rank + ropeDim, valueDim: rank, isLatent: true };
}

/** Parameters that a decode step reads: those in experts count where a token of the batch passes them, on average. */
export function touchedParameters({ parameters, experts }: Model, batch: number): number {
  if (!experts) return parameters;
  const passedBy = experts.perToken / experts.count;
  return parameters - experts.parameters * (1 - passedBy) ** batch;
}

/**
 * Bytes of activations that a decode step holds at once for each sequence, in f32 as the largest case: the residual, what
 * a layer makes of it at its widest, and the logits.
 */
export function activationBytes(model: Model): number {
  const { hiddenSize, ffnSize, numHeads, numKvHeads, headDim, valueDim = headDim } = model;
  const attention = (numHeads + numKvHeads) * (headDim + valueDim);
  const width = Math.max(ffnSize, model.experts?.width ?? 0);
  const feedForward = (model.isGated ? 2 : 1) * width;
  return 4 * (2 * hiddenSize + Math.max(attention, feedForward) + model.vocabSize);
}
