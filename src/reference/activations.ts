/** The functions inside feed-forward layers, in float64. */
import type { Activation } from "../layer/linear.ts";

/** The functions by their names. */
export const activations: Readonly<Record<Activation, (x: number) => number>> = {
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => x / 2 * (1 + erf(x / Math.SQRT2)),
  geluTanh: (x) => x / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

/** Their derivatives. */
export const activationSlopes: Readonly<Record<Activation, (x: number) => number>> = {
  silu: (x) => {
    const share = 1 / (1 + Math.exp(-x));
    return share * (1 + x * (1 - share));
  },
  gelu: (x) => (1 + erf(x / Math.SQRT2)) / 2 + x * Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI),
  geluTanh: (x) => {
    const t = Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3));
    const slope = Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x ** 2);
    return (1 + t) / 2 + x / 2 * (1 - t * t) * slope;
  },
};

/**
 * The error function: `2 / sqrt(pi) exp(-x^2) sum_n 2^n x^(2n+1) / (2n+1)!!` (Abramowitz and Stegun 7.1.6), in which
 * nothing cancels.
 */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let [sum, term] = [0, x];
  for (let n = 1; sum + term !== sum; n++) {
    sum += term;
    term *= 2 * x * x / (2 * n + 1);
  }
  return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
}
