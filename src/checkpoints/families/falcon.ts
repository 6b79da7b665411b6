/** Falcon (Almazrouei et al. 2023, arXiv 2311.16867). */
import { readRope } from "../rope.ts";
import type { Part } from "../../model/weight_shapes.ts";
import type { HfConfig } from "../config.ts";
import { ACTIVATIONS, type Family } from "../family.ts";

/** What a field means that is not there. */
const DEFAULTS = {
  ...{ alibi: false, bias: false, multi_query: true, new_decoder_architecture: false },
  ...{ parallel_attn: true, tie_word_embeddings: true, activation: "gelu" },
  ...{ layer_norm_epsilon: 1e-5, rope_theta: 10000, max_position_embeddings: 2048 },
};

/** Falcon: queries, keys and values of each KV head side by side in one projection; attention beside the feed-forward. */
export function falcon(given: HfConfig): Family {
  const config = given.withDefaults(DEFAULTS);
  const dim = config.count("hidden_size", "n_embed");
  const numHeads = config.few("num_attention_heads", "n_head");
  const headDim = dim / numHeads;
  const layer = config.flag("alibi") ? {} : { rope: readRope(config, headDim) };
  const numLayers = config.few("num_hidden_layers", "n_layer");
  return {
    spec: {
      vocabSize: config.count("vocab_size"),
      dim,
      hiddenDim: config.findCount("ffn_hidden_size") ?? 4 * dim,
      numHeads,
      numKvHeads: readNumKvHeads(config, numHeads),
      headDim,
      contextLen: config.count("max_position_embeddings"),
      layers: Array.from({ length: numLayers }, () => layer),
      norm: { kind: "layer", eps: config.positive("layer_norm_epsilon") },
      activation: config.choice("activation", ACTIVATIONS),
      isGated: false,
      isParallel: config.flag("parallel_attn"),
      // Falcon adds them to the products before these are scaled; there in bfloat16, here exact.
      alibiSlopes: config.flag("alibi")
        ? alibiSlopes(numHeads).map((slope) => slope / Math.sqrt(headDim))
        : undefined,
    },
    prefixes: ["transformer.", ""],
    tensors: {
      embedding: "word_embeddings",
      ...readNorms(config),
      qkv: "h.N.self_attention.query_key_value",
      o: "h.N.self_attention.dense",
      up: "h.N.mlp.dense_h_to_4h",
      down: "h.N.mlp.dense_4h_to_h",
      finalNorm: "ln_f",
    },
    biased: config.flag("bias") ? ["qkv", "o", "up", "down"] : [],
    addsOneToNorms: false,
    isTied: config.flag("tie_word_embeddings"),
  };
}

/** As many as a field says in the new architecture (40B); in the old one a flag tells one (7B) from all. */
function readNumKvHeads(config: HfConfig, numHeads: number): number {
  const isNew = config.flag("new_decoder_architecture");
  if (!isNew && config.flag("multi_query")) return 1;
  const numKvHeads = config.findCount("num_kv_heads", "n_head_kv") ?? numHeads;
  if (!isNew && numKvHeads !== numHeads) {
    throw config.error("num_kv_heads", `must be ${numHeads} in the old architecture`);
  }
  return numKvHeads;
}

/** Two norms that read the layer's input, one of them for both, or one after the other. */
function readNorms(config: HfConfig): Partial<Record<Part, string>> {
  const isNew = config.flag("new_decoder_architecture");
  if (!config.flag("parallel_attn")) {
    if (isNew) throw config.error("parallel_attn", "must be true in the new architecture");
    return {
      attentionNorm: "h.N.input_layernorm",
      mlpNorm: "h.N.post_attention_layernorm",
    };
  }
  config.allowOnly("num_ln_in_parallel_attn", ...(isNew ? [1, 2] : [1]));
  const count = config.findCount("num_ln_in_parallel_attn") ?? (isNew ? 2 : 1);
  return count === 2
    ? { attentionNorm: "h.N.ln_attn", mlpNorm: "h.N.ln_mlp" }
    : { attentionNorm: "h.N.input_layernorm" };
}

/**
 * Slopes of ALiBi (Press et al. 2021, arXiv 2108.12409): a geometric series for a power of two; for other numbers of heads,
 * that of the power below, then every other slope of the power above.
 */
function alibiSlopes(numHeads: number): number[] {
  const below = 2 ** Math.floor(Math.log2(numHeads));
  const series = (heads: number) =>
    Array.from({ length: heads }, (_, head) => 2 ** (-8 * (head + 1) / heads));
  const between = series(2 * below).filter((_, head) => head % 2 === 0);
  return [...series(below), ...between].slice(0, numHeads);
}
