/** Shapes of keys and values. */
import { checkChoice, checkInteger, checkObject, sentence } from "../base/check.ts";
import { KV_DTYPES, type KvDtype, storageBytes } from "../tensor/dtype.ts";

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
  /**
   * `"keys"`: a value is the first `valueDim` elements of its key, and the two are stored once, as latent attention has them
   * (DeepSeek-V2, 2024, arXiv 2405.04434). The default is values of their own.
   */
  valuesAre?: "keys";
}

/** The rows that are stored of each token and KV head: the tensor of each, and its elements. */
export function storedRows(
  { headDim, valueDim, valuesAre }: Pick<KvShape, "headDim" | "valueDim" | "valuesAre">,
): readonly (readonly ["k" | "v", number])[] {
  return valuesAre === "keys" ? [["k", headDim]] : [["k", headDim], ["v", valueDim]];
}

/** Throws unless values are of their own, or the beginning of keys. */
export function checkValuesAre(
  action: string,
  { headDim, valueDim, valuesAre }: Pick<KvShape, "headDim" | "valueDim" | "valuesAre">,
): void {
  if (valuesAre === undefined) return;
  if (valuesAre !== "keys") {
    throw new RangeError(sentence(action, 'valuesAre must be "keys", or left out', { valuesAre }));
  }
  if (valueDim <= headDim) return;
  throw new RangeError(
    sentence(action, "values that are the first elements of keys must not be longer than keys", {
      ...{ valueDim, headDim, valuesAre },
    }),
  );
}

/** Throws where values are given beside keys that they are the first elements of. */
export function checkNoValues(action: string, v: unknown): void {
  if (v === undefined) return;
  throw new TypeError(
    sentence(action, "v must be left out where values are the first elements of keys", {
      valuesAre: "keys",
    }),
  );
}

/**
 * Bytes of K and V of one attention layer for `tokens` tokens of every sequence, each in a buffer of whole words.
 *
 * @param shape Sequences, KV heads, elements of a key and of a value, their type, and whether values are keys.
 * @param tokens Tokens per sequence.
 * @returns Bytes.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a size is no whole number.
 *
 * @example
 * ```ts
 * import { kvBytes } from "@onehead/attention";
 *
 * const head = { batch: 1, numKvHeads: 1, headDim: 128, valueDim: 128 };
 * console.log(kvBytes({ ...head, kvDtype: "f16" }, 4096)); // 2097152
 * console.log(kvBytes({ ...head, kvDtype: "int4" }, 4096)); // 557056: 64 bytes and a step of 4 for each row
 * const latent = { ...head, headDim: 576, valueDim: 512, valuesAre: "keys" as const };
 * console.log(kvBytes({ ...latent, kvDtype: "f16" }, 4096)); // 4718592: keys alone
 * ```
 */
export function kvBytes(
  shape: Omit<KvShape, "capacity">,
  tokens: number,
): number {
  const action = "count bytes of keys and values";
  checkObject(action, "shape", shape);
  const { batch, numKvHeads, headDim, valueDim, kvDtype } = shape;
  for (const [name, size] of Object.entries({ batch, numKvHeads, headDim, valueDim })) {
    checkInteger(action, name, size);
  }
  checkInteger(action, "tokens", tokens, 0);
  checkChoice(action, "kvDtype", kvDtype, KV_DTYPES);
  checkValuesAre(action, shape);
  return layerBytes(shape, tokens);
}

/** {@linkcode kvBytes} of a shape that is checked, and of any number of tokens. */
export function layerBytes(shape: Omit<KvShape, "capacity">, tokens: number): number {
  const { batch, numKvHeads, kvDtype } = shape;
  const rows = batch * numKvHeads * tokens;
  return storedRows(shape)
    .reduce((sum, [, size]) => sum + storageBytes([rows, size], kvDtype), 0);
}
