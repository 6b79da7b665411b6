/** The time of steps as it was measured. */
import type { ServingReport } from "../../../bench/mod.ts";
import { choleskyOf, solveCholesky } from "../../../src/base/linear_algebra.ts";
import type { StepTimes, TimedWork } from "./step_times.ts";

type StepTime = ServingReport["rows"][number]["stepTimes"][number];

/**
 * Steps of a serving run: seconds of a step, of each of its tokens, and of each token that a sequence of it has, by least
 * squares, none of them negative. The time of reads is in that of steps. Read by read, in the order of the run, steps take
 * as many seconds more or less as they took there: waits depend on how times vary, and not on their mean alone. Seconds go
 * from the work of one run to that of another, where ratios do not: what the fit leaves of a short step is many times its time.
 */
export class MeasuredTimes implements StepTimes {
  readonly readSeconds = 0;
  readonly #seconds: readonly number[];
  readonly #excess: readonly number[];

  /** @param times Steps that were measured, at least one. */
  constructor(times: readonly StepTime[]) {
    const rows = times.map(({ steps, tokens, sequences, meanContext }) =>
      [1, tokens, sequences * meanContext].map((value) => steps * value)
    );
    const measured = times.map(({ steps, ms }) => steps * ms / 1e3);
    this.#seconds = fitPositive(rows, measured);
    this.#excess = rows.map((row, i) =>
      row.reduce((rest, value, j) => rest - value * this.#seconds[j], measured[i])
    );
  }

  stepSeconds(work: readonly TimedWork[]): number {
    const [step, token, context] = this.#seconds;
    return work.reduce(
      (sum, { first, count }) => sum + token * count + context * (first + count),
      step,
    );
  }

  excessSeconds(read: number): number {
    return this.#excess[read % this.#excess.length];
  }
}

/**
 * Coefficients of the columns of `rows` whose sums come nearest to `values` in the least-squares sense; columns that would get
 * negative ones are left out, the most negative first.
 */
export function fitPositive(
  rows: readonly (readonly number[])[],
  values: readonly number[],
): number[] {
  const size = rows[0].length;
  let kept = Array.from({ length: size }, (_, i) => i);
  while (kept.length > 0) {
    const fitted = fit(rows.map((row) => kept.map((i) => row[i])), values);
    const least = Math.min(...fitted);
    if (least >= 0) {
      const all = new Array(size).fill(0);
      kept.forEach((i, place) => all[i] = fitted[place]);
      return all;
    }
    const place = fitted.indexOf(least);
    kept = kept.filter((_, i) => i !== place);
  }
  return new Array(size).fill(0);
}

/** Least squares by the normal equations, of columns that are divided by their lengths first. */
function fit(rows: readonly (readonly number[])[], values: readonly number[]): number[] {
  const size = rows[0].length;
  const lengths = rows[0].map((_, i) => Math.hypot(...rows.map((row) => row[i])));
  const gram = new Float64Array(size * size);
  const right = new Float64Array(size);
  rows.forEach((row, r) => {
    const scaled = row.map((value, i) => value / lengths[i]);
    scaled.forEach((a, i) => {
      right[i] += a * values[r];
      scaled.forEach((b, j) => gram[i * size + j] += a * b);
    });
  });
  const solved = solveCholesky(choleskyOf(gram, size), size, right);
  return lengths.map((length, i) => solved[i] / length);
}
