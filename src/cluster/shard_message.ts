/**
 * The wire format of shards, version 1. All numbers are little-endian; a message is a header and a body.
 *
 * | byte | type | field |
 * |---|---|---|
 * | 0 | u32 | `magic`: 0x4853484f, "OHSH" |
 * | 4 | u8 | `version`: 1 |
 * | 5 | u8 | `kind`: 1 reset, 2 extend, 3 truncate, 4 state, 5 failure, 6 save, 7 restore |
 * | 6 | u8 | `dtype` of k, v, q and o: 0 f32, 1 f16 |
 * | 7 | u8 | `isCausal`: 1 where the queries are the last tokens of this shard, and see those up to themselves |
 * | 8 | u32 | `session`: drawn by who resets the shards; a shard that has another one lost what it had |
 * | 12 | u32 | `layer` |
 * | 16 | u32 | `length`: tokens that the shard has of the layer before an extend, and after anything else |
 * | 20 | u32 | `appended`: tokens of k and v |
 * | 24 | u32 | `queries`: tokens of q, or of o and lse |
 *
 * | kind | body |
 * |---|---|
 * | reset | the {@linkcode ShardSpec} as JSON, which must equal the shard's own |
 * | extend | k [appended, numKvHeads, headDim], v [appended, numKvHeads, valueDim], q [queries, numHeads, headDim] |
 * | truncate | none; it is of all layers |
 * | state | o [queries, numHeads, valueDim], then lse f32 [queries, numHeads]; after a reset `{ room }` as JSON, the tokens of a
 * layer that the shard has room for |
 * | failure | `{ failure, message }` as JSON |
 * | save | u32 `from`: the first byte that is asked for of the snapshot of a layer, which is made when that is 0; u32 `most`: the
 * bytes that the reader takes at once; the answer is a state whose body is u32 `total`, the bytes of the whole snapshot, and at
 * most so many of them from there |
 * | restore | u32 `from`, u32 `total`, and bytes of a snapshot from there: the layer is as it was when the last of them is there |
 */
import { sentence } from "../base/check.ts";
import type { RemoteKvSpec } from "../model/remote_kv.ts";
import type { Dtype } from "../tensor/dtype.ts";
import { float16Array } from "../tensor/float16.ts";
import { MessageError } from "./errors.ts";
import type { ShardState } from "./merge_states.ts";

const MAGIC = 0x4853484f;
/** Peers of other versions do not understand each other. */
export const SHARD_VERSION = 1;
/** Bytes of a header. */
export const HEADER_BYTES = 28;
const KINDS = [
  ...["reset", "extend", "truncate", "state", "failure", "save", "restore"] as const,
];
/** By their numbers on the wire. */
const WIRE_DTYPES: readonly Dtype[] = ["f32", "f16"];
const READ = "read a message of a shard";

/** The header of a message. */
export interface ShardHeader {
  kind: typeof KINDS[number];
  dtype: Dtype;
  isCausal: boolean;
  session: number;
  layer: number;
  length: number;
  appended: number;
  queries: number;
}

/** The sizes that decide the length of a body. */
export type ShardShape = Pick<RemoteKvSpec, "numHeads" | "numKvHeads" | "headDim" | "valueDim">;

/** Bytes of the snapshot of a layer in one message. */
export interface SnapshotPart {
  /** The place of the first of them in the snapshot. */
  from: number;
  /** Bytes of the whole snapshot. */
  total: number;
  bytes: Uint8Array;
}

/** Bytes of numbers in front of those of a part, at most. */
export const PART_BYTES = 8;

