/** From the elements of a file, which are little-endian as WebGPU's hosts are, to f32, which holds all of them exactly. */

import { float16Array } from "../tensor/float16.ts";

interface FloatType {
  bytes: number;
  /** Elements whose first byte is the buffer's first. */
  decode(buffer: ArrayBufferLike): Float32Array;
}

/** The element types that are read. */
export const FLOAT_TYPES: ReadonlyMap<string, FloatType> = new Map([
  ["F32", { bytes: 4, decode: (buffer) => new Float32Array(buffer) }],
  ["F16", { bytes: 2, decode: decodeFloat16 }],
  ["BF16", { bytes: 2, decode: decodeBfloat16 }],
]);

function decodeFloat16(buffer: ArrayBufferLike): Float32Array {
  return new Float32Array(new (float16Array("read weights of F16"))(buffer));
}

/** bfloat16 is the upper half of a float32, so that zeros for the lower half complete it. */
function decodeBfloat16(buffer: ArrayBufferLike): Float32Array {
  const halves = new Uint16Array(buffer);
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i] << 16;
  return new Float32Array(bits.buffer);
}
