/** Arrays as peers want them: other orders of axes, and masks as numbers. */
import type { Asked } from "../asked.ts";

/** Exchanges the middle axes of [outer, a, b, size]: tokens before heads, or heads before tokens. */
export function swapMiddle(
  data: Float32Array | Float16Array,
  [outer, a, b, size]: readonly [number, number, number, number],
): Float32Array {
  const swapped = new Float32Array(data.length);
  for (let o = 0; o < outer; o++) {
    for (let x = 0; x < a; x++) {
      for (let y = 0; y < b; y++) {
        const from = ((o * a + x) * b + y) * size;
        swapped.set(data.subarray(from, from + size), ((o * b + y) * a + x) * size);
      }
    }
  }
  return swapped;
}

/** A tensor that is added to the scores, for systems without a mask. */
export interface Addend {
  data: Float32Array;
  /** [1, numHeads or 1, seqLen, contextLen] */
  shape: readonly number[];
}

/** Causality, window and bias as numbers to add; undefined if each query sees everything, unbiased. */
export function addendOf(
  { numHeads, seqLen, contextLen, window = Infinity }: Asked,
  bias: Float32Array | undefined,
): Addend | undefined {
  if (!bias && seqLen === 1 && window >= contextLen) return undefined;
  const mask = new Float32Array(seqLen * contextLen);
  for (let i = 0; i < mask.length; i++) {
    const key = i % contextLen;
    const position = contextLen - seqLen + Math.floor(i / contextLen);
    if (key > position || key <= position - window) mask[i] = -Infinity;
  }
  return bias
    ? {
      data: bias.map((value, i) => value + mask[i % mask.length]),
      shape: [1, numHeads, seqLen, contextLen],
    }
    : { data: mask, shape: [1, 1, seqLen, contextLen] };
}
