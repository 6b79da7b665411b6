const MAX_TICKS = 7;

/**
 * Round values for a logarithmic axis: 1, 2 and 5 times the powers of ten, or those powers alone
 * where the first would be too many.
 *
 * @param values At least one, all above 0 and finite.
 * @returns Rising ticks, two or more: the first is at most the least value, the last at least the
 * greatest.
 */
export function logTicks(values: readonly number[]): number[] {
  const ticks = ticksAround(values, [1, 2, 5]);
  return ticks.length <= MAX_TICKS ? ticks : ticksAround(values, [1]);
}

function ticksAround(values: readonly number[], digits: number[]): number[] {
  const least = Math.min(...values);
  const greatest = Math.max(...values);
  const ticks: number[] = [];
  // One power early, as a logarithm just below a whole number may be rounded up to it.
  for (let power = Math.floor(Math.log10(least)) - 1; (ticks.at(-1) ?? 0) <= greatest; power++) {
    // Decimal text gives the nearest double, which a product with a power of ten may miss.
    ticks.push(...digits.map((digit) => Number(`${digit}e${power}`)));
  }
  const first = ticks.findLastIndex((tick) => tick <= least);
  const last = ticks.findIndex((tick) => tick >= greatest);
  return ticks.slice(first, Math.max(last, first + 1) + 1);
}
