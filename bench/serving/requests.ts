/** Requests as a server gets them: lengths and times drawn from distributions that a seed repeats. */
import { uniform } from "../../src/base/random.ts";

/** A log-normal distribution of tokens, cut at 1 and at {@linkcode MOST} times its mean. */
export interface LengthDistribution {
  /** The mean before the cut. */
  mean: number;
  /** The standard deviation of the logarithm. */
  spread: number;
}

/** The distribution that requests are drawn from. */
export interface RequestDistribution {
  /** How many. */
  count: number;
  /** Requests a second, at random times (a Poisson process); null where all come at once. */
  rate: number | null;
  /** Tokens of prompts. */
  prompt: LengthDistribution;
  /** New tokens. */
  output: LengthDistribution;
  seed: number;
}

/** A request. */
export interface ServingRequest {
  /** Milliseconds after the first one. */
  arrivalMs: number;
  prompt: readonly number[];
  newTokens: number;
}

/** The longest length over the mean. */
export const MOST = 4;

/** The most tokens that a request of a distribution can have. */
export function longestRequest({ prompt, output }: RequestDistribution): number {
  return MOST * (prompt.mean + output.mean);
}

/** Draws requests, whose prompts share no more than chance has it. */
export function drawRequests(
  { count, rate, prompt, output, seed }: RequestDistribution,
  vocabSize: number,
): ServingRequest[] {
  const next = uniform(seed);
  let arrivalMs = 0;
  return Array.from({ length: count }, (_, i) => {
    if (rate !== null && i > 0) arrivalMs += -1000 * Math.log(1 - next()) / rate;
    const length = drawLength(prompt, next);
    return {
      arrivalMs,
      prompt: Array.from({ length }, () => Math.floor(next() * vocabSize)),
      newTokens: drawLength(output, next),
    };
  });
}

/** Draws a length. */
export function drawLength({ mean, spread }: LengthDistribution, next: () => number): number {
  // Box and Muller's method: a normally distributed number from two uniform ones.
  const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const length = mean * Math.exp(spread * normal - spread ** 2 / 2);
  return Math.min(Math.max(1, Math.round(length)), MOST * mean);
}
