/** Models some of whose layers are recurrent: they keep numbers of a fixed size instead of keys and values. By model type. */
import type { HfConfig } from "../config.ts";
import { someFull } from "./attention_rules.ts";
import { allExperts, EXPERT_NAMES, expertsByPeriod, expertsInSteps } from "./feed_forward_rules.ts";
import type { ModelType } from "./model_type.ts";

export const HYBRID: Readonly<Record<string, ModelType>> = {
  lfm2: {
    source: "Lfm2Config",
    defaults: {
      ...{ vocab_size: 65_536, hidden_size: 2560, intermediate_size: 12_288 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 8 },
      ...{ block_auto_adjust_ff_dim: true, block_ffn_dim_multiplier: 1, block_multiple_of: 256 },
      ...{ conv_L_cache: 3, max_position_embeddings: 128_000, tie_word_embeddings: true },
    },
    nullable: ["block_ffn_dim_multiplier"],
    names: { intermediate_size: ["block_ff_dim"], tie_word_embeddings: ["tie_embedding"] },
    attention: someFull(
      (config) => {
        if (!config.has("full_attn_idxs")) return () => true;
        const full = config.layerNumbers("full_attn_idxs");
        return (n) => full.includes(n);
      },
      (config, dim) => dim * (4 * dim + config.count("conv_L_cache")),
    ),
    feedForward: (config, { hiddenDim }) => {
      const width = lfm2Width(config, hiddenDim);
      return () => ({ width });
    },
  },
  qwen3_next: {
    source: "Qwen3NextConfig",
    defaults: {
      ...{ vocab_size: 151_936, hidden_size: 2048, intermediate_size: 5632, head_dim: 256 },
      ...{ num_hidden_layers: 48, num_attention_heads: 16, num_key_value_heads: 2 },
      ...{ full_attention_interval: 4, linear_conv_kernel_dim: 4, linear_key_head_dim: 128 },
      ...{ linear_value_head_dim: 128, linear_num_key_heads: 16, linear_num_value_heads: 32 },
      ...{ moe_intermediate_size: 512, shared_expert_intermediate_size: 512 },
      ...{ num_experts: 512, num_experts_per_tok: 10, decoder_sparse_step: 1 },
      ...{ max_position_embeddings: 32_768, tie_word_embeddings: false },
    },
    names: EXPERT_NAMES,
    attention: someFull((config) => {
      const every = config.count("full_attention_interval");
      return (n) => (n + 1) % every === 0;
    }, deltaNetParameters),
    gatesOutput: true,
    feedForward: expertsInSteps,
  },
  jamba: {
    source: "JambaConfig",
    defaults: {
      ...{ vocab_size: 65_536, hidden_size: 4096, intermediate_size: 14_336 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 8 },
      ...{ attn_layer_period: 8, attn_layer_offset: 4, num_experts: 16, num_experts_per_tok: 2 },
      ...{ expert_layer_period: 2, expert_layer_offset: 1, mamba_d_state: 16, mamba_d_conv: 4 },
      ...{ mamba_expand: 2, mamba_dt_rank: "auto" },
      ...{ max_position_embeddings: 262_144, tie_word_embeddings: false },
    },
    nullable: ["num_key_value_heads"],
    names: EXPERT_NAMES,
    attention: someFull((config) => {
      const period = config.count("attn_layer_period");
      const offset = config.index("attn_layer_offset");
      return (n) => n % period === offset;
    }, mambaParameters),
    feedForward: expertsByPeriod,
  },
  granitemoehybrid: {
    source: "GraniteMoeHybridConfig",
    defaults: {
      ...{ vocab_size: 32_000, hidden_size: 4096, intermediate_size: 11_008 },
      ...{ num_hidden_layers: 32, num_attention_heads: 32, max_position_embeddings: 2048 },
      ...{ num_experts: 8, num_experts_per_tok: 2, shared_intermediate_size: 1024 },
      ...{ mamba_n_heads: 128, mamba_n_groups: 1, mamba_d_state: 256, mamba_d_conv: 4 },
      ...{ mamba_expand: 2, tie_word_embeddings: false },
    },
    names: { ...EXPERT_NAMES, layer_types: ["layers_block_type"] },
    attention: someFull(() => () => false, mamba2Parameters),
    feedForward: allExperts,
  },
};

/** The width inside that Lfm2Config makes of the one that files give: two thirds of it, rounded up. */
function lfm2Width(config: HfConfig, given: number): number {
  if (!config.flag("block_auto_adjust_ff_dim")) return given;
  const multiplier = config.has("block_ffn_dim_multiplier")
    ? config.positive("block_ffn_dim_multiplier")
    : 1;
  const multiple = config.count("block_multiple_of");
  return Math.ceil(Math.floor(multiplier * Math.floor(2 * given / 3)) / multiple) * multiple;
}

/** A gated delta net (Yang et al. 2024, arXiv 2412.06464): projections, a convolution before it and one projection after. */
function deltaNetParameters(config: HfConfig, dim: number): number {
  const valueHeads = config.count("linear_num_value_heads");
  const keys = config.count("linear_num_key_heads") * config.count("linear_key_head_dim");
  const values = valueHeads * config.count("linear_value_head_dim");
  const convolution = config.count("linear_conv_kernel_dim") * (2 * keys + values);
  return dim * (2 * keys + 2 * values + 2 * valueHeads) + convolution + values * dim;
}

/** Mamba (Gu and Dao 2023, arXiv 2312.00752). */
function mambaParameters(config: HfConfig, dim: number): number {
  const inner = config.count("mamba_expand") * dim;
  const state = config.count("mamba_d_state");
  const rank = config.value("mamba_dt_rank") === "auto"
    ? Math.ceil(dim / 16)
    : config.count("mamba_dt_rank");
  const projections = 2 * dim * inner + inner * (rank + 2 * state) + rank * inner + inner * dim;
  return projections + inner * (config.count("mamba_d_conv") + state);
}

/** Mamba 2 (Dao and Gu 2024, arXiv 2405.21060). */
function mamba2Parameters(config: HfConfig, dim: number): number {
  const inner = config.count("mamba_expand") * dim;
  const states = 2 * config.count("mamba_n_groups") * config.count("mamba_d_state");
  const projections = dim * (2 * inner + states + config.count("mamba_n_heads")) + inner * dim;
  return projections + config.count("mamba_d_conv") * (inner + states);
}
