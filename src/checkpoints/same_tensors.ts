import type { TensorFile } from "./tensor_file.ts";

/** Bytes that are compared at a time: large tensors do not fit memory twice. */
const CHUNK = 2 ** 24;

/** Whether two tensors of a file have the same type, shape and bytes. */
export async function areSameTensors(file: TensorFile, a: string, b: string): Promise<boolean> {
  const [first, second] = [file.describe(a)!, file.describe(b)!];
  if (first.dtype !== second.dtype || `${first.shape}` !== `${second.shape}`) return false;
  for (let offset = 0; offset < first.bytes; offset += CHUNK) {
    const length = Math.min(CHUNK, first.bytes - offset);
    const [left, right] = await Promise.all(
      [a, b].map((name) => file.readBytes(name, offset, length)),
    );
    if (left.some((byte, i) => byte !== right[i])) return false;
  }
  return true;
}
