/** Models whose feed-forward layers are mixtures of experts, by model type. */
import { allFull, allSliding, allSlidingIfUsed, alternating } from "./attention_rules.ts";
import {
  allExperts,
  EXPERT_NAMES,
  expertsAfterFirst,
  expertsInSteps,
} from "./feed_forward_rules.ts";
import type { ModelType } from "./model_type.ts";

export const EXPERTS: Readonly<Record<string, ModelType>> = {
  mixtral: {
    source: "MixtralConfig",
    defaults: {
      ...{ vocab_size: 32_000, hidden_size: 4096, intermediate_size: 14_336 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 8 },
      ...{ num_experts: 8, num_experts_per_tok: 2 },
      ...{ max_position_embeddings: 131_072, tie_word_embeddings: false },
    },
    nullable: ["num_key_value_heads"],
    names: EXPERT_NAMES,
    attention: allSliding,
    feedForward: allExperts,
  },
  phimoe: {
    source: "PhimoeConfig",
    defaults: {
      ...{ vocab_size: 32_064, hidden_size: 4096, intermediate_size: 6400 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 8 },
      ...{ num_experts: 16, num_experts_per_tok: 2 },
      ...{ max_position_embeddings: 131_072, tie_word_embeddings: false },
    },
    nullable: ["num_key_value_heads"],
    names: EXPERT_NAMES,
    attention: allSliding,
    feedForward: allExperts,
  },
  olmoe: {
    source: "OlmoeConfig",
    defaults: {
      ...{ vocab_size: 50_304, hidden_size: 2048, intermediate_size: 2048 },
      ...{ num_hidden_layers: 16, num_attention_heads: 16, max_position_embeddings: 4096 },
      ...{ num_experts: 64, num_experts_per_tok: 8, tie_word_embeddings: false },
    },
    names: EXPERT_NAMES,
    feedForward: allExperts,
  },
  granitemoe: {
    source: "GraniteMoeConfig",
    defaults: {
      ...{ vocab_size: 32_000, hidden_size: 4096, intermediate_size: 11_008 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, max_position_embeddings: 2048 },
      ...{ num_experts: 8, num_experts_per_tok: 2, tie_word_embeddings: false },
    },
    names: EXPERT_NAMES,
    feedForward: allExperts,
  },
  gpt_oss: {
    source: "GptOssConfig",
    defaults: {
      ...{ vocab_size: 201_088, hidden_size: 2880, intermediate_size: 2880, head_dim: 64 },
      ...{ num_hidden_layers: 36, num_attention_heads: 64, num_key_value_heads: 8 },
      ...{ num_experts: 128, num_experts_per_tok: 4, sliding_window: 128 },
      ...{ max_position_embeddings: 131_072, tie_word_embeddings: false },
    },
    nullable: ["num_key_value_heads", "head_dim", "sliding_window"],
    names: EXPERT_NAMES,
    attention: alternating(2),
    feedForward: allExperts,
  },
  minimax_m2: {
    source: "MiniMaxM2Config",
    defaults: {
      ...{ vocab_size: 200_064, hidden_size: 3072, intermediate_size: 1536, head_dim: 128 },
      ...{ num_hidden_layers: 62, num_attention_heads: 48, num_key_value_heads: 8 },
      ...{ num_experts: 256, num_experts_per_tok: 8 },
      ...{ max_position_embeddings: 196_608, tie_word_embeddings: false },
    },
    names: EXPERT_NAMES,
    feedForward: allExperts,
  },
  qwen2_moe: {
    source: "Qwen2MoeConfig",
    defaults: {
      ...{ vocab_size: 151_936, hidden_size: 2048, intermediate_size: 5632 },
      ...{ num_hidden_layers: 24, num_attention_heads: 16, num_key_value_heads: 16 },
      ...{ moe_intermediate_size: 1408, shared_expert_intermediate_size: 5632 },
      ...{ num_experts: 60, num_experts_per_tok: 4, decoder_sparse_step: 1 },
      ...{ max_position_embeddings: 32_768, tie_word_embeddings: false },
      ...{ use_sliding_window: false, sliding_window: 4096 },
    },
    nullable: ["num_key_value_heads", "sliding_window"],
    names: EXPERT_NAMES,
    // Versions of the class differ in which layers have a window that is used: none is published, and such a file is refused.
    attention: allFull,
    feedForward: expertsInSteps,
  },
  qwen3_moe: {
    source: "Qwen3MoeConfig",
    defaults: {
      ...{ vocab_size: 151_936, hidden_size: 2048, intermediate_size: 6144 },
      ...{ num_hidden_layers: 24, num_attention_heads: 32, num_key_value_heads: 4 },
      ...{ moe_intermediate_size: 768, num_experts: 128, num_experts_per_tok: 8 },
      ...{ decoder_sparse_step: 1, max_position_embeddings: 32_768, tie_word_embeddings: false },
      ...{ use_sliding_window: false, sliding_window: 4096 },
    },
    nullable: ["sliding_window"],
    names: EXPERT_NAMES,
    attention: allSlidingIfUsed,
    feedForward: expertsInSteps,
  },
  glm4_moe: {
    source: "Glm4MoeConfig",
    defaults: {
      ...{ vocab_size: 151_552, hidden_size: 4096, intermediate_size: 10_944 },
      ...{ num_hidden_layers: 46, num_attention_heads: 96, num_key_value_heads: 8 },
      ...{ moe_intermediate_size: 1408, num_experts: 128, num_experts_per_tok: 8 },
      ...{ n_shared_experts: 1, first_k_dense_replace: 1 },
      ...{ max_position_embeddings: 131_072, tie_word_embeddings: false },
    },
    names: EXPERT_NAMES,
    feedForward: expertsAfterFirst,
  },
};
