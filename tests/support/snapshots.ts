// Snapshots as someone else writes them: headers and rows that are changed, under a checksum that is right.

const PREFIX_BYTES = 16;
const DIGEST_BYTES = 32;

/** What a snapshot consists of besides its prefix and its checksum. */
export interface SnapshotParts {
  // deno-lint-ignore no-explicit-any -- JSON, to be spoiled
  header: any;
  rows: Uint8Array;
}

/** Takes a snapshot apart. */
export function partsOf(snapshot: Uint8Array): SnapshotParts {
  const view = new DataView(snapshot.buffer, snapshot.byteOffset);
  const rowsStart = PREFIX_BYTES + view.getUint32(12, true);
  const header = JSON.parse(new TextDecoder().decode(snapshot.subarray(PREFIX_BYTES, rowsStart)));
  return { header, rows: snapshot.slice(rowsStart, snapshot.length - DIGEST_BYTES) };
}

/** Puts a snapshot together under the prefix of another one: magic and version; a header that is a string stays as it is. */
export async function snapshotOf(
  { header, rows }: SnapshotParts,
  prefix: Uint8Array,
  headerBytes?: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const text = typeof header === "string" ? header : JSON.stringify(header);
  const encoded = new TextEncoder().encode(text);
  const end = PREFIX_BYTES + encoded.length + rows.length;
  const bytes = new Uint8Array(end + DIGEST_BYTES);
  bytes.set(prefix.subarray(0, PREFIX_BYTES));
  new DataView(bytes.buffer).setUint32(12, headerBytes ?? encoded.length, true);
  bytes.set(encoded, PREFIX_BYTES);
  bytes.set(rows, PREFIX_BYTES + encoded.length);
  const digest = await crypto.subtle.digest("SHA-256", bytes.subarray(0, end));
  bytes.set(new Uint8Array(digest), end);
  return bytes;
}
