/** Models of full attention and gated feed-forward layers, by model type. */
import type { ModelType } from "./model_type.ts";

export const GATED: Readonly<Record<string, ModelType>> = {
  llama: {
    source: "LlamaConfig",
    defaults: {
      ...{ vocab_size: 32_000, hidden_size: 4096, intermediate_size: 11_008 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, max_position_embeddings: 2048 },
      ...{ hidden_act: "silu", rms_norm_eps: 1e-6, rope_theta: 10_000, attention_bias: false },
      tie_word_embeddings: false,
      eos_token_id: 2,
    },
    nullable: ["eos_token_id"],
  },
  gemma: {
    source: "GemmaConfig",
    defaults: {
      ...{ vocab_size: 256_000, hidden_size: 3072, intermediate_size: 24_576, head_dim: 256 },
      ...{ num_hidden_layers: 28, num_attention_heads: 16, num_key_value_heads: 16 },
      ...{ max_position_embeddings: 8192, rms_norm_eps: 1e-6, rope_theta: 10_000 },
      ...{ attention_bias: false, tie_word_embeddings: true, eos_token_id: 1 },
    },
    nullable: ["eos_token_id"],
  },
  cohere: {
    source: "CohereConfig",
    defaults: {
      ...{ vocab_size: 256_000, hidden_size: 8192, intermediate_size: 22_528 },
      ...{ num_hidden_layers: 40, num_attention_heads: 64, max_position_embeddings: 8192 },
      tie_word_embeddings: true,
    },
  },
  glm: {
    source: "GlmConfig",
    defaults: {
      ...{ vocab_size: 151_552, hidden_size: 4096, intermediate_size: 13_696, head_dim: 128 },
      ...{ num_hidden_layers: 40, num_attention_heads: 32, num_key_value_heads: 2 },
      ...{ max_position_embeddings: 131_072, tie_word_embeddings: false },
    },
    nullable: ["num_key_value_heads", "head_dim"],
  },
  glm4: {
    source: "Glm4Config",
    defaults: {
      ...{ vocab_size: 151_552, hidden_size: 4096, intermediate_size: 13_696, head_dim: 128 },
      ...{ num_hidden_layers: 40, num_attention_heads: 32, num_key_value_heads: 2 },
      ...{ max_position_embeddings: 131_072, tie_word_embeddings: false },
    },
  },
  granite: {
    source: "GraniteConfig",
    defaults: {
      ...{ vocab_size: 32_000, hidden_size: 4096, intermediate_size: 11_008 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, max_position_embeddings: 2048 },
      tie_word_embeddings: false,
    },
  },
  olmo: {
    source: "OlmoConfig",
    defaults: {
      ...{ vocab_size: 50_304, hidden_size: 4096, intermediate_size: 11_008 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, max_position_embeddings: 2048 },
      tie_word_embeddings: false,
    },
  },
  olmo2: {
    source: "Olmo2Config",
    defaults: {
      ...{ vocab_size: 50_304, hidden_size: 4096, intermediate_size: 11_008 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, max_position_embeddings: 2048 },
      tie_word_embeddings: false,
    },
  },
  seed_oss: {
    source: "SeedOssConfig",
    defaults: {
      ...{ vocab_size: 155_136, hidden_size: 4096, intermediate_size: 27_648, head_dim: 128 },
      ...{ num_hidden_layers: 64, num_attention_heads: 80, num_key_value_heads: 8 },
      ...{ max_position_embeddings: 524_288, tie_word_embeddings: false },
    },
    nullable: ["num_key_value_heads", "head_dim"],
  },
  stablelm: {
    source: "StableLmConfig",
    defaults: {
      ...{ vocab_size: 50_304, hidden_size: 2560, intermediate_size: 6912 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 32 },
      ...{ max_position_embeddings: 4096, tie_word_embeddings: false },
    },
  },
};
