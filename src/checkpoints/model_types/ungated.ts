/** Models of full attention and feed-forward layers of two matrices, by model type. */
import type { HfConfig } from "../config.ts";
import type { ModelType } from "./model_type.ts";

/** Names of sizes in GPT-2 and its heirs. */
const GPT_NAMES = {
  ...{ hidden_size: ["n_embd"], num_hidden_layers: ["n_layer"], num_attention_heads: ["n_head"] },
  ...{ intermediate_size: ["n_inner"], max_position_embeddings: ["n_positions"] },
};

/** Names of sizes in Falcon, in its first files and today. */
const FALCON_NAMES = {
  ...{ hidden_size: ["n_embed"], num_hidden_layers: ["n_layer"], num_attention_heads: ["n_head"] },
  ...{ intermediate_size: ["ffn_hidden_size"], num_key_value_heads: ["num_kv_heads", "n_head_kv"] },
};

/** Defaults of Falcon's first classes; those of today's class for fields that came later. */
const FIRST_FALCON_DEFAULTS = {
  ...{ vocab_size: 250_880, hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 8 },
  ...{ max_position_embeddings: 2048, activation: "gelu", layer_norm_epsilon: 1e-5 },
  ...{ alibi: false, bias: false, rope_theta: 10_000, tie_word_embeddings: true, eos_token_id: 11 },
};

export const UNGATED: Readonly<Record<string, ModelType>> = {
  gpt2: {
    source: "GPT2Config",
    defaults: {
      ...{ vocab_size: 50_257, hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12 },
      ...{ max_position_embeddings: 1024, tie_word_embeddings: true },
      attention_head_type: "multihead",
    },
    names: GPT_NAMES,
    // SantaCoder's first file is a GPT-2 with this field of its own.
    kvHeads: (config, numHeads) =>
      config.choice("attention_head_type", { multihead: numHeads, multiquery: 1 }),
    isGated: false,
    extraPositions: 0,
  },
  gpt_bigcode: {
    source: "GPTBigCodeConfig",
    defaults: {
      ...{ vocab_size: 50_257, hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12 },
      ...{ max_position_embeddings: 1024, activation_function: "gelu_pytorch_tanh" },
      ...{ layer_norm_epsilon: 1e-5, scale_attn_weights: true, multi_query: true },
      tie_word_embeddings: true,
      eos_token_id: 50_256,
    },
    nullable: ["eos_token_id"],
    names: GPT_NAMES,
    kvHeads: (config, numHeads) => config.flag("multi_query") ? 1 : numHeads,
    isGated: false,
    extraPositions: 0,
  },
  gptj: {
    source: "GPTJConfig",
    defaults: {
      ...{ vocab_size: 50_400, hidden_size: 4096, num_hidden_layers: 28, num_attention_heads: 16 },
      ...{ max_position_embeddings: 2048, tie_word_embeddings: false },
    },
    names: GPT_NAMES,
    isGated: false,
  },
  gpt_neox: {
    source: "GPTNeoXConfig",
    defaults: {
      ...{ vocab_size: 50_432, hidden_size: 6144, intermediate_size: 24_576 },
      ...{ num_hidden_layers: 44, num_attention_heads: 64, max_position_embeddings: 2048 },
      tie_word_embeddings: false,
    },
    isGated: false,
  },
  opt: {
    source: "OPTConfig",
    defaults: {
      ...{ vocab_size: 50_272, hidden_size: 768, intermediate_size: 3072 },
      ...{ num_hidden_layers: 12, num_attention_heads: 12, max_position_embeddings: 2048 },
      tie_word_embeddings: true,
    },
    names: { intermediate_size: ["ffn_dim"] },
    isGated: false,
    // Its positions begin with the third row.
    extraPositions: 2,
  },
  bloom: {
    source: "BloomConfig",
    defaults: {
      ...{ vocab_size: 250_880, hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 8 },
      tie_word_embeddings: true,
    },
    names: {
      ...{ hidden_size: ["n_embed"], num_hidden_layers: ["n_layer"] },
      ...{ num_attention_heads: ["n_head"], max_position_embeddings: ["seq_length"] },
    },
    isGated: false,
  },
  mpt: {
    source: "MptConfig",
    defaults: {
      ...{ vocab_size: 50_368, hidden_size: 2048, num_hidden_layers: 24, num_attention_heads: 16 },
      ...{ max_position_embeddings: 2048, tie_word_embeddings: true },
    },
    names: {
      ...{ hidden_size: ["d_model"], num_hidden_layers: ["n_layers"] },
      ...{ num_attention_heads: ["n_heads"], max_position_embeddings: ["max_seq_len"] },
    },
    kvHeads: mptKvHeads,
    isGated: false,
  },
  falcon: {
    source: "FalconConfig",
    defaults: {
      ...{ vocab_size: 65_024, hidden_size: 4544, num_hidden_layers: 32 },
      ...{ num_attention_heads: 71, max_position_embeddings: 2048, activation: "gelu" },
      ...{ alibi: false, bias: false, multi_query: true, new_decoder_architecture: false },
      ...{ parallel_attn: true, layer_norm_epsilon: 1e-5, rope_theta: 10_000 },
      tie_word_embeddings: true,
      eos_token_id: 11,
    },
    nullable: ["eos_token_id"],
    names: FALCON_NAMES,
    kvHeads: falconKvHeads,
    isGated: false,
  },
  RefinedWebModel: {
    source: "RWConfig of huggingface.co/tiiuae/falcon-7b (configuration_RW.py, 2023)",
    defaults: {
      ...FIRST_FALCON_DEFAULTS,
      ...{ multi_query: false, new_decoder_architecture: false, parallel_attn: false },
    },
    nullable: ["eos_token_id"],
    names: FALCON_NAMES,
    kvHeads: falconKvHeads,
    isGated: false,
  },
  RefinedWeb: {
    source: "RWConfig of huggingface.co/tiiuae/falcon-40b (configuration_RW.py, 2023)",
    defaults: { ...FIRST_FALCON_DEFAULTS, parallel_attn: true },
    nullable: ["eos_token_id"],
    names: FALCON_NAMES,
    kvHeads: falconKvHeads,
    isGated: false,
  },
  phi: {
    source: "PhiConfig",
    defaults: {
      ...{ vocab_size: 51_200, hidden_size: 2048, intermediate_size: 8192 },
      ...{ num_hidden_layers: 24, num_attention_heads: 32, max_position_embeddings: 2048 },
      tie_word_embeddings: false,
    },
    isGated: false,
  },
  nemotron: {
    source: "NemotronConfig",
    defaults: {
      ...{ vocab_size: 256_000, hidden_size: 6144, intermediate_size: 24_576 },
      ...{ num_hidden_layers: 32, num_attention_heads: 48, max_position_embeddings: 4096 },
      tie_word_embeddings: false,
    },
    isGated: false,
  },
  apertus: {
    source: "ApertusConfig",
    defaults: {
      ...{ vocab_size: 131_072, hidden_size: 4096, intermediate_size: 14_336 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, max_position_embeddings: 65_536 },
      tie_word_embeddings: false,
    },
    isGated: false,
  },
  arcee: {
    source: "ArceeConfig",
    defaults: {
      ...{ vocab_size: 32_000, hidden_size: 2560, intermediate_size: 18_432 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, max_position_embeddings: 4096 },
      tie_word_embeddings: false,
    },
    isGated: false,
  },
};

