import type { RopeOptions } from "../cache/rope.ts";

/** What differs between the layers of a decoder. */
export interface DecoderLayer {
  /** Rotary positions of its queries and keys; nothing where the decoder tells positions otherwise. */
  rope?: RopeOptions;
  /** Tokens that a query sees, its own included. The default is all. */
  window?: number;
}

/**
 * The shape of a decoder-only transformer. What else it has (biases, norms of queries and keys, norms after attention and
 * feed-forward, a classifier of its own) shows in the weights that it comes with.
 */
export interface DecoderSpec {
  /** Tokens that there are. */
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
  /** Tokens that the model was made for. */
  contextLen: number;
  /** From the first layer to the last. */
  layers: readonly DecoderLayer[];
  /** How the residual stream is normalised, and the number that keeps a variance from 0. */
  norm: { kind: "rms" | "layer"; eps: number };
  /** What the feed-forward layer makes of its inside. `"geluTanh"` is the approximation with a hyperbolic tangent. */
  activation: "silu" | "gelu" | "geluTanh";
  /** Whether a second projection is multiplied with the activation (SwiGLU, GeGLU). */
  isGated: boolean;
  /** Whether attention and feed-forward both read the layer's input, and add to it at once (GPT-J, Falcon). */
  isParallel: boolean;
  /** Factor on the scores. The default is `1 / sqrt(headDim)`. */
  scale?: number;
  /** Slope of each query head by the distance of a key (ALiBi), instead of rotary positions. */
  alibiSlopes?: readonly number[];
  /** Factor on the embedding of a token. The default is 1. */
  embeddingScale?: number;
}
