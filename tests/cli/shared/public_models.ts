// Published models: the fields of their config.json that shapes depend on, and what must come of them.

/** A model as its repository has it. */
export interface PublicModel {
  name: string;
  config: Record<string, unknown>;
  /** All of its parameters, norms and biases included. */
  parameters: number;
  /** Bytes of keys and values in f16: of one token, and of 8192. */
  cache: [oneToken: number, context8k: number];
}

/** Parameters and caches are those of transformers' own classes (5.18.0, on its meta device) for these fields. */
export const PUBLIC_MODELS: readonly PublicModel[] = [
  {
    name: "OPT-6.7B",
    config: {
      ...{ model_type: "opt", hidden_size: 4096, num_hidden_layers: 32 },
      ...{ num_attention_heads: 32, ffn_dim: 16384, max_position_embeddings: 2048 },
      ...{ vocab_size: 50272, word_embed_proj_dim: 4096, do_layer_norm_before: true },
    },
    parameters: 6_658_473_984,
    cache: [524288, 4_294_967_296],
  },
  {
    name: "OPT-350M",
    config: {
      ...{ model_type: "opt", hidden_size: 1024, num_hidden_layers: 24, num_attention_heads: 16 },
      ...{ ffn_dim: 4096, max_position_embeddings: 2048, vocab_size: 50272 },
      ...{ word_embed_proj_dim: 512, do_layer_norm_before: false },
    },
    parameters: 331_196_416,
    cache: [98304, 805_306_368],
  },
  {
    name: "BLOOM-7B1",
    config: {
      ...{ model_type: "bloom", n_layer: 30, num_attention_heads: 32, n_embed: 4096 },
      ...{ seq_length: 2048, vocab_size: 250_880 },
    },
    parameters: 7_069_016_064,
    cache: [491520, 4_026_531_840],
  },
  {
    name: "GPT-J-6B",
    config: {
      ...{ model_type: "gptj", n_embd: 4096, n_head: 16, n_layer: 28, n_positions: 2048 },
      ...{ n_inner: null, vocab_size: 50400, tie_word_embeddings: false },
    },
    parameters: 6_050_882_784,
    cache: [458752, 3_758_096_384],
  },
  {
    name: "GPT-NeoX-20B",
    config: {
      ...{ model_type: "gpt_neox", hidden_size: 6144, intermediate_size: 24576 },
      ...{ num_attention_heads: 64, num_hidden_layers: 44, max_position_embeddings: 2048 },
      ...{ vocab_size: 50432, tie_word_embeddings: false },
    },
    parameters: 20_554_567_680,
    cache: [1081344, 8_858_370_048],
  },
  {
    name: "Pythia-6.9B",
    config: {
      ...{ model_type: "gpt_neox", hidden_size: 4096, intermediate_size: 16384 },
      ...{ num_attention_heads: 32, num_hidden_layers: 32, max_position_embeddings: 2048 },
      ...{ vocab_size: 50432, tie_word_embeddings: false },
    },
    parameters: 6_857_302_016,
    cache: [524288, 4_294_967_296],
  },
  {
    name: "MPT-7B",
    config: {
      ...{ model_type: "mpt", d_model: 4096, n_heads: 32, n_layers: 32, expansion_ratio: 4 },
      ...{ max_seq_len: 2048, vocab_size: 50432 },
      ...{ attn_config: { alibi: true, attn_type: "multihead_attention" } },
    },
    parameters: 6_649_286_656,
    cache: [524288, 4_294_967_296],
  },
  {
    name: "Llama-3.1-70B",
    config: {
      ...{ model_type: "llama", hidden_size: 8192, intermediate_size: 28672 },
      ...{ num_attention_heads: 64, num_hidden_layers: 80, num_key_value_heads: 8 },
      ...{ max_position_embeddings: 131_072, vocab_size: 128_256 },
      ...{ tie_word_embeddings: false },
    },
    parameters: 70_553_706_496,
    cache: [327680, 2_684_354_560],
  },
  {
    name: "Llama-3.2-1B",
    config: {
      ...{ model_type: "llama", hidden_size: 2048, intermediate_size: 8192, head_dim: 64 },
      ...{ num_attention_heads: 32, num_hidden_layers: 16, num_key_value_heads: 8 },
      ...{ max_position_embeddings: 131_072, vocab_size: 128_256, tie_word_embeddings: true },
    },
    parameters: 1_235_814_400,
    cache: [32768, 268_435_456],
  },
  {
    name: "Mistral-Nemo-12B",
    config: {
      ...{ model_type: "mistral", hidden_size: 5120, intermediate_size: 14336 },
      ...{ head_dim: 128, num_attention_heads: 32, num_hidden_layers: 40 },
      ...{ num_key_value_heads: 8, max_position_embeddings: 131_072, sliding_window: null },
      ...{ vocab_size: 131_072, tie_word_embeddings: false },
    },
    parameters: 12_247_782_400,
    cache: [163840, 1_342_177_280],
  },
  {
    name: "Mixtral-8x22B",
    config: {
      ...{ model_type: "mixtral", hidden_size: 6144, intermediate_size: 16384 },
      ...{ num_attention_heads: 48, num_hidden_layers: 56, num_key_value_heads: 8 },
      ...{ num_experts_per_tok: 2, num_local_experts: 8, max_position_embeddings: 65536 },
      ...{ sliding_window: null, vocab_size: 32000, tie_word_embeddings: false },
    },
    parameters: 140_620_634_112,
    cache: [229376, 1_879_048_192],
  },
  {
    name: "StarCoder2-3B",
    config: {
      ...{ model_type: "starcoder2", hidden_size: 3072, intermediate_size: 12288 },
      ...{ num_attention_heads: 24, num_hidden_layers: 30, num_key_value_heads: 2 },
      ...{ max_position_embeddings: 16384, sliding_window: 4096, vocab_size: 49152 },
      ...{ use_bias: true },
    },
    parameters: 3_030_371_328,
    cache: [30720, 125_829_120],
  },
  {
    name: "StarCoder2-7B",
    config: {
      ...{ model_type: "starcoder2", hidden_size: 4608, intermediate_size: 18432 },
      ...{ num_attention_heads: 36, num_hidden_layers: 32, num_key_value_heads: 4 },
      ...{ max_position_embeddings: 16384, sliding_window: 4096, vocab_size: 49152 },
      ...{ use_bias: true },
    },
    parameters: 7_173_923_840,
    cache: [65536, 268_435_456],
  },
  {
    name: "Gemma-3-27B",
    config: {
      model_type: "gemma3",
      text_config: {
        ...{ model_type: "gemma3_text", hidden_size: 5376, intermediate_size: 21504 },
        ...{ head_dim: 128, num_attention_heads: 32, num_hidden_layers: 62 },
        ...{ num_key_value_heads: 16, sliding_window: 1024 },
      },
    },
    parameters: 27_009_346_304,
    cache: [507904, 1_107_296_256],
  },
  {
    name: "Qwen2.5-0.5B",
    config: {
      ...{ model_type: "qwen2", hidden_size: 896, intermediate_size: 4864 },
      ...{ num_attention_heads: 14, num_hidden_layers: 24, num_key_value_heads: 2 },
      ...{ max_position_embeddings: 32768, sliding_window: 32768, max_window_layers: 24 },
      ...{ use_sliding_window: false, tie_word_embeddings: true, vocab_size: 151_936 },
    },
    parameters: 494_032_768,
    cache: [12288, 100_663_296],
  },
  {
    name: "Qwen1.5-MoE-A2.7B",
    config: {
      ...{ model_type: "qwen2_moe", hidden_size: 2048, intermediate_size: 5632 },
      ...{ moe_intermediate_size: 1408, shared_expert_intermediate_size: 5632 },
      ...{ num_experts: 60, num_experts_per_tok: 4, decoder_sparse_step: 1 },
      ...{ num_attention_heads: 16, num_hidden_layers: 24, num_key_value_heads: 16 },
      ...{ max_position_embeddings: 8192, sliding_window: 32768, max_window_layers: 21 },
      ...{ use_sliding_window: false, tie_word_embeddings: false, vocab_size: 151_936 },
    },
    parameters: 14_315_784_192,
    cache: [196608, 1_610_612_736],
  },
  {
    name: "Qwen3-0.6B",
    config: {
      ...{ model_type: "qwen3", hidden_size: 1024, intermediate_size: 3072, head_dim: 128 },
      ...{ num_attention_heads: 16, num_hidden_layers: 28, num_key_value_heads: 8 },
      ...{ max_position_embeddings: 40960, max_window_layers: 28, sliding_window: null },
      ...{ use_sliding_window: false, tie_word_embeddings: true, vocab_size: 151_936 },
    },
    parameters: 596_049_920,
    cache: [114688, 939_524_096],
  },
  {
    name: "Qwen3-Next-80B-A3B",
    config: {
      ...{ model_type: "qwen3_next", hidden_size: 2048, intermediate_size: 5120 },
      ...{ moe_intermediate_size: 512, shared_expert_intermediate_size: 512, head_dim: 256 },
      ...{ num_experts: 512, num_experts_per_tok: 10, decoder_sparse_step: 1 },
      ...{ mlp_only_layers: [], full_attention_interval: 4, linear_conv_kernel_dim: 4 },
      ...{ linear_key_head_dim: 128, linear_num_key_heads: 16, linear_num_value_heads: 32 },
      ...{ linear_value_head_dim: 128, num_attention_heads: 16, num_hidden_layers: 48 },
      ...{ num_key_value_heads: 2, max_position_embeddings: 262_144 },
      ...{ tie_word_embeddings: false, vocab_size: 151_936 },
    },
    parameters: 79_674_391_296,
    cache: [24576, 201_326_592],
  },
  {
    name: "Phi-2",
    config: {
      ...{ model_type: "phi", hidden_size: 2560, intermediate_size: 10240 },
      ...{ num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 32 },
      ...{ max_position_embeddings: 2048, tie_word_embeddings: false, vocab_size: 51200 },
    },
    parameters: 2_779_683_840,
    cache: [327680, 2_684_354_560],
  },
  {
    name: "Phi-4",
    config: {
      ...{ model_type: "phi3", hidden_size: 5120, intermediate_size: 17920 },
      ...{ num_attention_heads: 40, num_hidden_layers: 40, num_key_value_heads: 10 },
      ...{ max_position_embeddings: 16384, sliding_window: null, tie_word_embeddings: false },
      ...{ vocab_size: 100_352 },
    },
    parameters: 14_659_507_200,
    cache: [204800, 1_677_721_600],
  },
  {
    name: "Phi-3.5-MoE",
    config: {
      ...{ model_type: "phimoe", hidden_size: 4096, intermediate_size: 6400 },
      ...{ num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 8 },
      ...{ num_experts_per_tok: 2, num_local_experts: 16, max_position_embeddings: 131_072 },
      ...{ sliding_window: 131_072, attention_bias: true, lm_head_bias: true },
      ...{ tie_word_embeddings: false, vocab_size: 32064 },
    },
    parameters: 41_873_153_344,
    cache: [131072, 1_073_741_824],
  },
  {
    name: "StableLM-2-1.6B",
    config: {
      ...{ model_type: "stablelm", hidden_size: 2048, intermediate_size: 5632 },
      ...{ num_attention_heads: 32, num_hidden_layers: 24, num_key_value_heads: 32 },
      ...{ max_position_embeddings: 4096, tie_word_embeddings: false, vocab_size: 100_352 },
      ...{ use_qkv_bias: true },
    },
    parameters: 1_644_515_328,
    cache: [196608, 1_610_612_736],
  },
  {
    name: "Command-R",
    config: {
      ...{ model_type: "cohere", hidden_size: 8192, intermediate_size: 22528 },
      ...{ num_attention_heads: 64, num_hidden_layers: 40, num_key_value_heads: 64 },
      ...{ max_position_embeddings: 8192, vocab_size: 256_000 },
    },
    parameters: 34_980_831_232,
    cache: [1310720, 10_737_418_240],
  },
  {
    name: "Command-R7B",
    config: {
      ...{ model_type: "cohere2", hidden_size: 4096, intermediate_size: 14336 },
      ...{ head_dim: 128, num_attention_heads: 32, num_hidden_layers: 32 },
      ...{ num_key_value_heads: 8, max_position_embeddings: 8192, sliding_window: 4096 },
      ...{ sliding_window_pattern: 4, vocab_size: 256_000 },
    },
    parameters: 8_028_033_024,
    cache: [131072, 671_088_640],
  },
  {
    name: "gpt-oss-120b",
    config: {
      ...{ model_type: "gpt_oss", hidden_size: 2880, intermediate_size: 2880, head_dim: 64 },
      ...{ num_attention_heads: 64, num_hidden_layers: 36, num_key_value_heads: 8 },
      ...{ num_experts_per_tok: 4, num_local_experts: 128, max_position_embeddings: 131_072 },
      ...{ sliding_window: 128, tie_word_embeddings: false, vocab_size: 201_088 },
    },
    parameters: 116_829_156_672,
    cache: [73728, 306_708_480],
  },
  {
    name: "EXAONE-4.0-32B",
    config: {
      ...{ model_type: "exaone4", hidden_size: 5120, intermediate_size: 27392 },
      ...{ head_dim: 128, num_attention_heads: 40, num_hidden_layers: 64 },
      ...{ num_key_value_heads: 8, max_position_embeddings: 131_072, sliding_window: 4096 },
      ...{ sliding_window_pattern: "LLLG", tie_word_embeddings: false, vocab_size: 102_400 },
    },
    parameters: 32_003_216_384,
    cache: [262144, 1_342_177_280],
  },
  {
    name: "EXAONE-4.0-1.2B",
    config: {
      ...{ model_type: "exaone4", hidden_size: 2048, intermediate_size: 4096, head_dim: 64 },
      ...{ num_attention_heads: 32, num_hidden_layers: 30, num_key_value_heads: 8 },
      ...{ max_position_embeddings: 65536, sliding_window: null },
      ...{ sliding_window_pattern: null, tie_word_embeddings: true, vocab_size: 102_400 },
    },
    parameters: 1_279_391_488,
    cache: [61440, 503_316_480],
  },
  {
    name: "DeepSeek-V2",
    config: {
      ...{ model_type: "deepseek_v2", hidden_size: 5120, intermediate_size: 12288 },
      ...{ moe_intermediate_size: 1536, kv_lora_rank: 512, q_lora_rank: 1536 },
      ...{ qk_nope_head_dim: 128, qk_rope_head_dim: 64, v_head_dim: 128 },
      ...{ n_routed_experts: 160, n_shared_experts: 2, num_experts_per_tok: 6 },
      ...{ first_k_dense_replace: 1, moe_layer_freq: 1, num_attention_heads: 128 },
      ...{ num_hidden_layers: 60, num_key_value_heads: 128 },
      ...{ max_position_embeddings: 163_840, tie_word_embeddings: false },
      ...{ vocab_size: 102_400 },
    },
    parameters: 235_741_434_880,
    cache: [69120, 566_231_040],
  },
  {
    name: "MiniCPM3-4B",
    config: {
      ...{ model_type: "minicpm3", hidden_size: 2560, intermediate_size: 6400 },
      ...{ kv_lora_rank: 256, q_lora_rank: 768, qk_nope_head_dim: 64, qk_rope_head_dim: 32 },
      ...{ num_attention_heads: 40, num_hidden_layers: 62, num_key_value_heads: 40 },
      ...{ max_position_embeddings: 32768, vocab_size: 73448 },
    },
    parameters: 4_073_875_968,
    cache: [35712, 292_552_704],
  },
  {
    name: "OLMo-2-7B",
    config: {
      ...{ model_type: "olmo2", hidden_size: 4096, intermediate_size: 11008 },
      ...{ num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 32 },
      ...{ max_position_embeddings: 4096, tie_word_embeddings: false, vocab_size: 100_352 },
    },
    parameters: 7_298_617_344,
    cache: [524288, 4_294_967_296],
  },
  {
    name: "Olmo-3-7B",
    config: {
      ...{ model_type: "olmo3", hidden_size: 4096, intermediate_size: 11008 },
      ...{ num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 32 },
      ...{ max_position_embeddings: 65536, sliding_window: 4096, tie_word_embeddings: false },
      ...{ vocab_size: 100_278 },
    },
    parameters: 7_298_011_136,
    cache: [524288, 2_684_354_560],
  },
  {
    name: "OLMoE-1B-7B",
    config: {
      ...{ model_type: "olmoe", hidden_size: 2048, intermediate_size: 1024 },
      ...{ num_attention_heads: 16, num_hidden_layers: 16, num_key_value_heads: 16 },
      ...{ num_experts: 64, num_experts_per_tok: 8, max_position_embeddings: 4096 },
      ...{ tie_word_embeddings: false, vocab_size: 50304 },
    },
    parameters: 6_919_161_856,
    cache: [131072, 1_073_741_824],
  },
  {
    name: "SmolLM3-3B",
    config: {
      ...{ model_type: "smollm3", hidden_size: 2048, intermediate_size: 11008 },
      ...{ num_attention_heads: 16, num_hidden_layers: 36, num_key_value_heads: 4 },
      ...{ max_position_embeddings: 65536, max_window_layers: 28, no_rope_layer_interval: 4 },
      ...{ sliding_window: null, use_sliding_window: false, vocab_size: 128_256 },
    },
    parameters: 3_075_098_624,
    cache: [73728, 603_979_776],
  },
  {
    name: "LFM2-350M",
    config: {
      ...{ model_type: "lfm2", hidden_size: 1024, block_auto_adjust_ff_dim: true },
      ...{ block_ff_dim: 6656, block_ffn_dim_multiplier: 1, block_multiple_of: 256 },
      ...{ conv_L_cache: 3, full_attn_idxs: [2, 5, 8, 10, 12, 14], num_attention_heads: 16 },
      ...{ num_hidden_layers: 16, num_key_value_heads: 8, max_position_embeddings: 128000 },
      vocab_size: 65536,
    },
    parameters: 354_483_968,
    cache: [12288, 100_663_296],
  },
  {
    name: "Granite-3.1-8B",
    config: {
      ...{ model_type: "granite", hidden_size: 4096, intermediate_size: 12800 },
      ...{ num_attention_heads: 32, num_hidden_layers: 40, num_key_value_heads: 8 },
      ...{ max_position_embeddings: 131_072, tie_word_embeddings: true, vocab_size: 49152 },
    },
    parameters: 8_170_835_968,
    cache: [163840, 1_342_177_280],
  },
  {
    name: "Granite-3.1-1B-A400M",
    config: {
      ...{ model_type: "granitemoe", hidden_size: 1024, intermediate_size: 512 },
      ...{ num_attention_heads: 16, num_hidden_layers: 24, num_key_value_heads: 8 },
      ...{ num_experts_per_tok: 8, num_local_experts: 32, max_position_embeddings: 131_072 },
      ...{ tie_word_embeddings: true, vocab_size: 49152 },
    },
    parameters: 1_334_625_280,
    cache: [49152, 402_653_184],
  },
  {
    name: "Granite-4.0-H-Tiny",
    config: {
      ...{ model_type: "granitemoehybrid", hidden_size: 1536, intermediate_size: 512 },
      ...{ shared_intermediate_size: 1024, mamba_d_conv: 4, mamba_d_head: 64 },
      ...{ mamba_d_state: 128, mamba_expand: 2, mamba_n_groups: 1, mamba_n_heads: 48 },
      ...{ num_attention_heads: 12, num_hidden_layers: 40, num_key_value_heads: 4 },
      ...{ num_experts_per_tok: 6, num_local_experts: 64, max_position_embeddings: 131_072 },
      ...{ tie_word_embeddings: true, vocab_size: 100_352 },
      layer_types: Array.from({ length: 40 }, (_, n) => n % 10 === 5 ? "attention" : "mamba"),
    },
    parameters: 6_939_037_248,
    cache: [8192, 67_108_864],
  },
  {
    name: "GLM-4-9B-0414",
    config: {
      ...{ model_type: "glm4", hidden_size: 4096, intermediate_size: 13696, head_dim: 128 },
      ...{ num_attention_heads: 32, num_hidden_layers: 40, num_key_value_heads: 2 },
      ...{ max_position_embeddings: 32768, tie_word_embeddings: false, vocab_size: 151_552 },
    },
    parameters: 9_400_279_040,
    cache: [40960, 335_544_320],
  },
  {
    name: "GLM-4.5-Air",
    config: {
      ...{ model_type: "glm4_moe", hidden_size: 4096, intermediate_size: 10944 },
      ...{ moe_intermediate_size: 1408, head_dim: 128, n_routed_experts: 128 },
      ...{ n_shared_experts: 1, num_experts_per_tok: 8, first_k_dense_replace: 1 },
      ...{ num_attention_heads: 96, num_hidden_layers: 46, num_key_value_heads: 8 },
      ...{ num_nextn_predict_layers: 1, attention_bias: true },
      ...{ max_position_embeddings: 131_072, tie_word_embeddings: false },
      ...{ vocab_size: 151_552 },
    },
    parameters: 106_852_245_504,
    cache: [188416, 1_543_503_872],
  },
  {
    name: "Minitron-4B",
    config: {
      ...{ model_type: "nemotron", hidden_size: 3072, intermediate_size: 9216 },
      ...{ head_dim: 128, num_attention_heads: 24, num_hidden_layers: 32 },
      ...{ num_key_value_heads: 8, max_position_embeddings: 4096 },
      ...{ tie_word_embeddings: false, vocab_size: 256_000 },
    },
    parameters: 4_190_509_056,
    cache: [131072, 1_073_741_824],
  },
  {
    name: "Seed-OSS-36B",
    config: {
      ...{ model_type: "seed_oss", hidden_size: 5120, intermediate_size: 27648 },
      ...{ head_dim: 128, num_attention_heads: 80, num_hidden_layers: 64 },
      ...{ num_key_value_heads: 8, max_position_embeddings: 524_288 },
      ...{ tie_word_embeddings: false, vocab_size: 155_136 },
    },
    parameters: 36_151_104_512,
    cache: [262144, 2_147_483_648],
  },
  {
    name: "MiniMax-M2",
    config: {
      ...{ model_type: "minimax_m2", hidden_size: 3072, intermediate_size: 1536 },
      ...{ head_dim: 128, num_attention_heads: 48, num_hidden_layers: 62 },
      ...{ num_key_value_heads: 8, num_experts_per_tok: 8, num_local_experts: 256 },
      ...{ max_position_embeddings: 196_608, tie_word_embeddings: false },
      ...{ vocab_size: 200_064 },
    },
    parameters: 228_689_748_992,
    cache: [253952, 2_080_374_784],
  },
  {
    name: "Arcee-AFM-4.5B",
    config: {
      ...{ model_type: "arcee", hidden_size: 2560, intermediate_size: 18432, head_dim: 128 },
      ...{ num_attention_heads: 20, num_hidden_layers: 36, num_key_value_heads: 4 },
      ...{ max_position_embeddings: 65536, tie_word_embeddings: false, vocab_size: 128_004 },
    },
    parameters: 4_619_184_640,
    cache: [73728, 603_979_776],
  },
  {
    name: "Apertus-8B",
    config: {
      ...{ model_type: "apertus", hidden_size: 4096, intermediate_size: 21504 },
      ...{ num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 8 },
      ...{ max_position_embeddings: 65536, tie_word_embeddings: false, vocab_size: 131_072 },
    },
    parameters: 8_053_338_176,
    cache: [131072, 1_073_741_824],
  },
  {
    name: "OLMo-7B",
    config: {
      ...{ model_type: "olmo", hidden_size: 4096, intermediate_size: 11008 },
      ...{ num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 32 },
      ...{ max_position_embeddings: 2048, tie_word_embeddings: false, vocab_size: 50304 },
    },
    parameters: 6_888_095_744,
    cache: [524288, 4_294_967_296],
  },
  {
    name: "Ministral-3-8B",
    config: {
      model_type: "mistral3",
      text_config: {
        ...{ model_type: "ministral3", hidden_size: 4096, intermediate_size: 14336 },
        ...{ head_dim: 128, num_attention_heads: 32, num_hidden_layers: 34 },
        ...{ num_key_value_heads: 8, max_position_embeddings: 262_144, sliding_window: null },
        ...{ vocab_size: 131_072 },
      },
    },
    parameters: 8_489_553_920,
    cache: [139264, 1_140_850_688],
  },
  {
    name: "GLM-4-9B-Chat",
    config: {
      ...{ model_type: "glm", hidden_size: 4096, intermediate_size: 13696, head_dim: 128 },
      ...{ num_attention_heads: 32, num_hidden_layers: 40, num_key_value_heads: 2 },
      ...{ max_position_embeddings: 131_072, tie_word_embeddings: false },
      ...{ vocab_size: 151_552 },
    },
    parameters: 9_399_951_360,
    cache: [40960, 335_544_320],
  },
];

