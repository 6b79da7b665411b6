/** Files that tests write: in memory, and in a folder of their own. */
import { elementCount } from "../../src/tensor/dtype.ts";
import type { WeightData } from "../../src/checkpoints/mod.ts";

/** Element types that are read. */
export type FloatDtype = "F32" | "F16" | "BF16";

/** A safetensors file of `header`, as JSON unless it is text already, and `data`. */
export function encode(
  header: unknown,
  data: Uint8Array = new Uint8Array(),
): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(
    typeof header === "string" ? header : JSON.stringify(header),
  );
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

/** A safetensors file of these tensors. */
export function safetensors(
  tensors: Readonly<Record<string, WeightData>>,
  dtype: FloatDtype = "F32",
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = {};
  const bytes: number[] = [];
  for (const [name, { data, shape }] of Object.entries(tensors)) {
    const begin = bytes.length;
    for (const value of data) bytes.push(...encodeFloat(value, dtype));
    header[name] = { dtype, shape, data_offsets: [begin, bytes.length] };
  }
  return encode(header, new Uint8Array(bytes));
}

function encodeFloat(value: number, dtype: FloatDtype): Uint8Array {
  const view = new DataView(new ArrayBuffer(4));
  if (dtype === "F16") view.setFloat16(0, value, true);
  else view.setFloat32(0, value, true);
  const bytes = new Uint8Array(view.buffer);
  return { F32: bytes, F16: bytes.subarray(0, 2), BF16: bytes.subarray(2) }[dtype];
}

/** The tensor 1, 2, 3, ... of a shape. */
export function numbered(shape: readonly number[]): WeightData {
  return { data: Float32Array.from({ length: elementCount(shape) }, (_, i) => i + 1), shape };
}

/** Writes files into a folder, and removes it when the test is done. */
export async function inFolder<Value>(
  files: Readonly<Record<string, Uint8Array | string>>,
  test: (folder: string) => Promise<Value>,
): Promise<Value> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, content] of Object.entries(files)) {
      const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
      await Deno.writeFile(`${folder}/${name}`, bytes);
    }
    return await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A llama2.c file of these seven sizes, and so many of the numbers 0, 1, 2, ... */
export function llama2c(sizes: readonly number[], count: number): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(28 + 4 * count));
  sizes.forEach((size, i) => view.setInt32(4 * i, size, true));
  for (let i = 0; i < count; i++) view.setFloat32(28 + 4 * i, i, true);
  return new Uint8Array(view.buffer);
}
