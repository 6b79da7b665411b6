/** Models by name, by the fields of their published `config.json` that shapes depend on; PaLM's are those of its paper. */
import type { JsonObject } from "../../src/base/json.ts";
import { parseConfig } from "./model_config.ts";
import type { Model } from "./preset.ts";

/** A model as it is published. */
export interface Published {
  name: string;
  config: JsonObject;
  parameters: number;
  source: string;
}

export const PUBLISHED: readonly Published[] = [
  {
    name: "GPT-2",
    config: {
      ...{ model_type: "gpt2", n_embd: 768, n_head: 12, n_layer: 12, n_positions: 1024 },
      ...{ vocab_size: 50257 },
    },
    parameters: 124_439_808,
    source: "Radford et al. 2019; huggingface.co/openai-community/gpt2",
  },
  {
    name: "LLaMA-2-7B",
    config: {
      ...{ model_type: "llama", hidden_size: 4096, intermediate_size: 11008 },
      ...{ num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 32 },
      ...{ max_position_embeddings: 4096, vocab_size: 32000, tie_word_embeddings: false },
    },
    parameters: 6_738_415_616,
    source: "arXiv 2307.09288; huggingface.co/meta-llama/Llama-2-7b-hf",
  },
  {
    name: "LLaMA-2-13B",
    config: {
      ...{ model_type: "llama", hidden_size: 5120, intermediate_size: 13824 },
      ...{ num_attention_heads: 40, num_hidden_layers: 40, num_key_value_heads: 40 },
      ...{ max_position_embeddings: 4096, vocab_size: 32000 },
    },
    parameters: 13_015_864_320,
    source: "arXiv 2307.09288; huggingface.co/meta-llama/Llama-2-13b-hf",
  },
  {
    name: "LLaMA-2-70B",
    config: {
      ...{ model_type: "llama", hidden_size: 8192, intermediate_size: 28672 },
      ...{ num_attention_heads: 64, num_hidden_layers: 80, num_key_value_heads: 8 },
      ...{ max_position_embeddings: 4096, vocab_size: 32000 },
    },
    parameters: 68_976_648_192,
    source: "arXiv 2307.09288; huggingface.co/meta-llama/Llama-2-70b-hf",
  },
  {
    name: "LLaMA-3-8B",
    config: {
      ...{ model_type: "llama", hidden_size: 4096, intermediate_size: 14336 },
      ...{ num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 8 },
      ...{ max_position_embeddings: 8192, vocab_size: 128256 },
    },
    parameters: 8_030_261_248,
    source: "arXiv 2407.21783; huggingface.co/meta-llama/Meta-Llama-3-8B",
  },
  {
    name: "LLaMA-3-70B",
    config: {
      ...{ model_type: "llama", hidden_size: 8192, intermediate_size: 28672 },
      ...{ num_attention_heads: 64, num_hidden_layers: 80, num_key_value_heads: 8 },
      ...{ max_position_embeddings: 8192, vocab_size: 128256 },
    },
    parameters: 70_553_706_496,
    source: "arXiv 2407.21783; huggingface.co/meta-llama/Meta-Llama-3-70B",
  },
  {
    name: "Mistral-7B",
    config: {
      ...{ model_type: "mistral", hidden_size: 4096, intermediate_size: 14336 },
      ...{ num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 8 },
      ...{ max_position_embeddings: 32768, sliding_window: 4096, vocab_size: 32000 },
      ...{ tie_word_embeddings: false },
    },
    parameters: 7_241_732_096,
    source: "arXiv 2310.06825; huggingface.co/mistralai/Mistral-7B-v0.1",
  },
  {
    name: "Falcon-7B",
    config: {
      ...{ model_type: "falcon", hidden_size: 4544, num_attention_heads: 71 },
      ...{ num_hidden_layers: 32, multi_query: true, new_decoder_architecture: false },
      ...{ parallel_attn: true, alibi: false, vocab_size: 65024 },
      ...{ tie_word_embeddings: false },
    },
    // Its file holds an output layer of its own, equal to the embedding.
    parameters: 7_217_189_760,
    source: "arXiv 2311.16867; huggingface.co/tiiuae/falcon-7b",
  },
  {
    name: "Falcon-40B",
    config: {
      ...{ model_type: "falcon", hidden_size: 8192, num_attention_heads: 128 },
      ...{ num_hidden_layers: 60, num_kv_heads: 8, multi_query: true },
      ...{ new_decoder_architecture: true, parallel_attn: true, alibi: false },
      ...{ vocab_size: 65024, tie_word_embeddings: false },
    },
    parameters: 41_835_544_576,
    source: "arXiv 2311.16867; huggingface.co/tiiuae/falcon-40b",
  },
  {
    name: "StarCoder-15B",
    config: {
      ...{ model_type: "gpt_bigcode", n_embd: 6144, n_head: 48, n_layer: 40 },
      ...{ n_inner: 24576, n_positions: 8192, multi_query: true, vocab_size: 49152 },
    },
    parameters: 15_517_456_384,
    source: "arXiv 2305.06161; huggingface.co/bigcode/starcoder",
  },
  {
    name: "SantaCoder",
    config: {
      ...{ model_type: "gpt_bigcode", n_embd: 2048, n_head: 16, n_layer: 24 },
      ...{ n_inner: 8192, n_positions: 2048, multi_query: true, vocab_size: 49280 },
    },
    parameters: 1_124_886_528,
    source: "arXiv 2301.03988; huggingface.co/bigcode/santacoder",
  },
  {
    name: "PaLM-8B",
    config: {
      ...{ hidden_size: 4096, intermediate_size: 16384, head_dim: 256 },
      ...{ num_attention_heads: 16, num_hidden_layers: 32, num_key_value_heads: 1 },
      ...{ max_position_embeddings: 2048, tie_word_embeddings: true, vocab_size: 256000 },
    },
    parameters: 8.63e9,
    source: "arXiv 2204.02311, tables 1 and 2",
  },
  {
    name: "PaLM-62B",
    config: {
      ...{ hidden_size: 8192, intermediate_size: 32768, head_dim: 256 },
      ...{ num_attention_heads: 32, num_hidden_layers: 64, num_key_value_heads: 1 },
      ...{ max_position_embeddings: 2048, tie_word_embeddings: true, vocab_size: 256000 },
    },
    parameters: 62.5e9,
    source: "arXiv 2204.02311, tables 1 and 2",
  },
  {
    name: "PaLM-540B",
    config: {
      ...{ hidden_size: 18432, intermediate_size: 73728, head_dim: 256 },
      ...{ num_attention_heads: 48, num_hidden_layers: 118, num_key_value_heads: 1 },
      ...{ max_position_embeddings: 2048, tie_word_embeddings: true, vocab_size: 256000 },
    },
    parameters: 540.35e9,
    source: "arXiv 2204.02311, tables 1 and 2",
  },
  {
    name: "Gemma-2B",
    config: {
      ...{ model_type: "gemma", hidden_size: 2048, intermediate_size: 16384 },
      ...{ head_dim: 256, num_attention_heads: 8, num_hidden_layers: 18 },
      ...{ num_key_value_heads: 1, max_position_embeddings: 8192, vocab_size: 256000 },
    },
    parameters: 2_506_172_416,
    source: "arXiv 2403.08295; huggingface.co/google/gemma-2b",
  },
  {
    name: "Gemma-7B",
    config: {
      ...{ model_type: "gemma", hidden_size: 3072, intermediate_size: 24576 },
      ...{ head_dim: 256, num_attention_heads: 16, num_hidden_layers: 28 },
      ...{ num_key_value_heads: 16, max_position_embeddings: 8192, vocab_size: 256000 },
    },
    parameters: 8_537_680_896,
    source: "arXiv 2403.08295; huggingface.co/google/gemma-7b",
  },
  {
    name: "Gemma-3-270M",
    config: {
      ...{ model_type: "gemma3_text", hidden_size: 640, intermediate_size: 2048 },
      ...{ head_dim: 256, num_attention_heads: 4, num_hidden_layers: 18 },
      ...{ num_key_value_heads: 1, max_position_embeddings: 32768, sliding_window: 512 },
      ...{ sliding_window_pattern: 6, vocab_size: 262144 },
    },
    parameters: 268_098_176,
    source: "arXiv 2503.19786; huggingface.co/google/gemma-3-270m",
  },
  {
    name: "Gemma-3-1B",
    config: {
      ...{ model_type: "gemma3_text", hidden_size: 1152, intermediate_size: 6912 },
      ...{ head_dim: 256, num_attention_heads: 4, num_hidden_layers: 26 },
      ...{ num_key_value_heads: 1, max_position_embeddings: 32768, sliding_window: 512 },
      ...{ sliding_window_pattern: 6, vocab_size: 262144 },
    },
    parameters: 999_885_952,
    source: "arXiv 2503.19786; huggingface.co/google/gemma-3-1b-pt",
  },
  {
    name: "Gemma-3-4B",
    config: {
      ...{ model_type: "gemma3_text", hidden_size: 2560, intermediate_size: 10240 },
      ...{ num_hidden_layers: 34, sliding_window: 1024 },
    },
    // Of the language model; the vision encoder has 0.42e9 more.
    parameters: 3_880_263_168,
    source: "arXiv 2503.19786; huggingface.co/google/gemma-3-4b-pt",
  },
  {
    name: "Phi-3-mini",
    config: {
      ...{ model_type: "phi3", hidden_size: 3072, intermediate_size: 8192 },
      ...{ num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 32 },
      ...{ max_position_embeddings: 4096, sliding_window: 2047 },
      ...{ tie_word_embeddings: false, vocab_size: 32064 },
    },
    parameters: 3_821_079_552,
    source: "arXiv 2404.14219; huggingface.co/microsoft/Phi-3-mini-4k-instruct",
  },
  {
    name: "Qwen2.5-7B",
    config: {
      ...{ model_type: "qwen2", hidden_size: 3584, intermediate_size: 18944 },
      ...{ num_attention_heads: 28, num_hidden_layers: 28, num_key_value_heads: 4 },
      ...{ max_position_embeddings: 131072, sliding_window: 131072 },
      ...{ max_window_layers: 28, use_sliding_window: false, tie_word_embeddings: false },
      ...{ vocab_size: 152064 },
    },
    parameters: 7_615_616_512,
    source: "arXiv 2412.15115; huggingface.co/Qwen/Qwen2.5-7B",
  },
  {
    name: "Mixtral-8x7B",
    config: {
      ...{ model_type: "mixtral", hidden_size: 4096, intermediate_size: 14336 },
      ...{ num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 8 },
      ...{ num_experts_per_tok: 2, num_local_experts: 8, max_position_embeddings: 32768 },
      ...{ sliding_window: null, vocab_size: 32000, tie_word_embeddings: false },
    },
    parameters: 46_702_792_704,
    source: "arXiv 2401.04088; huggingface.co/mistralai/Mixtral-8x7B-v0.1",
  },
  {
    name: "Gemma-2-2B",
    config: {
      ...{ model_type: "gemma2", hidden_size: 2304, intermediate_size: 9216 },
      ...{ head_dim: 256, num_attention_heads: 8, num_hidden_layers: 26 },
      ...{ num_key_value_heads: 4, max_position_embeddings: 8192, sliding_window: 4096 },
      ...{ vocab_size: 256000 },
    },
    parameters: 2_614_341_888,
    source: "arXiv 2408.00118; huggingface.co/google/gemma-2-2b",
  },
  {
    name: "Gemma-2-27B",
    config: {
      ...{ model_type: "gemma2", hidden_size: 4608, intermediate_size: 36864 },
      ...{ head_dim: 128, num_attention_heads: 32, num_hidden_layers: 46 },
      ...{ num_key_value_heads: 16, max_position_embeddings: 8192, sliding_window: 4096 },
      ...{ vocab_size: 256000 },
    },
    parameters: 27_227_128_320,
    source: "arXiv 2408.00118; huggingface.co/google/gemma-2-27b",
  },
  {
    name: "Qwen3-8B",
    config: {
      ...{ model_type: "qwen3", hidden_size: 4096, intermediate_size: 12288 },
      ...{ head_dim: 128, num_attention_heads: 32, num_hidden_layers: 36 },
      ...{ num_key_value_heads: 8, max_position_embeddings: 40960 },
      ...{ max_window_layers: 36, use_sliding_window: false, tie_word_embeddings: false },
      ...{ sliding_window: null, vocab_size: 151936 },
    },
    parameters: 8_190_735_360,
    source: "arXiv 2505.09388; huggingface.co/Qwen/Qwen3-8B",
  },
  {
    name: "Qwen3-30B-A3B",
    config: {
      ...{ model_type: "qwen3_moe", hidden_size: 2048, intermediate_size: 6144 },
      ...{ moe_intermediate_size: 768, head_dim: 128, num_experts: 128 },
      ...{ num_experts_per_tok: 8, decoder_sparse_step: 1, mlp_only_layers: [] },
      ...{ num_attention_heads: 32, num_hidden_layers: 48, num_key_value_heads: 4 },
      ...{ max_position_embeddings: 40960, max_window_layers: 48 },
      ...{
        use_sliding_window: false,
        tie_word_embeddings: false,
        sliding_window: null,
        vocab_size: 151936,
      },
    },
    parameters: 30_532_122_624,
    source: "arXiv 2505.09388; huggingface.co/Qwen/Qwen3-30B-A3B",
  },
  {
    name: "gpt-oss-20b",
    config: {
      ...{ model_type: "gpt_oss", hidden_size: 2880, intermediate_size: 2880 },
      ...{ head_dim: 64, num_attention_heads: 64, num_hidden_layers: 24 },
      ...{ num_key_value_heads: 8, num_experts_per_tok: 4, num_local_experts: 32 },
      ...{ max_position_embeddings: 131072, sliding_window: 128 },
      ...{ tie_word_embeddings: false, vocab_size: 201088 },
    },
    parameters: 20_914_757_184,
    source: "arXiv 2508.10925; huggingface.co/openai/gpt-oss-20b",
  },
  {
    name: "DeepSeek-V2-Lite",
    config: {
      ...{ model_type: "deepseek_v2", hidden_size: 2048, intermediate_size: 10944 },
      ...{
        moe_intermediate_size: 1408,
        kv_lora_rank: 512,
        q_lora_rank: null,
        qk_nope_head_dim: 128,
      },
      ...{ qk_rope_head_dim: 64, v_head_dim: 128, n_routed_experts: 64 },
      ...{ n_shared_experts: 2, num_experts_per_tok: 6, first_k_dense_replace: 1 },
      ...{ moe_layer_freq: 1, num_attention_heads: 16, num_hidden_layers: 27 },
      ...{ num_key_value_heads: 16, max_position_embeddings: 163840 },
      ...{ tie_word_embeddings: false, vocab_size: 102400 },
    },
    parameters: 15_706_484_224,
    source: "arXiv 2405.04434; huggingface.co/deepseek-ai/DeepSeek-V2-Lite",
  },
  {
    name: "DeepSeek-V3",
    config: {
      ...{ model_type: "deepseek_v3", hidden_size: 7168, intermediate_size: 18432 },
      ...{ moe_intermediate_size: 2048, kv_lora_rank: 512, q_lora_rank: 1536 },
      ...{ qk_nope_head_dim: 128, qk_rope_head_dim: 64, v_head_dim: 128 },
      ...{ n_routed_experts: 256, n_shared_experts: 1, num_experts_per_tok: 8 },
      ...{ first_k_dense_replace: 3, moe_layer_freq: 1, num_attention_heads: 128 },
      ...{ num_hidden_layers: 61, num_key_value_heads: 128, num_nextn_predict_layers: 1 },
      ...{ max_position_embeddings: 163840, tie_word_embeddings: false },
      ...{ vocab_size: 129280 },
    },
    parameters: 671_026_404_352,
    source: "arXiv 2412.19437; huggingface.co/deepseek-ai/DeepSeek-V3",
  },
  {
    name: "Kimi-K2",
    config: {
      ...{ model_type: "kimi_k2", hidden_size: 7168, intermediate_size: 18432 },
      ...{ moe_intermediate_size: 2048, kv_lora_rank: 512, q_lora_rank: 1536 },
      ...{ qk_nope_head_dim: 128, qk_rope_head_dim: 64, v_head_dim: 128 },
      ...{ n_routed_experts: 384, n_shared_experts: 1, num_experts_per_tok: 8 },
      ...{ first_k_dense_replace: 1, moe_layer_freq: 1, num_attention_heads: 64 },
      ...{ num_hidden_layers: 61, num_key_value_heads: 64, num_nextn_predict_layers: 0 },
      ...{ max_position_embeddings: 131072, tie_word_embeddings: false },
      ...{ vocab_size: 163840 },
    },
    parameters: 1_026_408_209_408,
    source: "arXiv 2507.20534; huggingface.co/moonshotai/Kimi-K2-Instruct",
  },
  {
    name: "LFM2-1.2B",
    config: {
      ...{ model_type: "lfm2", hidden_size: 2048, block_auto_adjust_ff_dim: true },
      ...{ block_dim: 2048, block_ff_dim: 12288, block_ffn_dim_multiplier: 1.0 },
      ...{ block_multiple_of: 256, conv_L_cache: 3 },
      ...{ full_attn_idxs: [2, 5, 8, 10, 12, 14], num_attention_heads: 32 },
      ...{ num_hidden_layers: 16, num_key_value_heads: 8 },
      ...{ max_position_embeddings: 128000, vocab_size: 65536 },
    },
    parameters: 1_170_340_608,
    source: "arXiv 2511.23404; huggingface.co/LiquidAI/LFM2-1.2B",
  },
  {
    name: "Jamba-v0.1",
    config: {
      ...{ model_type: "jamba", hidden_size: 4096, intermediate_size: 14336 },
      ...{ attn_layer_offset: 4, attn_layer_period: 8, expert_layer_offset: 1 },
      ...{ expert_layer_period: 2, mamba_d_conv: 4, mamba_d_state: 16 },
      ...{ mamba_dt_rank: 256, mamba_expand: 2, num_attention_heads: 32 },
      ...{ num_hidden_layers: 32, num_key_value_heads: 8, num_experts: 16 },
      ...{ num_experts_per_tok: 2, max_position_embeddings: 262144 },
      ...{ tie_word_embeddings: false, sliding_window: null, vocab_size: 65536 },
    },
    parameters: 51_570_323_328,
    source: "arXiv 2403.19887; huggingface.co/ai21labs/Jamba-v0.1",
  },
];

export const MODELS: readonly Model[] = PUBLISHED.map(({ name, config, parameters, source }) => {
  // PaLM has no model type; its layers are known to be those that are assumed.
  const assumesDense = config.model_type === undefined;
  const model = parseConfig(JSON.stringify(config), name, { assumesDense });
  return { ...model, name, parameters, source, isAssumed: undefined };
});
