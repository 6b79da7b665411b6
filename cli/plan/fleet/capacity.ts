/** The rate of requests that a fleet keeps up with. */

/** A rate is found to this share of it. */
const PRECISION = 1.04;

/**
 * The highest rate that is kept up with, to 4 %; 0 where not even a rate next to nothing is.
 *
 * @param guess A rate to begin with.
 * @param keepsUp Whether a rate is kept up with; it is not with a higher one where it is not with a lower one.
 */
export function highestRate(guess: number, keepsUp: (rate: number) => boolean): number {
  const least = guess / 1000;
  if (!keepsUp(least)) return 0;
  let low = guess;
  while (low > least && !keepsUp(low)) low /= 2;
  let high = 2 * low;
  while (low >= guess && keepsUp(high)) [low, high] = [high, 2 * high];
  while (high / low > PRECISION) {
    const middle = Math.sqrt(low * high);
    if (keepsUp(middle)) low = middle;
    else high = middle;
  }
  return low;
}