/** Writes a message. */
export function encodeShard(
  header: Partial<ShardHeader> & Pick<ShardHeader, "kind">,
  ...body: readonly Uint8Array[]
): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + body.reduce((sum, { length }) => sum + length, 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  const { kind, dtype = "f32", isCausal = false } = header;
  bytes.set([
    SHARD_VERSION,
    1 + KINDS.indexOf(kind),
    WIRE_DTYPES.indexOf(dtype),
    Number(isCausal),
  ], 4);
  const { session = 0, layer = 0, length = 0, appended = 0, queries = 0 } = header;
  [session, layer, length, appended, queries].forEach((value, i) => {
    view.setUint32(8 + 4 * i, value, true);
  });
  let at = HEADER_BYTES;
  for (const part of body) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/**
 * Reads the header of a message, and cuts off its body.
 *
 * @throws {MessageError} If it is no message of a shard, of another version, or longer than `maxBytes`.
 */
export function decodeShard(
  bytes: Uint8Array,
  maxBytes: number,
): { header: ShardHeader; body: Uint8Array } {
  const { length: size } = bytes;
  if (size < HEADER_BYTES || size > maxBytes) {
    refuse("it must have a header, and at most maxBytes", { bytes: size, maxBytes });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, size);
  const [magic, version] = [view.getUint32(0, true), bytes[4]];
  if (magic !== MAGIC) refuse("it must begin with OHSH", { magic });
  if (version !== SHARD_VERSION) refuse("it must be of this version", { version, SHARD_VERSION });
  const [kind, dtype] = [KINDS[bytes[5] - 1], WIRE_DTYPES[bytes[6]]];
  if (!kind || !dtype || bytes[7] > 1) {
    refuse("kind, dtype and isCausal must be known", {
      ...{ kind: bytes[5], dtype: bytes[6], isCausal: bytes[7] },
    });
  }
  const [session, layer, length, appended, queries] = [8, 12, 16, 20, 24]
    .map((at) => view.getUint32(at, true));
  return {
    header: {
      ...{ kind, dtype, isCausal: bytes[7] === 1, session, layer, length, appended, queries },
    },
    body: bytes.subarray(HEADER_BYTES),
  };
}

/** Numbers as bytes. */
export function encodeNumbers(numbers: Float32Array, dtype: Dtype): Uint8Array {
  const data = dtype === "f16" ? new (float16Array("send numbers"))(numbers) : numbers;
  return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}

/**
 * Reads the arrays of a body.
 *
 * @param body The body.
 * @param arrays The elements of each array, and their type.
 * @throws {MessageError} If the body has more or fewer bytes than its header says.
 */
export function decodeNumbers(
  body: Uint8Array,
  ...arrays: readonly [elements: number, dtype: Dtype][]
): Float32Array[] {
  const sizes = arrays.map(([elements, dtype]) => elements * (dtype === "f16" ? 2 : 4));
  const needed = sizes.reduce((sum, size) => sum + size, 0);
  if (needed !== body.length) {
    refuse("the body must have the bytes that its header tells", { needed, bytes: body.length });
  }
  let at = 0;
  return arrays.map(([, dtype], i) => {
    // A copy, as arrays of numbers begin at a multiple of their size; not by slice, which a Buffer of Node does not copy by.
    const { buffer } = new Uint8Array(body.subarray(at, at += sizes[i]));
    if (dtype === "f32") return new Float32Array(buffer);
    return Float32Array.from(new (float16Array(READ))(buffer));
  });
}

/** The numbers of an extend. */
export function readExtend(
  { appended, queries, dtype }: ShardHeader,
  body: Uint8Array,
  { numHeads, numKvHeads, headDim, valueDim }: ShardShape,
): { k: Float32Array; v: Float32Array; q: Float32Array } {
  const [k, v, q] = decodeNumbers(
    body,
    [appended * numKvHeads * headDim, dtype],
    [appended * numKvHeads * valueDim, dtype],
    [queries * numHeads * headDim, dtype],
  );
  return { k, v, q };
}

/**
 * The numbers of a state.
 *
 * @throws {MessageError} If the body is not as long as it must be, or a log-sum-exp is no number: nothing of it can be merged.
 */
export function readState(
  { queries, dtype }: ShardHeader,
  body: Uint8Array,
  { numHeads, valueDim }: Pick<ShardShape, "numHeads" | "valueDim">,
): ShardState {
  const rows = queries * numHeads;
  const [o, lse] = decodeNumbers(body, [rows * valueDim, dtype], [rows, "f32"]);
  const wrong = lse.find((value) => Number.isNaN(value) || value === Infinity);
  if (wrong !== undefined) refuse("a log-sum-exp must be a number, or -Infinity", { lse: wrong });
  return { o, lse };
}

/** Writes u32s, little-endian. */
export function encodeWords(...words: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * words.length));
  words.forEach((word, i) => view.setUint32(4 * i, word, true));
  return new Uint8Array(view.buffer);
}

/** Reads `count` u32s, and cuts off what follows them. */
export function decodeWords(
  body: Uint8Array,
  count: number,
): { words: number[]; rest: Uint8Array } {
  const needed = 4 * count;
  if (body.length < needed) {
    refuse("the body must have its numbers", { needed, bytes: body.length });
  }
  const view = new DataView(body.buffer, body.byteOffset, needed);
  const words = Array.from({ length: count }, (_, i) => view.getUint32(4 * i, true));
  return { words, rest: body.subarray(needed) };
}

/**
 * The tokens that a shard has room for, as it says after a reset.
 *
 * @throws {MessageError} If they are no number above 0.
 */
export function readRoom(body: unknown): number {
  const { room } = (body ?? {}) as { room?: unknown };
  if (Number.isSafeInteger(room) && Number(room) > 0) return Number(room);
  return refuse("a shard must have room for tokens", { room });
}

function refuse(rule: string, values: Record<string, unknown>): never {
  throw new MessageError(sentence(READ, rule, values));
}
