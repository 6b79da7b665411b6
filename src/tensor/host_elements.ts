/** Elements of a tensor on the host: from numbers to bytes of each element type, and back. */
import { sentence } from "../base/check.ts";
import { isTypedNumbers } from "../base/numbers.ts";
import { elementCount, type ElementType, storageBytes } from "./dtype.ts";
import { float16Array } from "./float16.ts";
import { dequantize, isQuantized, quantize } from "./quantized.ts";

const LARGEST_F16 = 65504;
const LARGEST_F32 = 3.4028234663852886e38;

/** The numbers that an element type holds. */
interface Held {
  rule: string;
  holds(value: number): boolean;
}

const WITHIN_F32: Held = {
  rule: `integers hold numbers up to ${LARGEST_F32} (use dtype "f32")`,
  holds: (value) => Math.abs(value) <= LARGEST_F32,
};
const HELD: Readonly<Record<ElementType, Held>> = {
  f32: {
    rule: `f32 holds numbers up to ${LARGEST_F32}`,
    holds: (value) => Number.isFinite(Math.fround(value)) || !Number.isFinite(value),
  },
  f16: {
    rule: `f16 holds numbers up to ${LARGEST_F16} (use dtype "f32")`,
    holds: (value) => Math.abs(value) <= LARGEST_F16 || !Number.isFinite(value),
  },
  int8: WITHIN_F32,
  int4: WITHIN_F32,
  u32: {
    rule: "u32 holds whole numbers from 0 to 4294967295",
    holds: (value) => value >>> 0 === value,
  },
  bool: {
    rule: "a mask holds true or 1, and false or 0",
    holds: (value) => value === 0 || value === 1,
  },
};

/**
 * The bytes of a tensor, zeros after its last element. Throws a `TypeError` for what is no element, and a `RangeError` for
 * one that the type does not hold.
 */
export function encodeElements(
  action: string,
  data: ArrayLike<unknown>,
  shape: readonly number[],
  dtype: ElementType,
): ArrayBuffer | Uint32Array<ArrayBuffer> {
  if (!Array.isArray(data) && !isTypedNumbers(data)) {
    throw new TypeError(sentence(action, "data must be an array of numbers", { data }));
  }
  const elements = data.length;
  if (elements !== elementCount(shape)) {
    throw new RangeError(
      sentence(action, "the data must have as many elements as the shape", { elements, shape }),
    );
  }
  const numbers = isTypedNumbers(data) ? data : numbersOf(action, data, elements, dtype);
  checkHeld(action, numbers, dtype);
  if (isQuantized(dtype)) return quantize(numbers, shape.at(-1)!, dtype);
  const bytes = new ArrayBuffer(storageBytes(shape, dtype));
  if (dtype === "bool") {
    const words = new Uint32Array(bytes);
    for (let i = 0; i < numbers.length; i++) words[i >>> 5] |= numbers[i] << (i & 31);
  } else {
    viewOf(action, dtype, bytes).set(numbers);
  }
  return bytes;
}

/** The elements of a tensor as f32, from its bytes. */
export function decodeElements(
  bytes: ArrayBuffer,
  shape: readonly number[],
  dtype: ElementType,
): Float32Array {
  const length = elementCount(shape);
  if (isQuantized(dtype)) return dequantize(new Uint32Array(bytes), shape.at(-1)!, dtype);
  if (dtype === "bool") {
    const words = new Uint32Array(bytes);
    return Float32Array.from({ length }, (_, i) => words[i >>> 5] >>> (i & 31) & 1);
  }
  if (dtype === "f32") return new Float32Array(bytes, 0, length);
  return Float32Array.from(viewOf("download a tensor", dtype, bytes).subarray(0, length));
}

/** A copy of what any other array has, as getters and proxies may give another number each time. */
function numbersOf(
  action: string,
  data: ArrayLike<unknown>,
  length: number,
  dtype: ElementType,
): Float64Array {
  const kind = dtype === "bool" ? "boolean" : "number";
  const numbers = new Float64Array(length);
  for (let index = 0; index < length; index++) {
    const value = data[index];
    if (typeof value !== "number" && typeof value !== kind) {
      throw new TypeError(sentence(action, `every element must be a ${kind}`, { index, value }));
    }
    numbers[index] = Number(value);
  }
  return numbers;
}

function checkHeld(action: string, numbers: Float64Array, dtype: ElementType): void {
  const { rule, holds } = HELD[dtype];
  // Only f64 has more than f32 holds.
  if (dtype === "f32" && !(numbers instanceof Float64Array)) return;
  for (let index = 0; index < numbers.length; index++) {
    const value = numbers[index];
    if (!holds(value)) throw new RangeError(sentence(action, rule, { index, value }));
  }
}

function viewOf(action: string, dtype: "f32" | "f16" | "u32", bytes: ArrayBuffer) {
  if (dtype === "f32") return new Float32Array(bytes);
  return dtype === "f16" ? new (float16Array(action))(bytes) : new Uint32Array(bytes);
}
