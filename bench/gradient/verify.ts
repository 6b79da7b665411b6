/** How far gradients are off. */
import { referenceGradient } from "../../mod.ts";
import type { GradientCase, GradientInputs, Gradients } from "./system.ts";

/** Largest error of a gradient whose sums are in f32. */
export const TOLERANCE = 1e-4;

/** Most tokens whose gradients are computed again in float64: their square, times the heads, takes seconds. */
const MOST_TOKENS = 1024;

/** Gradients in float64; undefined where these take too long. */
export function expectedGradients(
  { tokens, numHeads, numKvHeads, headDim }: GradientCase,
  { q, k, v, dO }: GradientInputs,
): Gradients | undefined {
  if (tokens > MOST_TOKENS) return undefined;
  const tensor = (data: Float32Array, heads: number) => ({
    data,
    shape: [1, tokens, heads, headDim],
  });
  return referenceGradient(
    { q: tensor(q, numHeads), k: tensor(k, numKvHeads), v: tensor(v, numKvHeads) },
    tensor(dO, numHeads),
  );
}

/**
 * The largest error of gradients over their largest magnitude; NaN where one is no number. Where there is nothing to hold
 * them against, by what holds of all of them: scores are bilinear in q and k, so that `q . dq = k . dk` in sum.
 */
export function errorOf(
  inputs: GradientInputs,
  actual: Gradients,
  expected: Gradients | undefined,
): number {
  if (!expected) return errorOfSums(inputs, actual);
  const errors = (["dq", "dk", "dv"] as const).map((name) => {
    let [error, largest] = [0, 0];
    if (actual[name].length !== expected[name].length) return NaN;
    for (let i = 0; i < expected[name].length; i++) {
      const difference = Math.abs(actual[name][i] - expected[name][i]);
      if (!(difference <= error)) error = difference;
      largest = Math.max(largest, Math.abs(expected[name][i]));
    }
    return error / largest;
  });
  return Math.max(...errors);
}

function errorOfSums({ q, k }: GradientInputs, { dq, dk, dv }: Gradients): number {
  if (!Array.from(dv).every(Number.isFinite)) return NaN;
  const product = (a: ArrayLike<number>, b: ArrayLike<number>) => {
    let [sum, magnitude] = [0, 0];
    for (let i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
      magnitude += Math.abs(a[i] * b[i]);
    }
    return { sum, magnitude };
  };
  const [ofQueries, ofKeys] = [product(q, dq), product(k, dk)];
  return Math.abs(ofQueries.sum - ofKeys.sum) / Math.max(ofQueries.magnitude, ofKeys.magnitude);
}
