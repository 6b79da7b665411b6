/** Models of multi-head latent attention (DeepSeek-AI 2024, arXiv 2405.04434), by model type. */
import { allLatent } from "./attention_rules.ts";
import { dense, EXPERT_NAMES, expertsAfterFirst } from "./feed_forward_rules.ts";
import type { ModelType } from "./model_type.ts";

const DEEPSEEK_V3: ModelType = {
  source: "DeepseekV3Config",
  defaults: {
    ...{ vocab_size: 129_280, hidden_size: 7168, intermediate_size: 18_432 },
    ...{ num_hidden_layers: 61, num_attention_heads: 128 },
    ...{ kv_lora_rank: 512, q_lora_rank: 1536 },
    ...{ qk_nope_head_dim: 128, qk_rope_head_dim: 64, v_head_dim: 128 },
    ...{ moe_intermediate_size: 2048, num_experts: 256, num_experts_per_tok: 8 },
    ...{ n_shared_experts: 1, first_k_dense_replace: 3 },
    ...{ max_position_embeddings: 4096, tie_word_embeddings: false },
  },
  nullable: ["q_lora_rank"],
  names: EXPERT_NAMES,
  attention: allLatent,
  feedForward: expertsAfterFirst,
};

export const LATENT: Readonly<Record<string, ModelType>> = {
  deepseek_v2: {
    source: "DeepseekV2Config",
    defaults: {
      ...{ vocab_size: 102_400, hidden_size: 4096, intermediate_size: 11_008 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32 },
      ...{ kv_lora_rank: 512, q_lora_rank: 1536 },
      ...{ qk_nope_head_dim: 128, qk_rope_head_dim: 64, v_head_dim: 128 },
      ...{ moe_intermediate_size: 1407, num_experts: 64, n_shared_experts: 2 },
      ...{ first_k_dense_replace: 0, max_position_embeddings: 2048, tie_word_embeddings: false },
    },
    nullable: ["q_lora_rank"],
    names: EXPERT_NAMES,
    attention: allLatent,
    feedForward: expertsAfterFirst,
  },
  deepseek_v3: DEEPSEEK_V3,
  // Its repositories bring no class of their own: they name DeepSeek-V3's.
  kimi_k2: DEEPSEEK_V3,
  minicpm3: {
    source: "MiniCPM3Config",
    defaults: {
      ...{ vocab_size: 73_448, hidden_size: 2560, intermediate_size: 6400 },
      ...{ num_hidden_layers: 62, num_attention_heads: 40 },
      ...{ kv_lora_rank: 256, q_lora_rank: 768, qk_nope_head_dim: 64, qk_rope_head_dim: 32 },
      ...{ max_position_embeddings: 32_768, tie_word_embeddings: true },
    },
    nullable: ["q_lora_rank"],
    attention: allLatent,
    feedForward: dense,
  },
};
