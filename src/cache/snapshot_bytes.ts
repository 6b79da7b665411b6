/**
 * What all snapshots have in common.
 *
 *   0   magic "onehead" and a byte that says of which cache it is
 *   8   version, u32 little-endian
 *   12  bytes of the header, u32 little-endian
 *   16  header: JSON
 *       rows of keys and values, as the device stores them
 *       SHA-256 of everything before, 32 bytes
 *
 * The checksum finds damage and proves no origin: a stranger who writes a snapshot can write a checksum. What is read is
 * therefore checked to be a state that a cache can have, and nothing is made before it is checked against the bytes that
 * are there. That the rows are those of the tokens is for the reader to trust.
 */
import { sentence } from "../base/check.ts";
import { SnapshotError } from "../base/errors.ts";
import { isJsonObject, parseJsonObject } from "../base/json.ts";

/** The kind of a snapshot. */
export interface SnapshotFormat {
  /** The action that errors name. */
  action: string;
  /** The last byte of the magic. */
  kind: number;
  version: number;
}

const PREFIX_BYTES = 16;
const DIGEST_BYTES = 32;
/** More than the longest batch, and the tables of rotary positions and of channels of the layers of any model, take. */
const MOST_HEADER_BYTES = 2 ** 27;

/** The bytes of a snapshot. */
export async function packBytes(
  format: SnapshotFormat,
  header: Readonly<Record<string, unknown>>,
  rows: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  const json = new TextEncoder().encode(JSON.stringify(header));
  if (json.length > MOST_HEADER_BYTES) {
    const rule = `options and tables must fit a header of ${MOST_HEADER_BYTES} bytes (keep fewer ` +
      "layers in a cache)";
    failSnapshot("snapshot a cache", rule, { headerBytes: json.length });
  }
  const end = PREFIX_BYTES + json.length + rows.length;
  const bytes = new Uint8Array(end + DIGEST_BYTES);
  bytes.set(magicOf(format));
  const view = new DataView(bytes.buffer);
  view.setUint32(8, format.version, true);
  view.setUint32(12, json.length, true);
  bytes.set(json, PREFIX_BYTES);
  bytes.set(rows, PREFIX_BYTES + json.length);
  bytes.set(await digest(bytes.subarray(0, end)), end);
  return bytes;
}

/**
 * Reads the bytes of a snapshot: what `read` makes of its header, and its rows. Throws a `SnapshotError` unless every byte is
 * as it was packed and the header can be read.
 */
export async function openBytes<Header extends object>(
  format: SnapshotFormat,
  given: Uint8Array,
  read: (header: unknown) => Header,
): Promise<Header & { rows: Uint8Array }> {
  const { action, version } = format;
  if (!(given instanceof Uint8Array)) {
    throw new TypeError(sentence(action, "a snapshot must be a Uint8Array", { bytes: given }));
  }
  // A copy, so that what was checked is what is restored.
  const bytes = given.slice();
  const end = bytes.length - DIGEST_BYTES;
  if (end < PREFIX_BYTES || magicOf(format).some((byte, i) => bytes[i] !== byte)) {
    failSnapshot(action, "the bytes must be those of a snapshot", { bytes: bytes.length });
  }
  const view = new DataView(bytes.buffer);
  const found = view.getUint32(8, true);
  if (found !== version) {
    failSnapshot(action, `the snapshot must be of version ${version}`, { version: found });
  }
  const expected = await digest(bytes.subarray(0, end));
  if (expected.some((byte, i) => bytes[end + i] !== byte)) {
    failSnapshot(action, "the snapshot is damaged or cut short", { bytes: bytes.length });
  }
  const headerBytes = view.getUint32(12, true);
  const rowsStart = PREFIX_BYTES + headerBytes;
  if (rowsStart > end || headerBytes > MOST_HEADER_BYTES) {
    const values = { headerBytes, bytes: bytes.length };
    failSnapshot(action, "the header must lie within the snapshot", values);
  }
  const text = new TextDecoder().decode(bytes.subarray(PREFIX_BYTES, rowsStart));
  try {
    const header = read(parseJsonObject(text, "the header of a snapshot"));
    return { ...header, rows: bytes.subarray(rowsStart, end) };
  } catch (cause) {
    // Whatever was checked says what is wrong, and what it is of: the snapshot.
    throw cause instanceof SnapshotError
      ? cause
      : new SnapshotError((cause as Error).message, { cause });
  }
}

/** Throws unless a value is an object of JSON with these fields and no others. */
export function checkNames(
  action: string,
  name: string,
  value: unknown,
  required: readonly string[],
  optional: readonly string[] = [],
): asserts value is Record<string, unknown> {
  if (!isJsonObject(value)) {
    return failSnapshot(action, `${name} must be an object`, { [name]: value });
  }
  const lacking = required.find((field) => !Object.hasOwn(value, field));
  if (lacking !== undefined) {
    failSnapshot(action, `${name} must have a field ${lacking}`, { [name]: value });
  }
  const known = [...required, ...optional];
  const strange = Object.keys(value).find((field) => !known.includes(field));
  if (strange !== undefined) {
    failSnapshot(action, `${name} must have known fields alone`, { field: strange });
  }
}

/** The fields of a rotary position embedding that was filled in; `checkNames` for them. */
export function checkRopeNames(action: string, rope: unknown, name = "options.rope"): void {
  if (rope === undefined) return;
  const required = ["dims", "style", "frequencies", "attentionFactor"];
  checkNames(action, name, rope, required, ["firstDim"]);
}

/** Throws a `SnapshotError`. */
export function failSnapshot(
  action: string,
  rule: string,
  values: Record<string, unknown>,
): never {
  throw new SnapshotError(sentence(action, rule, values));
}

function magicOf({ kind }: SnapshotFormat): Uint8Array {
  return new TextEncoder().encode(`onehead${String.fromCharCode(kind)}`);
}

async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}
