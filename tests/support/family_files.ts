// Tiny checkpoints of every family, as tests write them: with the tensors that the family has by its configuration.
import { HfConfig } from "../../src/checkpoints/config.ts";
import { readFamily } from "../../src/checkpoints/families/mod.ts";
import type { WeightData } from "../../src/checkpoints/mod.ts";
import { type Component, componentShapes } from "../../src/model/weight_shapes.ts";
import { safetensors } from "./checkpoint_files.ts";
import type { Random } from "./random.ts";

type Config = Record<string, unknown>;

const LLAMA_SIZES = {
  ...{ hidden_size: 8, intermediate_size: 6, num_hidden_layers: 2, num_attention_heads: 4 },
  ...{ num_key_value_heads: 2, vocab_size: 5, max_position_embeddings: 16 },
};
const GEMMA_3 = {
  ...{ model_type: "gemma3_text", ...LLAMA_SIZES, head_dim: 2, sliding_window: 3 },
  ...{ sliding_window_pattern: 2 },
};

/** A configuration of each family. */
export const FAMILY_CONFIGS: readonly Config[] = [
  { model_type: "llama", ...LLAMA_SIZES },
  { model_type: "mistral", ...LLAMA_SIZES, sliding_window: 3 },
  { model_type: "gemma", ...LLAMA_SIZES, head_dim: 2 },
  GEMMA_3,
  { model_type: "gemma3", text_config: GEMMA_3 },
  { model_type: "mistral3", text_config: { model_type: "mistral", ...LLAMA_SIZES } },
  { model_type: "llava", text_config: LLAMA_SIZES },
  {
    ...{ model_type: "gpt_bigcode", n_embd: 8, n_head: 4, n_layer: 2, n_inner: 6 },
    ...{ n_positions: 16, vocab_size: 5 },
  },
  {
    ...{ model_type: "falcon", hidden_size: 8, num_hidden_layers: 2, num_attention_heads: 4 },
    ...{ vocab_size: 5, ffn_hidden_size: 6, max_position_embeddings: 16 },
  },
  {
    ...{ model_type: "falcon", hidden_size: 8, num_hidden_layers: 2, num_attention_heads: 4 },
    ...{ vocab_size: 5, ffn_hidden_size: 6, max_position_embeddings: 16 },
    ...{ new_decoder_architecture: true, num_kv_heads: 2 },
  },
  {
    ...{ model_type: "RefinedWebModel", hidden_size: 8, n_layer: 2, n_head: 4, vocab_size: 5 },
    ...{ multi_query: true, parallel_attn: true, bias: false, alibi: false },
  },
];

/** A configuration with a field, where its family looks for it. */
export function withField(config: Config, field: string, value: unknown): Config {
  const { text_config: inner } = config;
  return inner
    ? { ...config, text_config: { ...inner as Config, [field]: value } }
    : { ...config, [field]: value };
}

/** Random tensors of a model. */
export interface FamilyFile {
  tensors: Record<string, WeightData>;
  /** What they begin with. */
  prefix: string;
  /** The embedding's name. */
  embedding: string;
}

/** All tensors of a model by its configuration, in random numbers; with a classifier where it is not tied. */
export function familyFile(random: Random, config: Config): FamilyFile {
  const { spec, prefixes, tensors: names, biased, isTied } = readFamily(
    HfConfig.parse(JSON.stringify(config), "config.json"),
  );
  const prefix = prefixes[config.text_config ? 1 : 0];
  const shapes = componentShapes(spec);
  const tensors: FamilyFile["tensors"] = {};
  const add = (component: Component, module: string) => {
    tensors[`${module}.weight`] = random.tensor(shapes[component]);
    const hasBias = biased.includes(component) ||
      (component.endsWith("Norm") && spec.norm.kind === "layer");
    if (hasBias) tensors[`${module}.bias`] = random.tensor(shapes[component].slice(0, 1));
  };
  for (const [component, name] of Object.entries(names) as [Component, string][]) {
    const layers = name.includes(".N.") ? spec.layers.keys() : [0];
    for (const layer of layers) add(component, prefix + name.replace(".N.", `.${layer}.`));
  }
  if (!isTied) add("classifier", "lm_head");
  return { tensors, prefix, embedding: `${prefix}${names.embedding}.weight` };
}

/** The files of a model in one piece. */
export function inOneFile(config: Config, tensors: FamilyFile["tensors"]) {
  return { "config.json": JSON.stringify(config), "model.safetensors": safetensors(tensors) };
}

/** The files of a model in two shards, and what their index lists. */
export function inShards(
  config: Config,
  tensors: FamilyFile["tensors"],
): { files: Record<string, Uint8Array | string>; map: Record<string, string> } {
  const [first, second] = [1, 2].map((n) => `model-0000${n}-of-00002.safetensors`);
  const names = Object.keys(tensors);
  const map = Object.fromEntries(names.map((name, i) => [name, i % 2 === 0 ? first : second]));
  const shard = (file: string) =>
    safetensors(
      Object.fromEntries(Object.entries(tensors).filter(([name]) => map[name] === file)),
    );
  const files = {
    "config.json": JSON.stringify(config),
    "model.safetensors.index.json": JSON.stringify({ weight_map: map }),
    [first]: shard(first),
    [second]: shard(second),
  };
  return { files, map };
}
