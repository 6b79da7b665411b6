/** Element types, and the bytes that they take. */
import { isQuantized, quantizedWords } from "./quantized.ts";

/** Element type of numbers in storage. Arithmetic accumulates in f32 whatever the storage. */
export type Dtype = "f32" | "f16";

/**
 * Element type that keys and values may be stored in. `"int8"` and `"int4"` are symmetric integers with a step for each row,
 * which is the last axis: one token of one head. A row of n elements takes 4 + 4 ceil(n bits / 32) bytes. Its step is its
 * largest magnitude over 127 (int8) or 7 (int4), and each element is off by at most half a step. In f16 an element is off by
 * at most its magnitude / 1024, as the rounding is the device's.
 */
export type KvDtype = Dtype | "int8" | "int4";

/**
 * Element type of a tensor: numbers, keys and values, lengths (`"u32"`) or the bits of a mask (`"bool"`). Element i of a mask
 * is bit `i mod 32` of the word `floor(i / 32)`, the lowest bit first, with no gap between rows.
 */
export type ElementType = KvDtype | "u32" | "bool";

/** The choices of {@linkcode Dtype}. */
export const DTYPES: readonly Dtype[] = ["f32", "f16"];

/** The choices of {@linkcode KvDtype}. */
export const KV_DTYPES: readonly KvDtype[] = [...DTYPES, "int8", "int4"];

/** The choices of {@linkcode ElementType}. */
export const ELEMENT_TYPES: readonly ElementType[] = [...KV_DTYPES, "u32", "bool"];

const BITS: Readonly<Record<Exclude<ElementType, "int8" | "int4">, number>> = {
  f32: 32,
  f16: 16,
  u32: 32,
  bool: 1,
};

/** Bytes of a row: the last axis of a tensor. */
export function rowBytes(elements: number, dtype: ElementType): number {
  return isQuantized(dtype) ? 4 * quantizedWords(elements, dtype) : BITS[dtype] * elements / 8;
}

/** Bytes that a tensor takes in a buffer, which WebGPU wants in multiples of four. */
export function storageBytes(shape: readonly number[], dtype: ElementType): number {
  const rows = elementCount(shape.slice(0, -1));
  return Math.ceil(rows * rowBytes(shape.at(-1)!, dtype) / 4) * 4;
}

/** The product of a shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
