/** Refits W_Q and W_K of a merged layer to the scores of the layer that it was. */
import { conjugateGradients } from "../../base/conjugate_gradients.ts";
import { type Affine, changed, gradientOf, project } from "./affine.ts";
import type { LayerInputs } from "./layer_inputs.ts";
import { addProducts, addSum, addToRows } from "./row_loops.ts";
import type { SampledAttention } from "./sampled_attention.ts";

/** The scores to come close to, packed. */
export interface ScoreTarget {
  /** `q . k` of the layer that it was. */
  products: Float64Array;
  /** Its attention weights. */
  weights: Float64Array;
}

/** Steps of each solution. */
const STEPS = 8;

/**
 * Refits the queries with the keys held, or the keys with the queries held, by least squares. An error of a score counts by
 * the attention weight that it had, and one that all scores of a row share counts nothing, as softmax does not see it: to
 * second order that is twice the divergence of the softmax that comes out.
 */
export function fitScores(
  part: "q" | "k",
  { q, k }: { q: Affine; k: Affine },
  inputs: LayerInputs,
  attention: SampledAttention,
  target: ScoreTarget,
): Affine {
  const affine = part === "q" ? q : k;
  const { headDim, seqLen } = attention.shape;
  const sampled = attention.sampled(inputs.all);
  const queriesOf = (matrix: Float64Array) =>
    attention.rotateQueries(project(sampled, matrix, q.out));
  const keysOf = (matrix: Float64Array) => attention.rotateKeys(project(inputs.all, matrix, k.out));

  // Of half the square of the errors: q . k less what is wanted, with the sign that least squares has on its right side.
  const row = new Float64Array(seqLen);
  const gradient = (queries: Float64Array, keys: Float64Array, wanted?: Float64Array) => {
    const sums = new Float64Array((part === "q" ? queries : keys).length);
    attention.eachRow(keys, target.weights, (seen, query) => {
      const errors = { ...seen, numbers: row.fill(0, 0, seen.count), first: 0 };
      addProducts(errors, queries, query, headDim);
      if (wanted) {
        for (let i = 0; i < seen.count; i++) row[i] = wanted[seen.first + i] - row[i];
      }
      centre(row, target.weights.subarray(seen.first, seen.first + seen.count));
      if (part === "q") addSum(sums, query, headDim, errors);
      else addToRows({ ...errors, rows: sums }, queries, query, headDim);
    });
    return part === "q"
      ? gradientOf(affine, attention.rotateQueries(sums, -1), sampled)
      : gradientOf(affine, attention.rotateKeys(sums, -1), inputs.all);
  };

  const [queries, keys] = [queriesOf(q.matrix), keysOf(k.matrix)];
  const change = conjugateGradients({
    apply: (matrix) =>
      part === "q" ? gradient(queriesOf(matrix), keys) : gradient(queries, keysOf(matrix)),
    right: gradient(queries, keys, target.products),
    precondition: (matrix) => inputs.precondition(matrix, affine),
    blocks: affine.out / headDim,
  }, STEPS);
  return changed(affine, change);
}

/** Replaces each error by its distance from the weighted mean, times its weight. */
function centre(errors: Float64Array, weights: Float64Array): void {
  let mean = 0;
  for (let i = 0; i < weights.length; i++) mean += weights[i] * errors[i];
  for (let i = 0; i < weights.length; i++) errors[i] = weights[i] * (errors[i] - mean);
}
