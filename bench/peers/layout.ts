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

/** Numbers for each pair of a query and a key, for systems without masks or functions of scores. */
export interface Pairs {
  data: Float32Array;
  /** [batch or 1, numHeads or 1, seqLen, contextLen] */
  shape: readonly number[];
}

/**
 * Causality, window, lengths and bias as numbers to add; undefined if each query sees everything, unbiased. A bias goes with
 * sequences of one length alone.
 */
export function addendOf(asked: Asked, bias: Float32Array | undefined): Pairs | undefined {
  const { numHeads, seqLen, contextLen, contextLens, window = Infinity } = asked;
  if (!bias && !contextLens && seqLen === 1 && window >= contextLen) return undefined;
  const mask = pairsOf(
    asked,
    (query, key) => key > query || key <= query - window ? -Infinity : 0,
  );
  if (!bias) return mask;
  return {
    data: bias.map((value, i) => value + mask.data[i % mask.data.length]),
    shape: [1, numHeads, seqLen, contextLen],
  };
}

/** A number for each pair of the positions of a query and a key; batch 1 where all sequences are as long. */
export function pairsOf(
  { seqLen, contextLen, contextLens = [contextLen] }: Asked,
  of: (query: number, key: number) => number,
): Pairs {
  const each = seqLen * contextLen;
  const data = Float32Array.from({ length: contextLens.length * each }, (_, i) => {
    const length = contextLens[Math.floor(i / each)];
    return of(length - seqLen + Math.floor(i % each / contextLen), i % contextLen);
  });
  return { data, shape: [contextLens.length, 1, seqLen, contextLen] };
}
