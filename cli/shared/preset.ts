/** A model as the planner knows it. */
import type { CacheShape } from "../../mod.ts";

/** A decoder's shapes. */
export interface Model extends CacheShape {
  /** Name, e.g. "LLaMA-2-7B". */
  name: string;
  /** Query heads of each layer. */
  numHeads: number;
  /** KV heads that the model was trained with. */
  numKvHeads: number;
  /** Width of the residual stream. */
  hiddenSize: number;
  /** Width inside the feed-forward layers. */
  ffnSize: number;
  /** Whether these have a gate (SwiGLU, GeGLU): three matrices instead of two. */
  isGated: boolean;
  /** Rows of the token embedding. */
  vocabSize: number;
  /** Whether the output layer is the token embedding. */
  isTied: boolean;
  /** Longest context that the model is published for, where that is known. */
  maxContext?: number;
  /** Parameters of the whole model: as published, or as counted. */
  parameters: number;
  /** Where all this is published. */
  source: string;
}

/** Parameters in the matrices of a model. Norms, biases and positions are left out: about one in a hundred at most. */
export function countParameters(model: Omit<Model, "name" | "parameters" | "source">): number {
  const { numLayers, hiddenSize, ffnSize, numHeads, numKvHeads, headDim } = model;
  const attention = 2 * hiddenSize * headDim * (numHeads + numKvHeads);
  const feedForward = (model.isGated ? 3 : 2) * hiddenSize * ffnSize;
  const embedding = model.vocabSize * hiddenSize;
  return numLayers * (attention + feedForward) + (model.isTied ? 1 : 2) * embedding;
}

/**
 * Bytes of activations that a decode step holds at once for each sequence, in f32 as the largest case: the residual, what
 * a layer makes of it at its widest, and the logits.
 */
export function activationBytes(model: Model): number {
  const { hiddenSize, ffnSize, numHeads, numKvHeads, headDim, vocabSize, isGated } = model;
  const attention = 2 * (numHeads + numKvHeads) * headDim;
  const feedForward = (isGated ? 2 : 1) * ffnSize;
  return 4 * (2 * hiddenSize + Math.max(attention, feedForward) + vocabSize);
}
