/** Models some or all of whose layers see a window of the context, by model type. */
import {
  allSliding,
  alternating,
  fromMaxWindowLayers,
  listedOrSliding,
  slidingWithoutRope,
} from "./attention_rules.ts";
import type { ModelType } from "./model_type.ts";

/** Qwen 2 by the names of its text model in models that also see. */
const QWEN_2_VL: ModelType = {
  source: "Qwen2VLTextConfig",
  defaults: {
    ...{ vocab_size: 152_064, hidden_size: 8192, intermediate_size: 29_568 },
    ...{ num_hidden_layers: 80, num_attention_heads: 64, num_key_value_heads: 8 },
    ...{ max_position_embeddings: 32_768, tie_word_embeddings: false },
    ...{ use_sliding_window: false, sliding_window: 4096, max_window_layers: 80 },
  },
  nullable: ["num_key_value_heads", "sliding_window"],
  attention: fromMaxWindowLayers,
};

const GEMMA_3: ModelType = {
  source: "Gemma3TextConfig",
  defaults: {
    ...{ vocab_size: 262_208, hidden_size: 2304, intermediate_size: 9216, head_dim: 256 },
    ...{ num_hidden_layers: 26, num_attention_heads: 8, num_key_value_heads: 4 },
    ...{ max_position_embeddings: 131_072, hidden_activation: "gelu_pytorch_tanh" },
    ...{ rms_norm_eps: 1e-6, rope_theta: 1_000_000, rope_local_base_freq: 10_000 },
    ...{ query_pre_attn_scalar: 256, sliding_window: 4096, attention_bias: false },
    tie_word_embeddings: true,
    eos_token_id: 1,
  },
  nullable: ["eos_token_id", "sliding_window"],
  names: { sliding_window_pattern: ["_sliding_window_pattern"] },
  attention: alternating(6),
};

export const WINDOWED: Readonly<Record<string, ModelType>> = {
  mistral: {
    source: "MistralConfig",
    defaults: {
      ...{ vocab_size: 32_000, hidden_size: 4096, intermediate_size: 14_336 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 8 },
      ...{ max_position_embeddings: 131_072, sliding_window: 4096, hidden_act: "silu" },
      ...{ rms_norm_eps: 1e-6, rope_theta: 10_000, attention_bias: false },
      tie_word_embeddings: false,
      eos_token_id: 2,
    },
    nullable: ["eos_token_id", "num_key_value_heads", "sliding_window"],
    attention: allSliding,
  },
  ministral: {
    source: "MinistralConfig",
    defaults: {
      ...{ vocab_size: 32_000, hidden_size: 4096, intermediate_size: 14_336 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 8 },
      ...{ max_position_embeddings: 131_072, sliding_window: 4096, tie_word_embeddings: false },
    },
    nullable: ["num_key_value_heads", "sliding_window"],
    attention: listedOrSliding,
  },
  ministral3: {
    source: "Ministral3Config",
    defaults: {
      ...{ vocab_size: 131_072, hidden_size: 4096, intermediate_size: 14_336, head_dim: 128 },
      ...{ num_hidden_layers: 34, num_attention_heads: 32, num_key_value_heads: 8 },
      ...{ max_position_embeddings: 262_144, tie_word_embeddings: false },
    },
    nullable: ["num_key_value_heads", "head_dim"],
    attention: allSliding,
  },
  phi3: {
    source: "Phi3Config",
    defaults: {
      ...{ vocab_size: 32_064, hidden_size: 3072, intermediate_size: 8192 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, max_position_embeddings: 4096 },
      tie_word_embeddings: false,
    },
    attention: allSliding,
  },
  starcoder2: {
    source: "Starcoder2Config",
    defaults: {
      ...{ vocab_size: 49_152, hidden_size: 3072, intermediate_size: 12_288 },
      ...{ num_hidden_layers: 30, num_attention_heads: 24, num_key_value_heads: 2 },
      ...{ max_position_embeddings: 4096, tie_word_embeddings: true },
    },
    attention: allSliding,
    isGated: false,
  },
  gemma2: {
    source: "Gemma2Config",
    defaults: {
      ...{ vocab_size: 256_000, hidden_size: 2304, intermediate_size: 9216, head_dim: 256 },
      ...{ num_hidden_layers: 26, num_attention_heads: 8, num_key_value_heads: 4 },
      ...{ max_position_embeddings: 8192, sliding_window: 4096, tie_word_embeddings: true },
    },
    nullable: ["sliding_window"],
    attention: alternating(2),
  },
  gemma3: GEMMA_3,
  gemma3_text: GEMMA_3,
  cohere2: {
    source: "Cohere2Config",
    defaults: {
      ...{ vocab_size: 256_000, hidden_size: 8192, intermediate_size: 22_528 },
      ...{ num_hidden_layers: 40, num_attention_heads: 64, max_position_embeddings: 8192 },
      ...{ sliding_window: 4096, tie_word_embeddings: true },
    },
    nullable: ["sliding_window"],
    attention: alternating(4),
  },
  exaone4: {
    source: "Exaone4Config",
    defaults: {
      ...{ vocab_size: 102_400, hidden_size: 4096, intermediate_size: 16_384 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 32 },
      ...{ max_position_embeddings: 2048, sliding_window: 4096, tie_word_embeddings: false },
    },
    nullable: ["sliding_window"],
    attention: alternating(4),
  },
  olmo3: {
    source: "Olmo3Config",
    defaults: {
      ...{ vocab_size: 50_304, hidden_size: 4096, intermediate_size: 11_008 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, max_position_embeddings: 2048 },
      ...{ sliding_window: 4096, tie_word_embeddings: false },
    },
    nullable: ["sliding_window"],
    attention: alternating(4),
  },
  qwen2: {
    source: "Qwen2Config",
    defaults: {
      ...{ vocab_size: 151_936, hidden_size: 4096, intermediate_size: 22_016 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 32 },
      ...{ max_position_embeddings: 32_768, tie_word_embeddings: false },
      ...{ use_sliding_window: false, sliding_window: 4096, max_window_layers: 28 },
    },
    nullable: ["num_key_value_heads", "sliding_window"],
    attention: fromMaxWindowLayers,
  },
  qwen2_vl: QWEN_2_VL,
  qwen2_vl_text: QWEN_2_VL,
  qwen2_5_vl: { ...QWEN_2_VL, source: "Qwen2_5_VLTextConfig" },
  qwen2_5_vl_text: { ...QWEN_2_VL, source: "Qwen2_5_VLTextConfig" },
  qwen3: {
    source: "Qwen3Config",
    defaults: {
      ...{ vocab_size: 151_936, hidden_size: 4096, intermediate_size: 22_016, head_dim: 128 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 32 },
      ...{ max_position_embeddings: 32_768, tie_word_embeddings: false },
      ...{ use_sliding_window: false, sliding_window: 4096, max_window_layers: 28 },
    },
    nullable: ["num_key_value_heads", "sliding_window"],
    attention: fromMaxWindowLayers,
  },
  smollm3: {
    source: "SmolLM3Config",
    defaults: {
      ...{ vocab_size: 128_256, hidden_size: 2048, intermediate_size: 11_008 },
      ...{ num_hidden_layers: 36, num_attention_heads: 16, num_key_value_heads: 4 },
      ...{ max_position_embeddings: 32_768, use_sliding_window: false },
      ...{ no_rope_layer_interval: 4, tie_word_embeddings: true },
    },
    nullable: ["num_key_value_heads"],
    attention: slidingWithoutRope,
  },
};
