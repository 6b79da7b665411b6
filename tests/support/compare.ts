import { AssertionError } from "@std/assert";

/** What scores are where a query must not see the key: the lowest f32, as WGSL cannot write minus infinity. */
export const MASKED = -3.4028234663852886e38;

/** Largest absolute difference from the float64 reference, for inputs in [-1, 1]. */
export const TOLERANCE = {
  /** Scores, weights and f32 outputs: sums are in f32 whatever the storage. */
  f32: 2e-5,
  /** Outputs that are stored as f16. */
  f16: 1e-3,
} as const;

/**
 * Every number is within `tolerance` of what is expected. NaN is within nothing, not even of NaN; an infinity is within
 * itself alone.
 */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  if (actual.length !== expected.length) {
    throw new AssertionError(`${what}: ${actual.length} numbers instead of ${expected.length}`);
  }
  let [worst, worstIndex, wrong] = [-1, -1, 0];
  for (let i = 0; i < actual.length; i++) {
    const difference = actual[i] === expected[i] ? 0 : Math.abs(actual[i] - expected[i]);
    if (difference <= tolerance) continue;
    wrong++;
    const badness = Number.isNaN(difference) ? Infinity : difference;
    if (badness > worst) [worst, worstIndex] = [badness, i];
  }
  if (wrong === 0) return;
  throw new AssertionError(
    `${what}: ${wrong} of ${actual.length} numbers are off by more than ${tolerance}; ` +
      `worst at ${worstIndex}: ${actual[worstIndex]} instead of ${expected[worstIndex]}`,
  );
}

/**
 * Every number is within 1e-4 of what is expected, relative to the size of those: the root of their mean square, or what is
 * given. As {@linkcode assertClose} otherwise.
 */
export function assertNear(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  what: string,
  { size = sizeOf(expected) }: { size?: number } = {},
): void {
  assertClose(actual, expected, 1e-4 * size, what);
}

/** The root of the mean square of numbers. */
function sizeOf(numbers: ArrayLike<number>): number {
  const squares = Array.from(numbers, (value) => value * value);
  return Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / squares.length);
}

/** Every number is the same, bit for bit but for the sign of zero; NaN is the same as nothing. */
export function assertSame(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  what: string,
): void {
  assertClose(actual, expected, 0, what);
}

/** The reference's scores as kernels write them: masked ones are the lowest f32. */
export function maskedScores(scores: ArrayLike<number>): Float64Array {
  return Float64Array.from(scores, (score) => score === -Infinity ? MASKED : score);
}
