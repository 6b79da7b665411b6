/** The value, or the bound it is beyond. */
export function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}

/** The least power of two that is not below. */
export function ceilPowerOfTwo(value: number): number {
  return 2 ** Math.ceil(Math.log2(value));
}

/** The greatest power of two that is not above. */
export function floorPowerOfTwo(value: number): number {
  return 2 ** Math.floor(Math.log2(value));
}

/** Whether a value is a typed array of numbers: all are, but for two kinds. */
export function isTypedNumbers(value: unknown): value is Float64Array {
  const isOther = value instanceof BigInt64Array || value instanceof BigUint64Array ||
    value instanceof DataView;
  return ArrayBuffer.isView(value) && !isOther;
}

/** A view where there can be one, as weights are large. */
export function sliceOf(numbers: ArrayLike<number>, start: number, end: number): ArrayLike<number> {
  return numbers instanceof Float32Array
    ? numbers.subarray(start, end)
    : Array.prototype.slice.call(numbers, start, end);
}

/** The greatest number that divides both. */
export function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
