/** Llama (Touvron et al. 2023, arXiv 2302.13971) and Mistral (Jiang et al. 2023, arXiv 2310.06825). */
import { ACTIVATIONS, type FamilyReader, sizesOf } from "../family.ts";
import { contextOf, readRope } from "../rope.ts";

/** Names of the tensors, here and in the families that came of this one. */
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

/** What they begin with: in a model of text; in one that also sees, as older and newer programs save it; in neither. */
export const LLAMA_PREFIXES = ["model.", "language_model.model.", "model.language_model.", ""];

/** Llama: RMSNorm, SwiGLU, rotary positions; and Mistral, whose layers may have a window. */
export const llama: FamilyReader = (config, outline) => {
  config.allowOnly("mlp_bias", false);
  const windows = outline.layers.map(({ attention }) =>
    attention.kind === "sliding" ? attention.window : undefined
  );
  const hasWindow = windows.some((window) => window !== undefined);
  const layerType = hasWindow ? "sliding_attention" : "full_attention";
  const read = readRope(config, outline.headDim, layerType);
  return {
    spec: {
      ...sizesOf(outline),
      ...contextOf(config, [read]),
      layers: windows.map((window) => ({ rope: read.rope, window })),
      norm: { kind: "rms", eps: config.positive("rms_norm_eps") },
      activation: config.choice("hidden_act", ACTIVATIONS),
      isGated: true,
      isParallel: false,
    },
    prefixes: LLAMA_PREFIXES,
    tensors: LLAMA_TENSORS,
    biased: config.flag("attention_bias") ? ["q", "k", "v", "o"] : [],
    addsOneToNorms: false,
    isTied: outline.isTied,
    kvHeadFields: (num_key_value_heads) => ({ num_key_value_heads }),
  };
};
