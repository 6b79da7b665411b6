import type { FilledRope } from "./rope_kernel.ts";

/** The elements of a head that are rotated together, pair by pair. */
export function rotaryPairs({ firstDim, dims, style }: FilledRope): [number, number][] {
  const pairs = dims / 2;
  return Array.from({ length: pairs }, (_, i) => {
    const first = firstDim + (style === "halves" ? i : 2 * i);
    return [first, first + (style === "halves" ? pairs : 1)];
  });
}
