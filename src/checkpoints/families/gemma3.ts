/** Gemma 3, its text models (Gemma Team 2025, arXiv 2503.19786). */
import { ACTIVATIONS, type FamilyReader, sizesOf } from "../family.ts";
import { contextOf, readRopes } from "../rope.ts";
import { LLAMA_PREFIXES, LLAMA_TENSORS } from "./llama.ts";

/** Gemma 3: Gemma with windows in most layers, norms of queries and keys, and norms after attention and feed-forward. */
export const gemma3: FamilyReader = (config, outline) => {
  // A scaling that names no kind of layer is for those without a window.
  const ropes = readRopes(config, outline.headDim, {
    sliding_attention: { baseField: "rope_local_base_freq", takesUnnamed: false },
    full_attention: { baseField: "rope_theta", takesUnnamed: true },
  });
  return {
    spec: {
      ...sizesOf(outline),
      ...contextOf(config, Object.values(ropes)),
      layers: outline.layers.map(({ attention }) =>
        attention.kind === "sliding"
          ? { rope: ropes.sliding_attention.rope, window: attention.window }
          : { rope: ropes.full_attention.rope }
      ),
      norm: { kind: "rms", eps: config.positive("rms_norm_eps") },
      activation: config.choice("hidden_activation", ACTIVATIONS),
      isGated: true,
      isParallel: false,
      scale: 1 / Math.sqrt(config.positive("query_pre_attn_scalar")),
      embeddingScale: Math.sqrt(outline.dim),
    },
    prefixes: LLAMA_PREFIXES,
    tensors: {
      ...LLAMA_TENSORS,
      qNorm: "layers.N.self_attn.q_norm",
      kNorm: "layers.N.self_attn.k_norm",
      postAttentionNorm: "layers.N.post_attention_layernorm",
      mlpNorm: "layers.N.pre_feedforward_layernorm",
      postMlpNorm: "layers.N.post_feedforward_layernorm",
    },
    biased: config.flag("attention_bias") ? ["q", "k", "v", "o"] : [],
    addsOneToNorms: true,
    isTied: outline.isTied,
    kvHeadFields: (num_key_value_heads) => ({ num_key_value_heads }),
  };
};
