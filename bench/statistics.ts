/** Statistics of samples. */
import type { Times } from "./result.ts";

/** The value below which a share `p` (0 to 1) of the samples lies, interpolated between neighbours. */
export function quantile(samples: readonly number[], p: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = (sorted.length - 1) * p;
  const below = sorted[Math.floor(rank)];
  const above = sorted[Math.ceil(rank)];
  return below + (above - below) * (rank - Math.floor(rank));
}

/** The middle of the samples. */
export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/** The arithmetic mean. */
export function mean(samples: readonly number[]): number {
  return samples.reduce((sum, sample) => sum + sample, 0) / samples.length;
}

/** The standard deviation of the population that samples, two or more, are drawn from. */
export function deviation(samples: readonly number[]): number {
  const middle = mean(samples);
  const squares = samples.reduce((sum, sample) => sum + (sample - middle) ** 2, 0);
  return Math.sqrt(squares / (samples.length - 1));
}

/** The figures of times that a row of a report has. */
export function summaryOf(times: readonly number[]): Times {
  return {
    medianMs: median(times),
    minMs: Math.min(...times),
    p90Ms: quantile(times, 0.9),
    samples: times.length,
  };
}

/**
 * The times that something is faster than a base, from both their times in the same rounds: pair by pair, as what slows the
 * machine for a while slows both of a pair.
 */
export function speedup(times: readonly number[], base: readonly number[]): number {
  return median(times.map((time, round) => base[round] / time));
}

/** The mean of factors: the factor that comes to as much when it is taken as often. */
export function geometricMean(factors: readonly number[]): number {
  return factors.reduce((product, factor) => product * factor ** (1 / factors.length), 1);
}
