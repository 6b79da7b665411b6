import { foreignFormat, FORMAT_BYTES } from "../base/foreign_format.ts";
import { type JsonObject, parseJsonObject } from "../base/json.ts";
import { decodeText } from "../base/text.ts";
import { type ByteSource, openFile, readBuffer } from "./byte_source.ts";
import { checkpointError } from "./checkpoint_error.ts";
import { isThere } from "./file_system.ts";

/** Most bytes of a text, as safetensors' own reader has it: a lie about a length must not make for a huge allocation. */
const MOST_BYTES = 100_000_000;

/** A span of bytes of a file, and its name in messages. */
interface Span {
  what?: string;
  offset?: number;
  length?: number;
}

/** A text, and its name in messages. */
export interface NamedText {
  name: string;
  text: string;
}

/** Reads a whole file that must be text. */
export async function readTextFile(path: string): Promise<NamedText> {
  return await readWholeText(await openFile(path));
}

/** Reads a whole source that must be text, and closes it. */
export async function readWholeText(source: ByteSource): Promise<NamedText> {
  try {
    return { name: source.name, text: await readText(source) };
  } finally {
    await source.close();
  }
}

/** Reads a whole file that must be text, where there is one. */
export async function findTextFile(path: string): Promise<NamedText | undefined> {
  return await isThere(path) ? await readTextFile(path) : undefined;
}

/** Reads a span of a file that must be a JSON object. */
export async function readJsonObject(source: ByteSource, span: Span = {}): Promise<JsonObject> {
  return parseJsonObject(await readText(source, span), span.what ?? source.name);
}

/** Reads a span of a file that must be text, and not long. */
export async function readText(
  source: ByteSource,
  { what = source.name, offset = 0, length = source.size - offset }: Span = {},
): Promise<string> {
  return decodeText(await readShort(source, { what, offset, length }), what);
}

/** The format of a file of another format, as the rule of an error; undefined if it is none of the known. */
export async function readForeignFormat(source: ByteSource): Promise<string | undefined> {
  const length = Math.min(FORMAT_BYTES, source.size);
  const other = foreignFormat(new Uint8Array(await readBuffer(source, 0, length)));
  return other && `it is ${other.format} (${other.cure})`;
}

/** Reads a span of a file that is to be in memory as a whole. */
export async function readShort(
  source: ByteSource,
  { what = source.name, offset = 0, length = source.size - offset }: Span = {},
): Promise<Uint8Array> {
  if (length > MOST_BYTES) {
    throw checkpointError(what, `it must have at most ${MOST_BYTES} bytes`, { bytes: length });
  }
  return new Uint8Array(await readBuffer(source, offset, length));
}
