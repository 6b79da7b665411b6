/** Falcon (Almazrouei et al. 2023, arXiv 2311.16867). */
import type { JsonObject } from "../../base/json.ts";
import type { Component } from "../../model/weight_shapes.ts";
import type { HfConfig } from "../config.ts";
import { ACTIVATIONS, type FamilyReader, sizesOf } from "../family.ts";
import { isNewFalcon } from "../model_types/ungated.ts";
import { contextOf, readRope, refuseRope } from "../rope.ts";

/** Falcon: queries, keys and values of each KV head side by side in one projection; attention beside the feed-forward. */
export const falcon: FamilyReader = (config, outline) => {
  const { numHeads, headDim } = outline;
  const hasAlibi = config.flag("alibi");
  if (hasAlibi) refuseRope(config);
  const reads = hasAlibi ? [] : [readRope(config, headDim, "full_attention")];
  return {
    spec: {
      ...sizesOf(outline),
      ...contextOf(config, reads),
      layers: outline.layers.map(() => hasAlibi ? {} : { rope: reads[0].rope }),
      norm: { kind: "layer", eps: config.positive("layer_norm_epsilon") },
      activation: config.choice("activation", ACTIVATIONS),
      isGated: false,
      isParallel: config.flag("parallel_attn"),
      // Falcon adds them to the products before these are scaled; there in bfloat16, here exact.
      alibiSlopes: hasAlibi
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
    isTied: outline.isTied,
    kvHeadFields: (numKvHeads) => kvHeadFields(isNewFalcon(config), numKvHeads),
  };
};

/** A number in the new architecture; in the old one a flag says whether it is one or all. */
function kvHeadFields(isNew: boolean, numKvHeads: number): JsonObject {
  const others = { num_key_value_heads: undefined, n_head_kv: undefined };
  return isNew
    ? { ...others, num_kv_heads: numKvHeads }
    : { ...others, num_kv_heads: undefined, multi_query: numKvHeads === 1 };
}

/** Two norms that read the layer's input, one of them for both, or one after the other. */
function readNorms(config: HfConfig): Partial<Record<Component, string>> {
  const isNew = isNewFalcon(config);
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
