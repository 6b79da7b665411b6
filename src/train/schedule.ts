/** The learning rate of each step. */

/** A schedule of learning rates. */
export interface RateSchedule {
  /** The largest learning rate. */
  rate: number;
  /** Steps in which the rate rises to it, in equal parts. */
  warmup: number;
  /** Steps of the whole training. */
  steps: number;
  /** The share of the rate that is left at its end, to which it falls as half a cosine does. */
  finalShare: number;
}

/** The rate of a step, from 0 on: warm-up, then half a cosine (SGDR: Loshchilov and Hutter 2016, arXiv 1608.03983). */
export function rateAt(step: number, { rate, warmup, steps, finalShare }: RateSchedule): number {
  if (step < warmup) return rate * (step + 1) / warmup;
  const done = Math.min(1, (step - warmup) / Math.max(1, steps - warmup));
  return rate * (finalShare + (1 - finalShare) * (1 + Math.cos(Math.PI * done)) / 2);
}
