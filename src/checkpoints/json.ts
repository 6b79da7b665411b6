import { type ByteSource, readBuffer } from "./byte_source.ts";
import { checkpointError } from "./checkpoint_error.ts";

/** An object of JSON. */
export type JsonObject = Record<string, unknown>;

/** Most bytes of text, as the format's own reader has it: a lie about a length must not make for a huge allocation. */
const LONGEST = 100_000_000;

/** Which bytes of a file, and what messages call them. */
interface Part {
  what?: string;
  offset?: number;
  length?: number;
}

/** Reads a part of a file that must be a JSON object in UTF-8. */
export async function readJsonObject(source: ByteSource, part: Part = {}): Promise<JsonObject> {
  return parseJsonObject(await readText(source, part), part.what ?? source.name);
}

/** Reads a part of a file that must be text in UTF-8, and not long. */
export async function readText(
  source: ByteSource,
  { what = source.name, offset = 0, length = source.size - offset }: Part = {},
): Promise<string> {
  if (length > LONGEST) {
    throw checkpointError(what, `it must have at most ${LONGEST} bytes`, { length });
  }
  const bytes = await readBuffer(source, offset, length);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw checkpointError(what, "it must be text in UTF-8 (fetch it again)", { length }, cause);
  }
}

/** Parses a text that must be a JSON object. */
export function parseJsonObject(text: string, what: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const error = (cause as Error).message;
    throw checkpointError(what, "it is no JSON (fetch it again)", { error }, cause);
  }
  if (!isJsonObject(value)) throw checkpointError(what, "it must be a JSON object", { value });
  return value;
}

/** Whether a value is an object, and no array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
