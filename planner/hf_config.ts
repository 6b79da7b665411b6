/** Models from the `config.json` that Hugging Face repositories carry. */
import { countParameters, type Model } from "./model.ts";

type Config = Record<string, unknown>;

/** Model types whose feed-forward layers have no gate. */
const UNGATED = ["gpt2", "gpt_bigcode", "gpt_neox", "gptj", "falcon", "RefinedWeb", "opt", "bloom"];
/** Model types that have an output layer of their own where the file does not say. */
const UNTIED = ["llama", "mistral", "qwen2", "phi3", "gpt_neox", "gptj"];
/** Model types whose windows are not told layer by layer: every sixth layer sees all of the context. */
const DEFAULT_PATTERN: Record<string, number> = { gemma3: 6, gemma3_text: 6 };

/**
 * Reads a model's shapes from the text of a `config.json`.
 *
 * @param text The file's text.
 * @param name What to call the model where the file does not say.
 * @throws {TypeError} If the text is no JSON object, or lacks a field that the shapes need; the message names it.
 * @throws {RangeError} If a field is not a whole number of at least 1, or the heads do not divide.
 */
export function parseConfig(text: string, name: string): Model {
  const config = readObject(text, name);
  const fail = (rule: string) => `Cannot plan as ${rule} in ${name}`;

  /** The first of these fields that is there; each family has names of its own. */
  const find = (names: readonly string[]): number | undefined => {
    const field = names.find((field) => config[field] !== undefined && config[field] !== null);
    if (field === undefined) return undefined;
    const value = config[field];
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 1) return value;
    throw new RangeError(
      `${fail(`"${field}" must be a whole number of at least 1`)}: current value ${
        JSON.stringify(value)
      }`,
    );
  };
  const need = (...names: readonly string[]): number => {
    const value = find(names);
    if (value !== undefined) return value;
    throw new TypeError(
      fail(`the field ${names.map((name) => `"${name}"`).join(" or ")} is missing`),
    );
  };

  const type = String(config.model_type ?? "");
  const numLayers = need("num_hidden_layers", "n_layer", "num_layers");
  const hiddenSize = need("hidden_size", "n_embd");
  const numHeads = need("num_attention_heads", "n_head");
  // Falcon's first decoder counts one KV head by a flag, whatever its other field says.
  const isMultiQuery = config.multi_query === true && config.new_decoder_architecture !== true;
  const numKvHeads = isMultiQuery
    ? 1
    : find(["num_key_value_heads", "num_kv_heads", "n_head_kv"]) ?? numHeads;
  if (numHeads % numKvHeads !== 0) {
    throw new RangeError(
      `${
        fail("KV heads must divide the heads")
      }: current values heads=${numHeads}, KV heads=${numKvHeads}`,
    );
  }
  const headDim = find(["head_dim"]) ?? hiddenSize / numHeads;
  if (!Number.isInteger(headDim)) {
    throw new RangeError(
      `${fail('"head_dim" is missing and the heads do not divide the hidden size')}: ` +
        `current values heads=${numHeads}, hidden size=${hiddenSize}`,
    );
  }
  const isGated = !UNGATED.includes(type);
  const model = {
    ...{ numLayers, hiddenSize, numHeads, numKvHeads, headDim, isGated },
    ffnSize: isGated
      ? need("intermediate_size")
      : find(["intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim"]) ?? 4 * hiddenSize,
    vocabSize: need("vocab_size"),
    isTied: typeof config.tie_word_embeddings === "boolean"
      ? config.tie_word_embeddings
      : !UNTIED.includes(type),
    windowed: windowsOf(config, type, numLayers, find(["sliding_window"])),
    maxContext: find(["max_position_embeddings", "n_positions", "max_seq_len", "seq_length"]),
  };
  return {
    ...model,
    name: typeof config._name_or_path === "string" && config._name_or_path || name,
    parameters: countParameters(model),
    source: `${name}; parameters counted from its sizes`,
  };
}

function readObject(text: string, name: string): Config {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (error) {
    throw new TypeError(`Cannot plan as ${name} is no JSON: ${(error as Error).message}`);
  }
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw new TypeError(
      `Cannot plan as ${name} holds no JSON object: current value ${text.slice(0, 40)}`,
    );
  }
  // Models that also see or hear keep the shapes of their decoder one level down.
  const { text_config: inner } = config as Config;
  return typeof inner === "object" && inner !== null ? inner as Config : config as Config;
}

/** Which layers have a window: a list of layer types, a pattern, or all of them. */
function windowsOf(
  config: Config,
  type: string,
  numLayers: number,
  window: number | undefined,
): Model["windowed"] {
  if (window === undefined || config.use_sliding_window === false) return undefined;
  const { layer_types: types, sliding_window_pattern: pattern } = config;
  if (Array.isArray(types)) {
    const count = types.filter((type) => type === "sliding_attention").length;
    return count > 0 ? { numLayers: count, window } : undefined;
  }
  const every = typeof pattern === "number" ? pattern : DEFAULT_PATTERN[type];
  const full = every ? Math.floor(numLayers / every) : 0;
  return { numLayers: numLayers - full, window };
}