/** Whether a Falcon has the architecture of 40B. The first class of 40B had no other, and did not know `multi_query`. */
export function isNewFalcon(config: HfConfig): boolean {
  return config.has("new_decoder_architecture")
    ? config.flag("new_decoder_architecture")
    : !config.has("multi_query");
}

/** As many as a field says in the new architecture (40B); in the old one a flag says whether it is one (7B) or all. */
function falconKvHeads(config: HfConfig, numHeads: number): number {
  const isNew = isNewFalcon(config);
  if (!isNew && config.flag("multi_query")) return 1;
  const numKvHeads = config.findFew("num_key_value_heads") ?? numHeads;
  if (isNew || numKvHeads === numHeads) return numKvHeads;
  throw config.error("num_key_value_heads", `must be ${numHeads} in the old architecture`);
}

/** One for each query head, one for all, or as many as a field within a section says. */
function mptKvHeads(config: HfConfig, numHeads: number): number {
  const section = config.section("attn_config");
  if (!section) return numHeads;
  const attention = section.withRules({ defaults: { attn_type: "multihead_attention" } });
  const kind = attention.choice("attn_type", {
    ...{ multihead_attention: "all", multiquery_attention: "one" },
    grouped_query_attention: "some",
  });
  if (kind === "some") return attention.few("kv_n_heads");
  return kind === "all" ? numHeads : 1;
}
