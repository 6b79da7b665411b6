/** Gemma (Gemma Team 2024, arXiv 2403.08295). */
import { readRope } from "../rope.ts";
import type { HfConfig } from "../config.ts";
import { ACTIVATIONS, type Family } from "../family.ts";
import { LLAMA_TENSORS, llamaSizes } from "./llama.ts";

/** What a field means that is not there. */
const DEFAULTS = {
  ...{ head_dim: 256, rms_norm_eps: 1e-6, rope_theta: 10000 },
  ...{ attention_bias: false, tie_word_embeddings: true },
};

/** Gemma: Llama with GeGLU, scaled embeddings, and norms that are kept as their difference to 1. */
export function gemma(given: HfConfig): Family {
  const config = given.withDefaults(DEFAULTS);
  // The first files say "gelu" in this field, where the tanh approximation was always meant.
  config.allowOnly("hidden_act", "gelu", "gelu_pytorch_tanh");
  const sizes = llamaSizes(config);
  const rope = readRope(config, sizes.headDim);
  return {
    spec: {
      ...sizes,
      layers: Array.from({ length: config.few("num_hidden_layers") }, () => ({ rope })),
      norm: { kind: "rms", eps: config.positive("rms_norm_eps") },
      activation: config.has("hidden_activation")
        ? config.choice("hidden_activation", ACTIVATIONS)
        : "geluTanh",
      isGated: true,
      isParallel: false,
      embeddingScale: Math.sqrt(sizes.dim),
    },
    prefixes: ["model.", ""],
    tensors: LLAMA_TENSORS,
    biased: config.flag("attention_bias") ? ["q", "k", "v", "o"] : [],
    addsOneToNorms: true,
    isTied: config.flag("tie_word_embeddings"),
  };
}
