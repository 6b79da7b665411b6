/** Llama (Touvron et al. 2023, arXiv 2302.13971) and Mistral (Jiang et al. 2023, arXiv 2310.06825). */
import { readRope } from "../rope.ts";
import type { DecoderSizes } from "../../model/weight_shapes.ts";
import type { HfConfig } from "../config.ts";
import { ACTIVATIONS, type Family } from "../family.ts";

/** What a field means that is not there. */
const DEFAULTS = {
  ...{ hidden_act: "silu", rms_norm_eps: 1e-6, rope_theta: 10000 },
  ...{ attention_bias: false, tie_word_embeddings: false },
};

/** What the tensors are called, here and in the families that came of this one. */
export const LLAMA_TENSORS = {
  embedding: "embed_tokens",
  attentionNorm: "layers.N.input_layernorm",
  q: "layers.N.self_attn.q_proj",
  k: "layers.N.self_attn.k_proj",
  v: "layers.N.self_attn.v_proj",
  o: "layers.N.self_attn.o_proj",
  mlpNorm: "layers.N.post_attention_layernorm",
  gate: "layers.N.mlp.gate_proj",
  up: "layers.N.mlp.up_proj",
  down: "layers.N.mlp.down_proj",
  finalNorm: "norm",
} as const;

/** Llama: RMSNorm, SwiGLU, rotary positions. */
export function llama(given: HfConfig): Family {
  given.allowOnly("sliding_window");
  return llamaWithWindow(given.withDefaults(DEFAULTS), undefined);
}

/** Mistral: Llama with a window. */
export function mistral(given: HfConfig): Family {
  const config = given.withDefaults({ ...DEFAULTS, sliding_window: 4096 });
  return llamaWithWindow(config, config.findCount("sliding_window"));
}

function llamaWithWindow(config: HfConfig, window: number | undefined): Family {
  config.allowOnly("mlp_bias", false);
  config.allowOnly("layer_types");
  const sizes = llamaSizes(config);
  const rope = readRope(config, sizes.headDim);
  return {
    spec: {
      ...sizes,
      layers: Array.from({ length: config.few("num_hidden_layers") }, () => ({ rope, window })),
      norm: { kind: "rms", eps: config.positive("rms_norm_eps") },
      activation: config.choice("hidden_act", ACTIVATIONS),
      isGated: true,
      isParallel: false,
    },
    prefixes: ["model.", ""],
    tensors: LLAMA_TENSORS,
    biased: config.flag("attention_bias") ? ["q", "k", "v", "o"] : [],
    addsOneToNorms: false,
    isTied: config.flag("tie_word_embeddings"),
  };
}

/** Sizes by the names that these families give them. */
export function llamaSizes(config: HfConfig): DecoderSizes {
  const dim = config.count("hidden_size");
  const numHeads = config.few("num_attention_heads");
  return {
    vocabSize: config.count("vocab_size"),
    dim,
    hiddenDim: config.count("intermediate_size"),
    numHeads,
    numKvHeads: config.findCount("num_key_value_heads") ?? numHeads,
    headDim: config.has("head_dim") ? config.few("head_dim") : dim / numHeads,
    contextLen: config.count("max_position_embeddings"),
  };
}
