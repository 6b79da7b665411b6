/** All model types whose layers are known, with the defaults of their configuration classes. */
import type { HfConfig } from "../config.ts";
import { assumedFull } from "./attention_rules.ts";
import { EXPERTS } from "./experts.ts";
import { GATED } from "./gated.ts";
import { HYBRID } from "./hybrid.ts";
import { LATENT } from "./latent.ts";
import type { ModelOutline, ModelType } from "./model_type.ts";
import { readOutline } from "./outline.ts";
import { UNGATED } from "./ungated.ts";
import { WINDOWED } from "./windowed.ts";

/** Model types by what `config.json` calls them. */
export const MODEL_TYPES: Readonly<Record<string, ModelType>> = {
  ...{ ...GATED, ...UNGATED, ...WINDOWED, ...EXPERTS, ...LATENT, ...HYBRID },
};

/** A model type for those that are not known: Llama's layers, of sizes that the file gives. */
export const ASSUMED_DENSE: ModelType = {
  source: "none: as LlamaConfig, without its defaults",
  defaults: { tie_word_embeddings: false },
  names: {
    hidden_size: ["n_embd", "d_model"],
    num_hidden_layers: ["n_layer", "n_layers", "num_layers"],
    num_attention_heads: ["n_head", "n_heads"],
    num_key_value_heads: ["num_kv_heads", "n_head_kv"],
    intermediate_size: ["n_inner", "ffn_dim", "ffn_hidden_size"],
    max_position_embeddings: ["n_positions", "max_seq_len", "seq_length"],
  },
  attention: assumedFull,
};

/** A configuration as the class of its model type reads it. */
export interface ReadModel {
  type: ModelType;
  /** The file's fields, read by the rules of the type. */
  config: HfConfig;
  outline: ModelOutline;
}

/** Whether a file's model type has rules here. */
export function isKnown(config: HfConfig): boolean {
  const named = config.value("model_type");
  return typeof named === "string" && Object.hasOwn(MODEL_TYPES, named);
}

/**
 * Reads a configuration by the rules of its model type.
 *
 * @param given The file's fields.
 * @param fallback The rules for a type that is not known. The default is to refuse it.
 * @throws {CheckpointError} If the type is not known, or a field makes no sense.
 */
export function readModel(given: HfConfig, fallback?: ModelType): ReadModel {
  const type = fallback && !isKnown(given) ? fallback : given.choice("model_type", MODEL_TYPES);
  const config = given.withRules(type);
  return { type, config, outline: readOutline(config, type) };
}
