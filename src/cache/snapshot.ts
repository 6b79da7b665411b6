/**
 * The format of a saved cache.
 *
 *   0   magic "onehead" and a zero byte
 *   8   version, u32 little-endian
 *   12  bytes of the header, u32 little-endian
 *   16  header: JSON, the options of the cache and what each sequence keeps
 *       rows of the slots that hold tokens, as they lie on the device
 *       SHA-256 of everything before, 32 bytes
 */
import { sentence } from "../base/check.ts";
import type { KeptTokens } from "./ring_rules.ts";
import { SnapshotError } from "../base/errors.ts";

/** A cache on the host. */
export interface Snapshot<Options> {
  /** What the cache was created with, all filled in. */
  options: Options;
  /** What each sequence keeps. */
  kept: readonly KeptTokens[];
  /** Rows of keys and values. */
  rows: Uint8Array;
}

const ACTION = "restore RingKvCache";
const MAGIC = new TextEncoder().encode("onehead\0");
const VERSION = 1;
const PREFIX_BYTES = 16;
const DIGEST_BYTES = 32;

/** The bytes of a snapshot. */
export async function packSnapshot<Options>(
  { options, kept, rows }: Snapshot<Options>,
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

/** What the bytes of a snapshot say; throws unless every one of them is as it was packed. */
export async function openSnapshot<Options>(given: Uint8Array): Promise<Snapshot<Options>> {
  if (!(given instanceof Uint8Array)) {
    throw new TypeError(sentence(ACTION, "a snapshot must be a Uint8Array", { bytes: given }));
  }
  // A copy, so that what was checked is what is restored.
  const bytes = given.slice();
  const end = bytes.length - DIGEST_BYTES;
  if (end < PREFIX_BYTES || MAGIC.some((byte, i) => bytes[i] !== byte)) {
    throw new SnapshotError(
      sentence(ACTION, "the bytes must be those of a snapshot", { bytes: bytes.length }),
    );
  }
  const view = new DataView(bytes.buffer);
  const version = view.getUint32(8, true);
  if (version !== VERSION) {
    throw new SnapshotError(
      sentence(ACTION, `the snapshot must be of version ${VERSION}`, { version }),
    );
  }
  const expected = await digest(bytes.subarray(0, end));
  if (expected.some((byte, i) => bytes[end + i] !== byte)) {
    throw new SnapshotError(
      sentence(ACTION, "the snapshot is damaged or cut short", { bytes: bytes.length }),
    );
  }
  const rowsStart = PREFIX_BYTES + view.getUint32(12, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(PREFIX_BYTES, rowsStart)));
  return { ...header, rows: bytes.subarray(rowsStart, end) };
}

async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}
