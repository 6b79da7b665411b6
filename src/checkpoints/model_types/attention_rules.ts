/** Rules for the attention of each layer: a list in the file decides, or else the class. */
import type { HfConfig } from "../config.ts";
import type { AttentionRule, LayerAttention } from "./model_type.ts";

const FULL: LayerAttention = { kind: "full" };

/** The kinds of layers by their names in lists. */
const KINDS: Readonly<Record<string, LayerAttention["kind"]>> = {
  ...{ full_attention: "full", attention: "full", sliding_attention: "sliding" },
  ...{ linear_attention: "none", conv: "none", mamba: "none" },
};

/** Every layer sees all tokens, and the file must not say otherwise. */
export const allFull: AttentionRule = (config) => {
  refuseWindow(config);
  return agreeing(config, layersOf(config, () => FULL));
};

/** Every layer sees all tokens, whatever the file says: it is assumed. */
export const assumedFull: AttentionRule = (config) => layersOf(config, () => FULL);

/** Every layer has the window, where there is one; there is no switch for it (Mistral). */
export const allSliding: AttentionRule = (config) => {
  const window = config.findCount("sliding_window");
  if (window !== undefined && config.value("use_sliding_window") === false) {
    throw config.error(
      "use_sliding_window",
      "is no field of this model type: set sliding_window to null for no windows",
    );
  }
  return agreeing(config, layersOf(config, () => windowed(window)));
};

/** Every layer has the window, where `use_sliding_window` says that it is used. */
export const allSlidingIfUsed: AttentionRule = (config) =>
  agreeing(config, layersOf(config, () => windowed(windowOf(config))));

/** Layers have the window, but for every `every`th, the last of each round. A file may have another pattern. */
export function alternating(every: number): AttentionRule {
  return listedOr((config) => {
    const window = windowOf(config);
    const isFull = readPattern(config, every);
    return layersOf(config, (n) => isFull(n) ? FULL : windowed(window));
  });
}

/** Layers from `max_window_layers` on have the window (Qwen 2). */
export const fromMaxWindowLayers: AttentionRule = listedOr((config) => {
  const window = windowOf(config);
  const first = window === undefined ? Infinity : config.index("max_window_layers");
  return layersOf(config, (n) => n < first ? FULL : windowed(window));
});

/** Layers as the list has them; where there is none, all have the window, where there is one. */
export const listedOrSliding: AttentionRule = listedOr((config) =>
  layersOf(config, () => windowed(windowOf(config)))
);

/** Layers without rotary positions have the window (SmolLM 3). */
export const slidingWithoutRope: AttentionRule = listedOr((config) => {
  const window = windowOf(config);
  if (window === undefined) return layersOf(config, () => FULL);
  const every = config.count("no_rope_layer_interval");
  config.allowOnly("no_rope_layers");
  return layersOf(config, (n) => (n + 1) % every === 0 ? windowed(window) : FULL);
});

/** Every layer keeps one compressed row of each token. */
export const allLatent: AttentionRule = (config) => {
  refuseWindow(config);
  return layersOf(config, () => ({ kind: "latent" }));
};

/** Some layers attend to all tokens, and the others are recurrent; `isFull` decides where no list does. */
export function someFull(
  readIsFull: (config: HfConfig) => (n: number) => boolean,
  recurrentParameters: (config: HfConfig, dim: number) => number,
): AttentionRule {
  return (config, { dim }) => {
    refuseWindow(config);
    const recurrent: LayerAttention = {
      kind: "none",
      parameters: recurrentParameters(config, dim),
    };
    const listed = listedKinds(config);
    if (listed === undefined) {
      const isFull = readIsFull(config);
      return layersOf(config, (n) => isFull(n) ? FULL : recurrent);
    }
    return listed.map((kind) => {
      if (kind === "sliding") throw config.error("layer_types", "must not have windows here");
      return kind === "full" ? FULL : recurrent;
    });
  };
}

function layersOf(
  config: HfConfig,
  attentionOf: (n: number) => LayerAttention,
): LayerAttention[] {
  return Array.from({ length: config.few("num_hidden_layers") }, (_, n) => attentionOf(n));
}

function windowed(window: number | undefined): LayerAttention {
  return window === undefined ? FULL : { kind: "sliding", window };
}

function refuseWindow(config: HfConfig): void {
  if (windowOf(config) === undefined) return;
  throw config.error("sliding_window", "must be null, as models of this type have no windows");
}

/** The window, unless the file says that it is not used. */
function windowOf(config: HfConfig): number | undefined {
  return config.value("use_sliding_window") === false
    ? undefined
    : config.findCount("sliding_window");
}

/** The layers that see everything: every so many, or those of a text such as "LLLG" (local, global) and the last. */
function readPattern(config: HfConfig, every: number): (n: number) => boolean {
  const pattern = config.value("sliding_window_pattern");
  if (typeof pattern === "string") {
    if (!/^[LG]+$/.test(pattern)) {
      throw config.error("sliding_window_pattern", 'must be a number, or letters L and G ("LLLG")');
    }
    const last = config.few("num_hidden_layers") - 1;
    return (n) => n === last || pattern[n % pattern.length] === "G";
  }
  const period = config.findCount("sliding_window_pattern") ?? every;
  return (n) => (n + 1) % period === 0;
}

/** Reads the list of a file where it has one. */
function listedOr(rule: (config: HfConfig) => LayerAttention[]): AttentionRule {
  return (config) => {
    const listed = listedKinds(config);
    if (listed === undefined) return rule(config);
    const window = windowOf(config);
    return listed.map((kind) => {
      if (kind === "none") throw config.error("layer_types", "must have attention in every layer");
      if (kind === "full") return FULL;
      if (window !== undefined) return { kind: "sliding", window };
      throw config.error("sliding_window", "must be a number where layer_types has windows");
    });
  };
}

/** The layers of a class that reads no list: a list in the file must say the same. */
function agreeing(config: HfConfig, layers: LayerAttention[]): LayerAttention[] {
  const listed = listedKinds(config);
  if (!listed || listed.every((kind, n) => kind === layers[n].kind)) return layers;
  throw config.error("layer_types", "must be what this model type has without it (leave it out)");
}

/** The kinds of layers as a list in the file has them. */
function listedKinds(config: HfConfig): LayerAttention["kind"][] | undefined {
  const types = config.value("layer_types");
  if (types === undefined) return undefined;
  const numLayers = config.few("num_hidden_layers");
  const isKnown = (type: unknown) => typeof type === "string" && Object.hasOwn(KINDS, type);
  if (Array.isArray(types) && types.length === numLayers && types.every(isKnown)) {
    return types.map((type) => KINDS[type]);
  }
  throw config.error("layer_types", `must be ${numLayers} of ${Object.keys(KINDS).join(", ")}`);
}
