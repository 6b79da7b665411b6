/** GPT-BigCode: SantaCoder (Allal et al. 2023, arXiv 2301.03988) and StarCoder (Li et al. 2023, arXiv 2305.06161). */
import type { HfConfig } from "../config.ts";
import { ACTIVATIONS, type Family } from "../family.ts";

/** What a field means that is not there. */
const DEFAULTS = {
  ...{ activation_function: "gelu_pytorch_tanh", layer_norm_epsilon: 1e-5 },
  ...{ scale_attn_weights: true, multi_query: true, tie_word_embeddings: true },
};

/** GPT-BigCode: GPT-2 with one KV head, whose queries, keys and values are one projection. */
export function gptBigCode(given: HfConfig): Family {
  const config = given.withDefaults(DEFAULTS);
  const dim = config.count("n_embd", "hidden_size");
  const numHeads = config.few("n_head", "num_attention_heads");
  const numLayers = config.few("n_layer", "num_hidden_layers");
  return {
    spec: {
      vocabSize: config.count("vocab_size"),
      dim,
      hiddenDim: config.findCount("n_inner") ?? 4 * dim,
      numHeads,
      numKvHeads: config.flag("multi_query") ? 1 : numHeads,
      headDim: dim / numHeads,
      contextLen: config.count("n_positions", "max_position_embeddings"),
      layers: Array.from({ length: numLayers }, () => ({})),
      norm: { kind: "layer", eps: config.positive("layer_norm_epsilon") },
      activation: config.choice("activation_function", ACTIVATIONS),
      isGated: false,
      isParallel: false,
      scale: config.flag("scale_attn_weights") ? undefined : 1,
    },
    prefixes: ["transformer.", ""],
    tensors: {
      embedding: "wte",
      positions: "wpe",
      attentionNorm: "h.N.ln_1",
      qkv: "h.N.attn.c_attn",
      o: "h.N.attn.c_proj",
      mlpNorm: "h.N.ln_2",
      up: "h.N.mlp.c_fc",
      down: "h.N.mlp.c_proj",
      finalNorm: "ln_f",
    },
    biased: ["qkv", "o", "up", "down"],
    addsOneToNorms: false,
    isTied: config.flag("tie_word_embeddings"),
  };
}
