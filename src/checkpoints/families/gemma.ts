/** Gemma (Gemma Team 2024, arXiv 2403.08295). */
import { ACTIVATIONS, type FamilyReader, sizesOf } from "../family.ts";
import { contextOf, readRope } from "../rope.ts";
import { LLAMA_PREFIXES, LLAMA_TENSORS } from "./llama.ts";

/** Gemma: Llama with GeGLU, scaled embeddings, and norms that are kept as their difference to 1. */
export const gemma: FamilyReader = (config, outline) => {
  // The first files say "gelu" in this field, where the tanh approximation was always meant.
  config.allowOnly("hidden_act", "gelu", "gelu_pytorch_tanh");
  const read = readRope(config, outline.headDim, "full_attention");
  return {
    spec: {
      ...sizesOf(outline),
      ...contextOf(config, [read]),
      layers: outline.layers.map(() => ({ rope: read.rope })),
      norm: { kind: "rms", eps: config.positive("rms_norm_eps") },
      activation: config.has("hidden_activation")
        ? config.choice("hidden_activation", ACTIVATIONS)
        : "geluTanh",
      isGated: true,
      isParallel: false,
      embeddingScale: Math.sqrt(outline.dim),
    },
    prefixes: LLAMA_PREFIXES,
    tensors: LLAMA_TENSORS,
    biased: config.flag("attention_bias") ? ["q", "k", "v", "o"] : [],
    addsOneToNorms: true,
    isTied: outline.isTied,
    kvHeadFields: (num_key_value_heads) => ({ num_key_value_heads }),
  };
};
