/**
 * The format of a saved cache.
 *
 *   0   magic "onehead" and a zero byte
 *   8   version, u32 little-endian
 *   12  bytes of the header, u32 little-endian
 *   16  header: JSON, the options of the cache and what each sequence keeps
 *       rows of the slots that hold tokens: keys, then values, by sequence, head and slot, as the device stores them
 *       SHA-256 of everything before, 32 bytes
 *
 * The checksum finds damage and proves no origin: a stranger who writes a snapshot can write a checksum. What is read is
 * therefore checked to be a state that a cache can have, and nothing is made before it is checked against the bytes that
 * are there. That the rows are those of the tokens is for the reader to trust.
 */
import { sentence } from "../base/check.ts";
import { SnapshotError } from "../base/errors.ts";
import { isJsonObject, parseJsonObject } from "../base/json.ts";
import { storedBytes } from "./kv_memory.ts";
import { type FilledRingOptions, fillInRing, type RingKvCacheOptions } from "./ring_options.ts";
import { checkReachable, type KeptTokens, ringRules, storedTokens } from "./ring_rules.ts";

/** A cache on the host. */
export interface Snapshot {
  /** The options that the cache was created with, all filled in. */
  options: FilledRingOptions;
  /** The tokens that each sequence keeps. */
  kept: readonly KeptTokens[];
  /** Rows of keys and values. */
  rows: Uint8Array;
}

const ACTION = "restore RingKvCache";
const MAGIC = new TextEncoder().encode("onehead\0");
const VERSION = 2;
const PREFIX_BYTES = 16;
const DIGEST_BYTES = 32;
/** More than the longest batch and the largest tables of rotary positions and of channels take. */
const MOST_HEADER_BYTES = 2 ** 25;

/** The bytes of a snapshot. */
export async function packSnapshot(
  { options, kept, rows }: Snapshot,
): Promise<Uint8Array<ArrayBuffer>> {
  const header = new TextEncoder().encode(JSON.stringify({ options, kept }));
  const end = PREFIX_BYTES + header.length + rows.length;
  const bytes = new Uint8Array(end + DIGEST_BYTES);
  bytes.set(MAGIC);
  const view = new DataView(bytes.buffer);
  view.setUint32(8, VERSION, true);
  view.setUint32(12, header.length, true);
  bytes.set(header, PREFIX_BYTES);
  bytes.set(rows, PREFIX_BYTES + header.length);
  bytes.set(await digest(bytes.subarray(0, end)), end);
  return bytes;
}

/**
 * Reads the bytes of a snapshot. Throws a `SnapshotError` unless every one of them is as it was packed, and together they
 * are a state that a cache can have, with the rows of its tokens.
 */
export async function openSnapshot(given: Uint8Array): Promise<Snapshot> {
  if (!(given instanceof Uint8Array)) {
    throw new TypeError(sentence(ACTION, "a snapshot must be a Uint8Array", { bytes: given }));
  }
  // A copy, so that what was checked is what is restored.
  const bytes = given.slice();
  const end = bytes.length - DIGEST_BYTES;
  if (end < PREFIX_BYTES || MAGIC.some((byte, i) => bytes[i] !== byte)) {
    fail("the bytes must be those of a snapshot", { bytes: bytes.length });
  }
  const view = new DataView(bytes.buffer);
  const version = view.getUint32(8, true);
  if (version !== VERSION) fail(`the snapshot must be of version ${VERSION}`, { version });
  const expected = await digest(bytes.subarray(0, end));
  if (expected.some((byte, i) => bytes[end + i] !== byte)) {
    fail("the snapshot is damaged or cut short", { bytes: bytes.length });
  }
  const headerBytes = view.getUint32(12, true);
  const rowsStart = PREFIX_BYTES + headerBytes;
  if (rowsStart > end || headerBytes > MOST_HEADER_BYTES) {
    fail("the header must lie within the snapshot", { headerBytes, bytes: bytes.length });
  }
  const header = readHeader(bytes.subarray(PREFIX_BYTES, rowsStart));
  const rows = bytes.subarray(rowsStart, end);
  const { options, kept } = header;
  const needed = storedBytes(options, storedOf(kept, options.capacity));
  if (rows.length !== needed) {
    fail("the snapshot must hold the rows of its tokens", { bytes: rows.length, needed });
  }
  return { ...header, rows };
}

/** Slots that hold tokens, per sequence. */
export function storedOf(kept: readonly KeptTokens[], capacity: number): number[] {
  return kept.map(({ length }) => storedTokens(length, capacity));
}

function readHeader(bytes: Uint8Array): Omit<Snapshot, "rows"> {
  try {
    const header = parseJsonObject(new TextDecoder().decode(bytes), "the header of a snapshot");
    checkNames("header", header, ["options", "kept"]);
    const options = readOptions(header.options);
    return { options, kept: readKept(header.kept, options) };
  } catch (cause) {
    // Whatever was checked says what is wrong, and what it is of: the snapshot.
    throw cause instanceof SnapshotError
      ? cause
      : new SnapshotError((cause as Error).message, { cause });
  }
}

/** All of them are there but for what a cache may do without, so that nothing is a default of this version. */
function readOptions(options: unknown): FilledRingOptions {
  const optional = ["window", "rope", "valuesAre", "kvCalibration", "kvRotation"];
  const required = ["batch", "numKvHeads", "headDim", "valueDim", "capacity", "sinks", "maxSeqLen"];
  required.push("overflow", "dtype", "kvDtype", "layout");
  checkNames("options", options, required, optional);
  const { rope } = options as { rope?: unknown };
  if (rope !== undefined) {
    const required = ["dims", "style", "frequencies", "attentionFactor"];
    checkNames("options.rope", rope, required, ["firstDim"]);
  }
  return fillInRing(ACTION, options as unknown as RingKvCacheOptions);
}

function readKept(kept: unknown, options: FilledRingOptions): KeptTokens[] {
  const { batch } = options;
  if (!Array.isArray(kept) || kept.length !== batch) {
    fail("kept must have an entry for each sequence", { kept, batch });
  }
  const rules = ringRules(ACTION, options);
  return kept.map((one: unknown, sequence) => {
    checkNames(`kept[${sequence}]`, one, ["oldest", "length"]);
    const { oldest, length } = one as unknown as KeptTokens;
    checkReachable(`restore sequence ${sequence} of RingKvCache`, rules, { oldest, length });
    return { oldest, length };
  });
}

/** Throws unless a value is an object of JSON with these fields and no others. */
function checkNames(
  name: string,
  value: unknown,
  required: readonly string[],
  optional: readonly string[] = [],
): asserts value is Record<string, unknown> {
  if (!isJsonObject(value)) return fail(`${name} must be an object`, { [name]: value });
  const lacking = required.find((field) => !Object.hasOwn(value, field));
  if (lacking !== undefined) fail(`${name} must have a field ${lacking}`, { [name]: value });
  const known = [...required, ...optional];
  const strange = Object.keys(value).find((field) => !known.includes(field));
  if (strange !== undefined) fail(`${name} must have known fields alone`, { field: strange });
}

function fail(rule: string, values: Record<string, unknown>): never {
  throw new SnapshotError(sentence(ACTION, rule, values));
}

async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}
