/** Gemma 3, its text models (Gemma Team 2025, arXiv 2503.19786). */
import type { RopeOptions } from "../../cache/rope.ts";
import { ropeOptions } from "../rope.ts";
import type { HfConfig } from "../config.ts";
import { ACTIVATIONS, type Family } from "../family.ts";
import { LLAMA_TENSORS, llamaSizes } from "./llama.ts";

/** What a field means that is not there: of models that also see, most are not. */
export const GEMMA_3_DEFAULTS = {
  ...{ vocab_size: 262_208, hidden_size: 2304, intermediate_size: 9216, num_hidden_layers: 26 },
  ...{ num_attention_heads: 8, num_key_value_heads: 4, head_dim: 256 },
  ...{ max_position_embeddings: 131_072, hidden_activation: "gelu_pytorch_tanh" },
  ...{ rms_norm_eps: 1e-6, rope_theta: 1_000_000, rope_local_base_freq: 10_000 },
  ...{ query_pre_attn_scalar: 256, sliding_window: 4096, sliding_window_pattern: 6 },
  ...{ attention_bias: false, tie_word_embeddings: true },
};

/** Gemma 3: Gemma with windows in most layers, norms of queries and keys, and norms after attention and feed-forward. */
export function gemma3(given: HfConfig): Family {
  const config = given.withDefaults(GEMMA_3_DEFAULTS);
  const sizes = llamaSizes(config);
  const { local, global } = readRopes(config, sizes.headDim);
  const windowed = { rope: local, window: config.count("sliding_window") };
  return {
    spec: {
      ...sizes,
      layers: readIsWindowed(config).map((isWindowed) => isWindowed ? windowed : { rope: global }),
      norm: { kind: "rms", eps: config.positive("rms_norm_eps") },
      activation: config.choice("hidden_activation", ACTIVATIONS),
      isGated: true,
      isParallel: false,
      scale: 1 / Math.sqrt(config.positive("query_pre_attn_scalar")),
      embeddingScale: Math.sqrt(sizes.dim),
    },
    prefixes: ["model.", "language_model.model.", "model.language_model.", ""],
    tensors: {
      ...LLAMA_TENSORS,
      qNorm: "layers.N.self_attn.q_norm",
      kNorm: "layers.N.self_attn.k_norm",
      postAttentionNorm: "layers.N.post_attention_layernorm",
      mlpNorm: "layers.N.pre_feedforward_layernorm",
      postMlpNorm: "layers.N.post_feedforward_layernorm",
    },
    biased: config.flag("attention_bias") ? ["q", "k", "v", "o"] : [],
    addsOneToNorms: true,
    isTied: config.flag("tie_word_embeddings"),
  };
}

/** Which layers have a window: as a list says, or all but every sixth. */
function readIsWindowed(config: HfConfig): boolean[] {
  const numLayers = config.few("num_hidden_layers");
  const types = config.value("layer_types");
  if (types === undefined) {
    const every = config.count("_sliding_window_pattern", "sliding_window_pattern");
    return Array.from({ length: numLayers }, (_, layer) => (layer + 1) % every !== 0);
  }
  const known = ["sliding_attention", "full_attention"];
  if (
    !Array.isArray(types) || types.length !== numLayers ||
    !types.every((type) => known.includes(type))
  ) {
    throw config.error("layer_types", `must be ${numLayers} of ${known.join(", ")}`);
  }
  return types.map((type) => type === "sliding_attention");
}

/** Rotary positions of layers with a window and without: what scales them is for those without. */
function readRopes(config: HfConfig, headDim: number): Record<"local" | "global", RopeOptions> {
  const parameters = config.section("rope_parameters");
  const read = (type: string, baseField: string, scaling?: HfConfig): RopeOptions => {
    const own = parameters?.section(type);
    const base = own ? own.positive("rope_theta") : config.positive(baseField);
    return ropeOptions(config, { base, scaling: own ?? scaling }, headDim);
  };
  return {
    local: read("sliding_attention", "rope_local_base_freq"),
    global: read("full_attention", "rope_theta", config.section("rope_scaling")),
  };
}
