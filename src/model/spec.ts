import type { RopeOptions } from "../cache/rope.ts";

/** The differences between the layers of a decoder. */
export interface DecoderLayer {
  /** Rotary positions of its queries and keys; absent where positions are learned or ALiBi has them. */
  rope?: RopeOptions;
  /** Tokens that a query sees, its own included. The default is all. */
  window?: number;
}

/**
 * The shape of a decoder-only transformer. Its weights show the rest: biases, norms of queries and keys, norms after attention
 * and feed-forward, a classifier of its own.
 */
export interface DecoderSpec {
  /** Tokens of the vocabulary. */
  vocabSize: number;
  /** Width of the residual stream. */
  dim: number;
  /** Width inside the feed-forward layers. */
  hiddenDim: number;
  /** Query heads. */
  numHeads: number;
  /** Key/value heads: 1 for multi-query attention. */
  numKvHeads: number;
  /** Elements of a query, a key and a value. */
  headDim: number;
  /** Tokens of the longest sequence that the model was made for. */
  contextLen: number;
  /**
   * Whether positions hold for `contextLen` tokens only, as those whose frequencies would have to change beyond it. Learned
   * positions always do. The default is false.
   */
  positionsEnd?: boolean;
  /** The layers, from the first to the last. */
  layers: readonly DecoderLayer[];
  /** The norm of the residual stream, and the number that keeps its variance from 0. */
  norm: { kind: "rms" | "layer"; eps: number };
  /** The activation function. `"geluTanh"` is the approximation with a hyperbolic tangent. */
  activation: "silu" | "gelu" | "geluTanh";
  /** Whether a second projection is multiplied with the activation (SwiGLU, GeGLU). */
  isGated: boolean;
  /** Whether attention and feed-forward both read the layer's input, and both add to it (GPT-J, Falcon). */
  isParallel: boolean;
  /** Factor on the scores. The default is `1 / sqrt(headDim)`. */
  scale?: number;
  /** Slope of each query head by the distance of a key (ALiBi), instead of rotary positions. */
  alibiSlopes?: readonly number[];
  /** Factor on the embedding of a token. The default is 1. */
  embeddingScale?: number;
}
