import {
  attentionParameters,
  latentAttentionParameters,
} from "../../costs/attention_parameters.ts";
import { checkpointError } from "../checkpoint_error.ts";
import type { HfConfig } from "../config.ts";
import { allFull, allLatent } from "./attention_rules.ts";
import { dense } from "./feed_forward_rules.ts";
import type {
  FeedForward,
  LayerAttention,
  ModelOutline,
  ModelSizes,
  ModelType,
} from "./model_type.ts";

/** Options that change what a cache holds, whatever the model type: only these values mean that they are not used. */
const UNUSED: Readonly<Record<string, readonly unknown[]>> = {
  ...{ add_cross_attention: [false], is_encoder_decoder: [false] },
  use_bidirectional_attention: [false],
};

/** Reads the layers of a model; `config` reads its fields by the rules of the type. */
export function readOutline(config: HfConfig, type: ModelType): ModelOutline {
  for (const [field, values] of Object.entries(UNUSED)) config.allowOnly(field, ...values);
  const sizes = readSizes(config, type);
  const attention = (type.attention ?? allFull)(config, sizes);
  const feedForwardOf = (type.feedForward ?? dense)(config, sizes);
  const layers = attention.map((attention, n) => ({ attention, feedForward: feedForwardOf(n) }));
  const isGated = type.isGated ?? true;
  const isTied = config.flag("tie_word_embeddings");
  const matrices = isGated ? 3 : 2;
  const { dim, vocabSize, contextLen = 0 } = sizes;
  // The smallest OPT embeds in fewer dimensions than its layers have, with projections between.
  const embeddingDim = config.findCount("word_embed_proj_dim") ?? dim;
  const positions = type.extraPositions === undefined ? 0 : contextLen + type.extraPositions;
  const parameters = (isTied ? 1 : 2) * vocabSize * embeddingDim + positions * dim +
    (embeddingDim === dim ? 0 : 2 * embeddingDim * dim) +
    sum(layers.map(({ attention }) => mixerParameters(attention, sizes, type))) +
    sum(layers.map(({ feedForward }) => feedForwardParameters(feedForward, dim, matrices)));
  const expertParameters = sum(
    layers.map(({ feedForward: { width, experts } }) =>
      experts ? experts.count * matrices * width * dim : 0
    ),
  );
  return { ...sizes, layers, isGated, isTied, parameters, expertParameters };
}

function readSizes(config: HfConfig, type: ModelType): ModelSizes {
  const dim = config.count("hidden_size");
  const numHeads = config.few("num_attention_heads");
  const sizes = {
    vocabSize: config.count("vocab_size"),
    dim,
    hiddenDim: config.findCount("intermediate_size") ?? defaultHiddenDim(config, dim, type),
    numHeads,
    contextLen: config.findCount("max_position_embeddings"),
  };
  if (type.attention === allLatent) {
    return { ...sizes, ...readLatentHeads(config, dim / numHeads) };
  }
  const headDim = config.findFew("head_dim") ?? dim / numHeads;
  const numKvHeads = type.kvHeads?.(config, numHeads) ??
    config.findFew("num_key_value_heads") ?? numHeads;
  if (!Number.isInteger(headDim) || numHeads % numKvHeads !== 0) {
    throw checkpointError(config.name, "heads must divide the width, and KV heads the heads", {
      ...{ dim, numHeads, numKvHeads, headDim },
    });
  }
  return { ...sizes, numKvHeads, headDim, valueDim: headDim };
}

/** Heads as they are where keys and values are not compressed: each has its own. */
function readLatentHeads(config: HfConfig, usualDim: number) {
  const ropeDim = config.few("qk_rope_head_dim");
  return {
    numKvHeads: config.few("num_attention_heads"),
    headDim: config.few("qk_nope_head_dim") + ropeDim,
    valueDim: config.findFew("v_head_dim") ?? usualDim,
    latent: { rank: config.few("kv_lora_rank"), ropeDim, queryRank: config.findFew("q_lora_rank") },
  };
}

/** GPT-2's heirs are four times as wide inside where nothing is said. */
function defaultHiddenDim(config: HfConfig, dim: number, { isGated = true }: ModelType): number {
  return isGated ? config.count("intermediate_size") : 4 * dim;
}

function mixerParameters(
  attention: LayerAttention,
  sizes: ModelSizes,
  { gatesOutput }: ModelType,
): number {
  if (attention.kind === "none") return attention.parameters;
  const { latent, dim: hiddenSize, ...heads } = sizes;
  if (latent) return latentAttentionParameters({ ...sizes, latent }).total;
  const { q, total } = attentionParameters({ ...heads, hiddenSize });
  return gatesOutput ? q + total : total;
}

/** Its matrices, those of all experts and of the shared ones, and the router that chooses among them. */
function feedForwardParameters(
  { width, experts, sharedWidth = 0 }: FeedForward,
  dim: number,
  matrices: number,
): number {
  const { count, router } = experts
    ? { count: experts.count, router: dim * experts.count }
    : { count: 1, router: 0 };
  return matrices * dim * (count * width + sharedWidth) + router;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
