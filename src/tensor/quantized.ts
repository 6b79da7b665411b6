/** Rows of numbers as integers of 8 or 4 bits with a step: the layout of kernels/tensor/quantized_row.wgsl. */

import { clamp } from "../base/numbers.ts";

/** Bits of an integer. */
export const BITS = { int8: 8, int4: 4 } as const;

/** Element types that are integers with a step per row. */
export type QuantizedDtype = keyof typeof BITS;

/** The least normal f32: below it a device may take a step for zero. */
const LEAST_STEP = 2 ** -126;
/** Not quite the largest f32, which a step that is rounded up would go beyond. */
const MOST = 3.4028e38;

/** Whether rows of an element type are integers with a step. */
export function isQuantized(dtype: string): dtype is QuantizedDtype {
  return Object.hasOwn(BITS, dtype);
}

/** Words of u32 that a row takes: its step and its integers. */
export function quantizedWords(elements: number, dtype: QuantizedDtype): number {
  return 1 + Math.ceil(elements * BITS[dtype] / 32);
}

/** Finite numbers as the append kernel stores them. */
export function quantize(
  data: ArrayLike<number>,
  elements: number,
  dtype: QuantizedDtype,
): Uint32Array<ArrayBuffer> {
  const { bits, perWord, words, largest } = layoutOf(elements, dtype);
  const stored = new Uint32Array(data.length / elements * words);
  const steps = new Float32Array(stored.buffer);
  for (let row = 0; row < data.length / elements; row++) {
    let most = 0;
    for (let h = 0; h < elements; h++) most = Math.max(most, Math.abs(data[row * elements + h]));
    const step = Math.fround(Math.min(most, MOST) / largest);
    if (step < LEAST_STEP) continue;
    steps[row * words] = step;
    for (let h = 0; h < elements; h++) {
      const n = clamp(Math.round(data[row * elements + h] / step), -largest, largest);
      const field = (n & (2 ** bits - 1)) << (h % perWord * bits);
      stored[row * words + 1 + Math.floor(h / perWord)] |= field;
    }
  }
  return stored;
}

/** The numbers that stored rows stand for. */
export function dequantize(
  stored: Uint32Array<ArrayBuffer>,
  elements: number,
  dtype: QuantizedDtype,
): Float32Array {
  const { bits, perWord, words } = layoutOf(elements, dtype);
  const steps = new Float32Array(stored.buffer);
  return Float32Array.from({ length: stored.length / words * elements }, (_, i) => {
    const [row, h] = [Math.floor(i / elements), i % elements];
    const word = stored[row * words + 1 + Math.floor(h / perWord)];
    return steps[row * words] * (word << (32 - bits - h % perWord * bits) >> (32 - bits));
  });
}

function layoutOf(elements: number, dtype: QuantizedDtype) {
  const bits = BITS[dtype];
  const words = quantizedWords(elements, dtype);
  return { bits, perWord: 32 / bits, words, largest: 2 ** (bits - 1) - 1 };
}
