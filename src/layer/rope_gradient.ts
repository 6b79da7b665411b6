import type { FilledRope } from "../cache/rope_kernel.ts";

/**
 * The gradient of a rotation, as options of the kernel that rotates: the rotation back. A rotation is its own inverse's
 * transpose, and the factor is the same both ways.
 */
export function turnedBack(rope: FilledRope): FilledRope {
  return { ...rope, frequencies: rope.frequencies.map((frequency) => -frequency) };
}
