import { type JsonObject, parseJsonObject } from "../base/json.ts";
import { decodeText } from "../base/text.ts";
import { type ByteSource, readBuffer } from "./byte_source.ts";
import { checkpointError } from "./checkpoint_error.ts";

/** Most bytes of a text, as safetensors' own reader has it: a lie about a length must not make for a huge allocation. */
const MOST_BYTES = 100_000_000;

/** Which bytes of a file, and what messages call them. */
interface Part {
  what?: string;
  offset?: number;
  length?: number;
}

/** Reads a part of a file that must be a JSON object. */
export async function readJsonObject(source: ByteSource, part: Part = {}): Promise<JsonObject> {
  return parseJsonObject(await readText(source, part), part.what ?? source.name);
}

/** Reads a part of a file that must be text, and not long. */
export async function readText(
  source: ByteSource,
  { what = source.name, offset = 0, length = source.size - offset }: Part = {},
): Promise<string> {
  return decodeText(await readShort(source, { what, offset, length }), what);
}

/** Reads a part of a file that is to be in memory as a whole. */
export async function readShort(
  source: ByteSource,
  { what = source.name, offset = 0, length = source.size - offset }: Part = {},
): Promise<Uint8Array> {
  if (length > MOST_BYTES) {
    throw checkpointError(what, `it must have at most ${MOST_BYTES} bytes`, { bytes: length });
  }
  return new Uint8Array(await readBuffer(source, offset, length));
}
