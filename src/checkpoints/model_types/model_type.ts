import type { LatentSizes } from "../../costs/attention_parameters.ts";
import type { FieldRules, HfConfig } from "../config.ts";

/** The tokens that the queries of a layer see, and the memory that the layer keeps of each. */
export type LayerAttention =
  /** Keys and values of every token. */
  | { kind: "full" }
  /** Keys and values of the last `window` tokens. */
  | { kind: "sliding"; window: number }
  /** One row of every token that all heads share: a compressed key and value, and a rotary key (multi-head latent attention). */
  | { kind: "latent" }
  /** No keys and values: a recurrent layer (convolution, linear attention, Mamba) keeps numbers of a fixed size. */
  | { kind: "none"; parameters: number };

/** The feed-forward layer of one layer. */
export interface FeedForward {
  /** Width inside: of the one dense layer, or of each expert. */
  width: number;
  /** Experts beside each other, and how many of them a token passes. */
  experts?: { count: number; perToken: number };
  /** Width of the shared experts, which every token passes. */
  sharedWidth?: number;
}

/** Sizes that are alike in all layers of a model. */
export interface ModelSizes {
  /** Tokens that there are. */
  vocabSize: number;
  /** Width of the residual stream. */
  dim: number;
  /** Width inside a dense feed-forward layer, or inside an expert where there is none. */
  hiddenDim: number;
  numHeads: number;
  numKvHeads: number;
  /** Elements of a query and a key. */
  headDim: number;
  /** Elements of a value. */
  valueDim: number;
  latent?: LatentSizes;
  /** Tokens that the model was made for, where that is known. */
  contextLen?: number;
}

/** The layers of a model by its `config.json`, whether or not the decoder here runs it. */
export interface ModelOutline extends ModelSizes {
  layers: readonly { attention: LayerAttention; feedForward: FeedForward }[];
  /** Whether feed-forward layers have a gate: three matrices instead of two. */
  isGated: boolean;
  /** Whether the embedding serves as output layer. */
  isTied: boolean;
  /** Parameters in matrices, all experts included. Norms and biases are left out. */
  parameters: number;
  /** Those among them that are in experts of which a token passes some. */
  expertParameters: number;
}

/** Reads the attention of each layer. */
export type AttentionRule = (config: HfConfig, sizes: ModelSizes) => LayerAttention[];

/** Reads the feed-forward layer of each layer, by its number. */
export type FeedForwardRule = (config: HfConfig, sizes: ModelSizes) => (n: number) => FeedForward;

/** A configuration class: what its fields mean, and what its layers are made of. */
export interface ModelType extends FieldRules {
  /** The class of transformers that has these defaults, in `models/<type>/configuration_<type>.py`. */
  source: string;
  /** The default is full attention in all layers. */
  attention?: AttentionRule;
  /** Whether queries bring a gate for the output, which doubles their projection. The default is false. */
  gatesOutput?: boolean;
  /** KV heads, where they are not `num_key_value_heads` or else as many as query heads. */
  kvHeads?: (config: HfConfig, numHeads: number) => number;
  /** The default is dense layers alone. */
  feedForward?: FeedForwardRule;
  /** The default is true. */
  isGated?: boolean;
  /** Rows of learned positions beside `contextLen`; absent where positions are not learned. */
  extraPositions?: number;
}
