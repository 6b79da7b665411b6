/** Refits W_V and W_O of a merged layer to the output that it should have. */
import { conjugateGradients } from "../../base/conjugate_gradients.ts";
import { product } from "../../base/linear_algebra.ts";
import { type Affine, changed, gradientOf, project, projectionOf } from "./affine.ts";
import type { LayerInputs } from "./layer_inputs.ts";
import { outputsOf } from "./layer_pass.ts";
import { crossOf, Ridge } from "./ridge.ts";
import type { SampledAttention } from "./sampled_attention.ts";

/** The outputs to come close to. */
export interface OutputTarget {
  /** The attention weights that a merged layer has, packed. */
  weights: Float64Array;
  /** Outputs of the samples [samples, dim]. */
  outputs: Float64Array;
}

/** The two projections that are refitted together. */
interface ValuesAndOutput {
  v: Affine;
  o: Affine;
}

/** Steps of each solution. */
const STEPS = 8;
/** Shares of a change of the values that are tried, as W_O does not follow it in a straight line. */
const SHARES = [1, 0.5, 0.25];

/**
 * Refits the values and W_O by least squares, with the attention weights held. W_O follows the values at once: errors that it
 * can take up do not count for them (variable projection: Golub and Pereyra 1973, as Kaufman 1975 simplifies it). What is
 * left of the errors never grows.
 */
export function fitValues(
  { v, o }: ValuesAndOutput,
  inputs: LayerInputs,
  attention: SampledAttention,
  target: OutputTarget,
): ValuesAndOutput {
  const before = withOutput({ v, o }, inputs, attention, target);
  const change = changeOfValues({ v, o: before.o }, inputs, attention, target);
  for (const share of SHARES) {
    const after = withOutput(
      { v: changed(v, change.map((value) => share * value)), o: before.o },
      inputs,
      attention,
      target,
    );
    if (after.square < before.square) return { v: after.v, o: after.o };
  }
  return { v, o: before.o };
}

/** Refits W_O alone. */
function withOutput(
  { v, o }: ValuesAndOutput,
  inputs: LayerInputs,
  attention: SampledAttention,
  target: OutputTarget,
): ValuesAndOutput & { square: number } {
  const { attended, errors } = errorsOf({ v, o }, inputs, attention, target);
  const rows = attention.samples.length;
  const change = new Ridge(crossOf(attended, attended, rows))
    .change(crossOf(attended, errors, rows));
  const taken = project(attended, change, o.out);
  const square = errors.reduce((sum, error, i) => sum + (error - taken[i]) ** 2, 0);
  return { v, o: changed(o, change), square };
}

/** The change of the values that is best where W_O, which is optimal for the present ones, follows it. */
function changeOfValues(
  { v, o }: ValuesAndOutput,
  inputs: LayerInputs,
  attention: SampledAttention,
  target: OutputTarget,
): Float64Array {
  const { attended, errors } = errorsOf({ v, o }, inputs, attention, target);
  const wO = Float64Array.from(projectionOf(o).weight.data);
  const rows = attention.samples.length;
  const ridge = new Ridge(crossOf(attended, attended, rows));
  const gradient = (errors: Float64Array) => {
    const taken = project(attended, ridge.change(crossOf(attended, errors, rows)), o.out);
    const left = product(errors.map((error, i) => error - taken[i]), wO, o.out);
    const heads = v.out / attention.shape.headDim;
    return gradientOf(v, attention.scatter(target.weights, left, heads), inputs.all);
  };
  return conjugateGradients({
    apply: (matrix) => {
      const values = project(inputs.all, matrix, v.out);
      return gradient(project(attention.gather(target.weights, values), wO, o.out));
    },
    right: gradient(errors),
    precondition: (matrix) => inputs.precondition(matrix, v),
  }, STEPS);
}

function errorsOf(
  layer: ValuesAndOutput,
  inputs: LayerInputs,
  attention: SampledAttention,
  target: OutputTarget,
): { attended: Float64Array; errors: Float64Array } {
  const { attended, outputs } = outputsOf(layer, inputs, attention, target.weights);
  return { attended, errors: outputs.map((output, i) => target.outputs[i] - output) };
}