/** The same for the presets, by name. */
export const PRESET_CACHES: Readonly<Record<string, PublicModel["cache"]>> = {
  "GPT-2": [36864, 301_989_888],
  "LLaMA-2-7B": [524288, 4_294_967_296],
  "LLaMA-2-13B": [819200, 6_710_886_400],
  "LLaMA-2-70B": [327680, 2_684_354_560],
  "LLaMA-3-8B": [131072, 1_073_741_824],
  "LLaMA-3-70B": [327680, 2_684_354_560],
  "Mistral-7B": [131072, 536_870_912],
  "Falcon-7B": [8192, 67_108_864],
  "Falcon-40B": [122880, 1_006_632_960],
  "StarCoder-15B": [20480, 167_772_160],
  "SantaCoder": [12288, 100_663_296],
  "PaLM-8B": [32768, 268_435_456],
  "PaLM-62B": [65536, 536_870_912],
  "PaLM-540B": [120832, 989_855_744],
  "Gemma-2B": [18432, 150_994_944],
  "Gemma-7B": [458752, 3_758_096_384],
  "Gemma-3-270M": [18432, 33_030_144],
  "Gemma-3-1B": [26624, 45_088_768],
  "Gemma-3-4B": [139264, 289_406_976],
  "Phi-3-mini": [393216, 804_913_152],
  "Qwen2.5-7B": [57344, 469_762_048],
  "Mixtral-8x7B": [131072, 1_073_741_824],
  "Gemma-2-2B": [106496, 654_311_424],
  "Gemma-2-27B": [376832, 2_315_255_808],
  "Qwen3-8B": [147456, 1_207_959_552],
  "Qwen3-30B-A3B": [98304, 805_306_368],
  "gpt-oss-20b": [49152, 204_472_320],
  "DeepSeek-V2-Lite": [31104, 254_803_968],
  "DeepSeek-V3": [70272, 575_668_224],
  "Kimi-K2": [70272, 575_668_224],
  "LFM2-1.2B": [12288, 100_663_296],
  "Jamba-v0.1": [16384, 134_217_728],
};
