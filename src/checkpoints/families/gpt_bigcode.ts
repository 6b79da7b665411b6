/** GPT-BigCode: SantaCoder (Allal et al. 2023, arXiv 2301.03988) and StarCoder (Li et al. 2023, arXiv 2305.06161). */
import { ACTIVATIONS, type FamilyReader, sizesOf } from "../family.ts";
import { contextOf, refuseRope } from "../rope.ts";

/** GPT-BigCode: GPT-2 with one KV head, whose queries, keys and values are one projection. */
export const gptBigCode: FamilyReader = (config, outline) => {
  refuseRope(config);
  return {
    spec: {
      ...sizesOf(outline),
      ...contextOf(config),
      layers: outline.layers.map(() => ({})),
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
    isTied: outline.isTied,
    kvHeadFields: (numKvHeads) => ({ multi_query: numKvHeads === 1 }),
  };
};
