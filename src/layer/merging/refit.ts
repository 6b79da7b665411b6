/** Refits a merged layer to what the layer did that it was. */
import { fitScores, type ScoreTarget } from "./fit_scores.ts";
import { fitValues } from "./fit_values.ts";
import type { LayerInputs } from "./layer_inputs.ts";
import { type HeadNorms, outputsOf, productsOf } from "./layer_pass.ts";
import type { Layer } from "./merge_heads.ts";
import type { SampledAttention } from "./sampled_attention.ts";

/** The inputs of a merged layer, and the scores and outputs that it should have of some of its tokens. */
export interface Target {
  inputs: LayerInputs;
  attention: SampledAttention;
  norms: HeadNorms;
  scores: ScoreTarget;
  /** Outputs of the samples [samples, dim]. */
  outputs: Float64Array;
}

/** A layer, and how far it is off. */
export interface Refit {
  layer: Layer;
  /** Square of what the outputs lack, over their own. */
  error: number;
  /** Rounds that it took. */
  rounds: number;
}

/** A round that gains less than this share of the error is the last. */
const LEAST_GAIN = 0.01;

/**
 * Refits a layer round by round, as long as that brings tokens closer that it is not refitted to.
 *
 * @param fitted What it is refitted to.
 * @param heldOut What errors are measured by.
 */
export function refit(layer: Layer, fitted: Target, heldOut: Target, rounds: number): Refit {
  let best = { layer, error: errorOf(layer, heldOut), rounds: 0 };
  while (best.rounds < rounds) {
    const next = refitOnce(best.layer, fitted);
    const error = errorOf(next, heldOut);
    if (!(error < best.error)) break;
    const isLast = error > (1 - LEAST_GAIN) * best.error;
    best = { layer: next, error, rounds: best.rounds + 1 };
    if (isLast) break;
  }
  return best;
}

/** W_Q and W_K to the scores, then W_V and W_O to the output. Scores stay where queries or keys are normalised. */
function refitOnce(layer: Layer, target: Target): Layer {
  const { inputs, attention, norms, scores } = target;
  const fitted = { ...layer };
  if (!norms.qNorm && !norms.kNorm) {
    fitted.q = fitScores("q", fitted, inputs, attention, scores);
    fitted.k = fitScores("k", fitted, inputs, attention, scores);
  }
  const weights = weightsOf(fitted, target);
  const { outputs } = target;
  return { ...fitted, ...fitValues(fitted, inputs, attention, { weights, outputs }) };
}

/** Square of what a layer's outputs lack, over their own: 0 where there is nothing to be lacked. */
export function errorOf(layer: Layer, target: Target): number {
  const { inputs, attention } = target;
  const { outputs } = outputsOf(layer, inputs, attention, weightsOf(layer, target));
  const lacking = squareOf(outputs.map((output, i) => target.outputs[i] - output));
  return lacking === 0 ? 0 : lacking / squareOf(target.outputs);
}

function weightsOf(layer: Layer, { inputs, attention, norms }: Target): Float64Array {
  return attention.weights(productsOf(layer, inputs, attention, norms));
}

function squareOf(numbers: Float64Array): number {
  return numbers.reduce((sum, number) => sum + number * number, 0);
}
