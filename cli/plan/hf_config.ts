/** Models from the `config.json` that Hugging Face repositories carry. */
import { HfConfig } from "../../src/checkpoints/config.ts";
import { GEMMA_3_DEFAULTS } from "../../src/checkpoints/families/gemma3.ts";
import { countParameters, type Model } from "../shared/preset.ts";

/** Defaults of absent fields, by model type. */
const DEFAULTS: Readonly<Record<string, Record<string, unknown>>> = {
  ...{ gemma3: GEMMA_3_DEFAULTS, gemma3_text: GEMMA_3_DEFAULTS },
  ...{ falcon: { multi_query: true }, gpt_bigcode: { multi_query: true } },
};
/** Model types whose feed-forward layers have no gate. */
const UNGATED = ["gpt2", "gpt_bigcode", "gpt_neox", "gptj", "falcon", "RefinedWeb", "opt", "bloom"];
/** Model types that have an output layer of their own where the file does not say. */
const UNTIED = ["llama", "mistral", "qwen2", "phi3", "gpt_neox", "gptj"];

/**
 * Reads a model's shapes from the text of a `config.json`.
 *
 * @param text The file's text.
 * @param name What to call the model where the file does not say.
 * @throws {CheckpointError} If the text is no JSON object, lacks a field that the shapes need, or has one that is no whole
 * number of at least 1; the message names it.
 * @throws {RangeError} If the heads do not divide.
 */
export function parseConfig(text: string, name: string): Model {
  const given = HfConfig.parse(text, name);
  const type = String(given.value("model_type") ?? "");
  const config = given.withDefaults(DEFAULTS[type] ?? {});
  const numLayers = config.count("num_hidden_layers", "n_layer", "num_layers");
  const hiddenSize = config.count("hidden_size", "n_embd");
  const numHeads = config.count("num_attention_heads", "n_head");
  // Falcon's first decoder counts one KV head by a flag, whatever its other field says.
  const isMultiQuery = config.value("multi_query") === true &&
    config.value("new_decoder_architecture") !== true;
  const numKvHeads = isMultiQuery
    ? 1
    : config.findCount("num_key_value_heads", "num_kv_heads", "n_head_kv") ?? numHeads;
  if (numHeads % numKvHeads !== 0) {
    throw new RangeError(
      `Cannot plan as KV heads must divide the heads in ${name}: ` +
        `current values heads=${numHeads}, KV heads=${numKvHeads}`,
    );
  }
  const headDim = config.findCount("head_dim") ?? hiddenSize / numHeads;
  if (!Number.isInteger(headDim)) {
    throw new RangeError(
      `Cannot plan as "head_dim" is missing and the heads do not divide the hidden size in ${name}: ` +
        `current values heads=${numHeads}, hidden size=${hiddenSize}`,
    );
  }
  const isGated = !UNGATED.includes(type);
  const model = {
    ...{ numLayers, hiddenSize, numHeads, numKvHeads, headDim, isGated },
    ffnSize: isGated
      ? config.count("intermediate_size")
      : config.findCount("intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim") ??
        4 * hiddenSize,
    vocabSize: config.count("vocab_size"),
    isTied: config.has("tie_word_embeddings")
      ? config.flag("tie_word_embeddings")
      : !UNTIED.includes(type),
    windowed: windowsOf(config, numLayers, config.findCount("sliding_window")),
    maxContext: config.findCount(
      "max_position_embeddings",
      "n_positions",
      "max_seq_len",
      "seq_length",
    ),
  };
  return {
    ...model,
    name: String(config.value("_name_or_path") || name),
    parameters: countParameters(model),
    source: `${name}; parameters counted from its sizes`,
  };
}

/** The layers that have a window: by a list of layer types, by a pattern, or all of them. */
function windowsOf(
  config: HfConfig,
  numLayers: number,
  window: number | undefined,
): Model["windowed"] {
  if (window === undefined || config.value("use_sliding_window") === false) return undefined;
  const types = config.value("layer_types");
  if (Array.isArray(types)) {
    const count = types.filter((type) => type === "sliding_attention").length;
    return count > 0 ? { numLayers: count, window } : undefined;
  }
  const every = config.findCount("_sliding_window_pattern", "sliding_window_pattern");
  const full = every ? Math.floor(numLayers / every) : 0;
  return { numLayers: numLayers - full, window };
}
