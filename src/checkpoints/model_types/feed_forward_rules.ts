/** Rules for the feed-forward layer of each layer: dense, or experts of which each token passes some. */
import type { HfConfig } from "../config.ts";
import type { FeedForward, FeedForwardRule } from "./model_type.ts";

/** Other names of the number of experts. */
export const EXPERT_NAMES = { num_experts: ["num_local_experts", "n_routed_experts"] };

/** Every layer is dense. */
export const dense: FeedForwardRule = (_, { hiddenDim }) => () => ({ width: hiddenDim });

/** Every layer has experts as wide as `intermediate_size` (Mixtral), and may have a shared one beside them. */
export const allExperts: FeedForwardRule = (config, { hiddenDim }) => {
  const layer = readExperts(config, hiddenDim, config.findCount("shared_intermediate_size"));
  return () => layer;
};

/** Experts but in the first layers, and a number of shared ones beside them (DeepSeek). */
export const expertsAfterFirst: FeedForwardRule = (config, { hiddenDim }) => {
  const width = config.count("moe_intermediate_size");
  const shared = config.value("n_shared_experts") === undefined
    ? 0
    : config.index("n_shared_experts");
  const sparse = readExperts(config, width, shared * width);
  const first = config.index("first_k_dense_replace");
  const every = config.findCount("moe_layer_freq") ?? 1;
  return (n) => n >= first && n % every === 0 ? sparse : { width: hiddenDim };
};

/** Experts in every so many layers, with a shared one where its width is given (Qwen). */
export const expertsInSteps: FeedForwardRule = (config, { hiddenDim }) => {
  const sparse = readExperts(
    config,
    config.count("moe_intermediate_size"),
    config.findCount("shared_expert_intermediate_size"),
  );
  const step = config.count("decoder_sparse_step");
  const denseLayers = config.has("mlp_only_layers") ? config.layerNumbers("mlp_only_layers") : [];
  return (n) => (n + 1) % step === 0 && !denseLayers.includes(n) ? sparse : { width: hiddenDim };
};

/** Experts in every so many layers, counted from an offset, as wide as the dense layers between them (Jamba). */
export const expertsByPeriod: FeedForwardRule = (config, { hiddenDim }) => {
  const sparse = readExperts(config, hiddenDim);
  const period = config.count("expert_layer_period");
  const offset = config.index("expert_layer_offset");
  return (n) => n % period === offset ? sparse : { width: hiddenDim };
};

/** A layer of experts; one without experts is its shared expert alone. */
function readExperts(config: HfConfig, width: number, sharedWidth?: number): FeedForward {
  if (config.value("num_experts") === 0 && sharedWidth) return { width: sharedWidth };
  const count = config.few("num_experts");
  const perToken = config.count("num_experts_per_tok");
  if (perToken > count) {
    throw config.error("num_experts_per_tok", `must be at most the number of experts, ${count}`);
  }
  return { width, experts: { count, perToken }, sharedWidth };
}
