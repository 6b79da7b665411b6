/** The specification of the gradient of an attention. */
import { checkChoice, sentence } from "../base/check.ts";
import { isQuantized } from "../tensor/quantized.ts";
import { type AttentionSpec, type FilledSpec, fillIn } from "./spec.ts";

/** The action that errors about a specification name. */
export const ACTION = "plan the gradient of attention";

/**
 * The specification of a gradient: that of the attention it belongs to. What the attention returns beside its output, how it
 * computes and how it is tuned do not matter here.
 */
export type AttentionGradientSpec = Omit<AttentionSpec, "outputs" | "impl" | "tuning">;

/** Fills in the defaults of a specification, and refuses what has no gradient here. */
export function fillInGradient(spec: AttentionGradientSpec): FilledSpec {
  const filled = fillIn({ ...spec, outputs: [], impl: "auto", tuning: undefined });
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
  return filled;
}
