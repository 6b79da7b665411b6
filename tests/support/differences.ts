import { AssertionError } from "@std/assert";
import type { Random } from "./random.ts";

/** Numbers in [-1, 1), in float64. */
export function doubles(random: Random, length: number): Float64Array {
  return Float64Array.from({ length }, () => 2 * random.next() - 1);
}

/** The sum of the products of numbers. */
export function inner(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/**
 * Asserts that a gradient is the slope of a function along random directions: central differences in float64, in which
 * errors of the step and of rounding are both about 1e-10.
 */
export function assertSlopes(
  random: Random,
  what: string,
  { at, gradient, of }: {
    at: Float64Array;
    gradient: ArrayLike<number>;
    of: (x: Float64Array) => number;
  },
): void {
  for (let i = 0; i < 3; i++) {
    const direction = doubles(random, at.length);
    const moved = (step: number) => of(at.map((value, j) => value + step * direction[j]));
    const step = 1e-5;
    const slope = (moved(step) - moved(-step)) / (2 * step);
    const said = inner(gradient, direction);
    if (Math.abs(slope - said) <= 1e-7 * (1 + Math.abs(slope))) continue;
    throw new AssertionError(`${what}: the slope is ${slope}, the gradient says ${said}`);
  }
}
