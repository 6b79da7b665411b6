import { sentence } from "../../base/check.ts";
import { elementCount } from "../../tensor/dtype.ts";
import { type NewFile, writeNewFile } from "./new_folder.ts";
import type { NamedTensor } from "./family_tensors.ts";

/** Headers end where data may be mapped as numbers of any type. */
const ALIGNMENT = 8;
const F32_BYTES = 4;

/**
 * Writes tensors as a safetensors file in F32, one after the other, so that a model may be larger than memory.
 *
 * @param path A file that is not there yet.
 * @throws {RangeError} If a tensor has not as many numbers as its shape says, or one that is not finite.
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly NamedTensor[],
): Promise<void> {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let end = 0;
  for (const { name, shape } of tensors) {
    const begin = end;
    end += F32_BYTES * elementCount(shape);
    header[name] = { dtype: "F32", shape, data_offsets: [begin, end] };
  }
  await writeNewFile(path, async (file) => {
    await writeHeader(file, header);
    for (const tensor of tensors) await writeTensor(file, tensor);
  });
}

async function writeHeader(file: NewFile, header: Record<string, unknown>): Promise<void> {
  const json = JSON.stringify(header);
  const bytes = new TextEncoder().encode(json);
  const length = Math.ceil(bytes.length / ALIGNMENT) * ALIGNMENT;
  const padded = new Uint8Array(ALIGNMENT + length).fill(" ".charCodeAt(0));
  new DataView(padded.buffer).setBigUint64(0, BigInt(length), true);
  padded.set(bytes, ALIGNMENT);
  await file.write(padded);
}

async function writeTensor(file: NewFile, { name, shape, read }: NamedTensor): Promise<void> {
  const data = await read();
  if (data.length !== elementCount(shape)) {
    throw new RangeError(
      sentence(`write tensor ${name}`, "it must have as many numbers as its shape says", {
        shape,
        numbers: data.length,
      }),
    );
  }
  const bad = data.findIndex((value) => !Number.isFinite(value));
  if (bad !== -1) {
    throw new RangeError(
      sentence(`write tensor ${name}`, "every number must be finite (check the model)", {
        ...{ shape, index: bad, value: data[bad] },
      }),
    );
  }
  await file.write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}
