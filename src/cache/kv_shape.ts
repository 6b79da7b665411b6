/** Shapes of keys and values. */
import { type KvDtype, storageBytes } from "../tensor/dtype.ts";

/** The shape of keys and values, and their element type in storage. */
export interface KvShape {
  /** Sequences. */
  batch: number;
  /** Key/value heads. */
  numKvHeads: number;
  /** Slots per sequence. */
  capacity: number;
  /** Elements of a key. */
  headDim: number;
  /** Elements of a value. */
  valueDim: number;
  /** Element type in storage. */
  kvDtype: KvDtype;
}

/**
 * Bytes of K and V of one attention layer for `tokens` tokens of every sequence, each in a buffer of whole words.
 *
 * @param shape Sequences, KV heads, elements of a key and of a value, and their type.
 * @param tokens Tokens per sequence.
 * @returns Bytes.
 *
 * @example
 * ```ts
 * import { kvBytes } from "@onehead/attention";
 *
 * const head = { batch: 1, numKvHeads: 1, headDim: 128, valueDim: 128 };
 * console.log(kvBytes({ ...head, kvDtype: "f16" }, 4096)); // 2097152
 * console.log(kvBytes({ ...head, kvDtype: "int4" }, 4096)); // 557056: 64 bytes and a step of 4 for each row
 * ```
 */
export function kvBytes(
  shape: Omit<KvShape, "capacity">,
  tokens: number,
): number {
  const { batch, numKvHeads, headDim, valueDim, kvDtype } = shape;
  const rows = batch * numKvHeads * tokens;
  return storageBytes([rows, headDim], kvDtype) + storageBytes([rows, valueDim], kvDtype);
}
