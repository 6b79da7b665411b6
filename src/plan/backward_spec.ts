/** The specification of the gradient of an attention. */
import { checkArray, checkChoice, sentence } from "../base/check.ts";
import { isQuantized } from "../tensor/quantized.ts";
import { type AttentionSpec, type FilledSpec, fillIn } from "./spec.ts";

/** The action that errors about a specification name. */
export const ACTION = "plan the gradient of attention";

/**
 * A gradient beside dq, dk and dv:
 *
 * - `"dBias"`: shaped and stored as the bias, summed over the axes that it is broadcast over
 * - `"dAlibiSlopes"`: of each query head's slope of ALiBi [N], f32
 * - `"dSinkLogits"`: of each query head's sink logit [N], f32
 */
export type ScoreGradient = "dBias" | "dAlibiSlopes" | "dSinkLogits";

/**
 * The specification of a gradient: that of the attention it belongs to. What the attention returns beside its output and how
 * it is tuned do not matter here. `impl` is that of the gradient: `"fused"`, the default, computes weights anew in tiles;
 * `"staged"` is plain, with all pairs of a block of rows in scratch, for reading and for comparing.
 */
export type AttentionGradientSpec = Omit<AttentionSpec, "outputs" | "tuning" | "blockMask"> & {
  /** The gradients to compute beside dq, dk and dv. The default is none. */
  gradients?: readonly ScoreGradient[];
};

/** A specification with its defaults filled in. */
export interface FilledGradientSpec {
  /** That of the attention. */
  spec: FilledSpec;
  /** The gradients to compute beside dq, dk and dv, each once. */
  gradients: readonly ScoreGradient[];
}

/** Each gradient, and the option of the attention that it is of. */
export const SCORE_GRADIENTS: Readonly<
  Record<ScoreGradient, "bias" | "alibiSlopes" | "sinkLogits">
> = {
  dBias: "bias",
  dAlibiSlopes: "alibiSlopes",
  dSinkLogits: "sinkLogits",
};

/** Fills in the defaults of a specification, and refuses what has no gradient here. */
export function fillInGradient(
  { gradients = [], ...spec }: AttentionGradientSpec,
): FilledGradientSpec {
  const filled = fillIn({ ...spec, outputs: [], tuning: undefined, blockMask: false });
  const { kvDtype, pages, valuesAre, arithmetic, scoreMod } = filled;
  if (isQuantized(kvDtype)) {
    const rule = "integers have no gradient (store keys and values as f32 or f16)";
    throw new TypeError(sentence(ACTION, rule, { kvDtype }));
  }
  if (pages !== undefined) {
    const rule = "gradients are of contiguous keys and values (leave pages out)";
    throw new TypeError(sentence(ACTION, rule, { pages }));
  }
  if (valuesAre !== undefined) {
    const rule = "values must be of their own (give v, and leave valuesAre out)";
    throw new TypeError(sentence(ACTION, rule, { valuesAre }));
  }
  if (scoreMod && scoreMod.grad === undefined) {
    const rule = "scoreMod must have a derivative (declare it in the text, and name it as grad)";
    throw new TypeError(sentence(ACTION, rule, { scoreMod: scoreMod.name }));
  }
  checkChoice(ACTION, "arithmetic", arithmetic, ["f32"]);
  checkArray(ACTION, "gradients", gradients);
  for (const name of gradients) {
    checkChoice(ACTION, "gradients", name, Object.keys(SCORE_GRADIENTS));
    const option = SCORE_GRADIENTS[name as ScoreGradient];
    if (filled[option] !== undefined) continue;
    const rule = `${name} is the gradient of ${option} (give that too)`;
    throw new TypeError(sentence(ACTION, rule, { gradients, [option]: filled[option] }));
  }
  return { spec: filled, gradients: [...new Set(gradients)] };
}
