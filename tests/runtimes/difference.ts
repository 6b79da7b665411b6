/** The largest difference of two elements; NaN if one is NaN, or if there are more of one kind. */
export function difference(actual: ArrayLike<number>, expected: Float64Array): number {
  if (actual.length !== expected.length) return NaN;
  return expected.reduce((worst, value, i) => Math.max(worst, Math.abs(actual[i] - value)), 0);
}
