import { checkNumbers, sentence } from "../base/check.ts";

/** The change of an output. */
export interface OutputChange {
  /** Length of the difference over the length of the output before: 0 where nothing has changed. */
  relativeChange: number;
  /** Cosine of the angle between both: 1 where the direction is the same. */
  cosine: number;
}

/**
 * Says how far an output has moved, as vectors do: both numbers are NaN where the output before is all zeros.
 *
 * @param before The output as it was.
 * @param after As many numbers.
 * @returns Relative change and cosine, from sums in float64.
 * @throws {TypeError} If one is no array of numbers.
 * @throws {RangeError} If there are not as many.
 *
 * @example
 * ```ts
 * import { outputChange } from "@onehead/attention";
 *
 * console.log(outputChange([3, 0], [3, 4])); // { relativeChange: 1.333..., cosine: 0.6 }
 * ```
 */
export function outputChange(before: ArrayLike<number>, after: ArrayLike<number>): OutputChange {
  checkNumbers("compare outputs", "before", before);
  checkNumbers("compare outputs", "after", after);
  if (before.length !== after.length) {
    throw new RangeError(
      sentence("compare outputs", "there must be as many numbers before and after", {
        before: before.length,
        after: after.length,
      }),
    );
  }
  let [change, squareBefore, squareAfter, product] = [0, 0, 0, 0];
  for (let i = 0; i < before.length; i++) {
    change += (after[i] - before[i]) ** 2;
    squareBefore += before[i] ** 2;
    squareAfter += after[i] ** 2;
    product += before[i] * after[i];
  }
  return {
    relativeChange: Math.sqrt(change / squareBefore),
    cosine: product / Math.sqrt(squareBefore * squareAfter),
  };
}
