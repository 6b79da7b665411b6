import type { RopeOptions } from "../cache/rope.ts";
import { checkpointError } from "./checkpoint_error.ts";
import type { HfConfig } from "./config.ts";

/** The file's fields for rotary positions: all of the first scheme, or those of a newer one, which has them in a section. */
interface RopeFields {
  base: number;
  scaling?: HfConfig;
}

/** Rotary positions of a model that has them alike in all layers. */
export function readRope(config: HfConfig, headDim: number): RopeOptions {
  const parameters = config.section("rope_parameters");
  const fields = parameters
    ? { base: parameters.positive("rope_theta"), scaling: parameters }
    : { base: config.positive("rope_theta"), scaling: config.section("rope_scaling") };
  return ropeOptions(config, fields, headDim);
}

/** Rotary positions of halves, with the frequencies scaled as the file says. */
export function ropeOptions(
  config: HfConfig,
  { base, scaling }: RopeFields,
  headDim: number,
): RopeOptions {
  config.allowOnly("partial_rotary_factor", 1);
  scaling?.allowOnly("partial_rotary_factor", 1);
  if (headDim % 2 !== 0) {
    throw checkpointError(config.name, "heads must have an even size to be rotated", { headDim });
  }
  const scale = scaling && readScaling(scaling);
  if (!scale) return { style: "halves", base };
  const frequencies = Array.from(
    { length: headDim / 2 },
    (_, pair) => scale(base ** (-2 * pair / headDim)),
  );
  return { style: "halves", frequencies };
}

/** What becomes of a frequency; nothing where it stays as it is. */
function readScaling(scaling: HfConfig): ((frequency: number) => number) | undefined {
  // The first files called the type so.
  const field = scaling.has("rope_type") ? "rope_type" : "type";
  const read = scaling.withDefaults({ [field]: "default" }).choice(field, {
    default: () => undefined,
    linear: linearScaling,
    llama3: llama3Scaling,
  });
  return read(scaling);
}

/** Positions are divided (Chen et al. 2023, arXiv 2306.15595). */
function linearScaling(scaling: HfConfig): (frequency: number) => number {
  const factor = scaling.positive("factor");
  return (frequency) => frequency / factor;
}

/**
 * Waves that are long beside the context of training are divided, short ones are left, and between them lies a smooth path
 * (Grattafiori et al. 2024, Llama 3, arXiv 2407.21783).
 */
function llama3Scaling(scaling: HfConfig): (frequency: number) => number {
  const factor = scaling.positive("factor");
  const low = scaling.positive("low_freq_factor");
  const high = scaling.positive("high_freq_factor");
  const trainedLen = scaling.count("original_max_position_embeddings");
  if (high <= low) throw scaling.error("high_freq_factor", `must be above low_freq_factor=${low}`);
  return (frequency) => {
    const waves = trainedLen * frequency / (2 * Math.PI);
    const share = Math.min(1, Math.max(0, (waves - low) / (high - low)));
    return share * frequency + (1 - share) * frequency / factor;
  };
}
