import {
  checkChoice,
  checkGroups,
  checkInteger,
  checkNumbers,
  checkObject,
  sentence,
} from "../base/check.ts";
import { sliceOf } from "../base/numbers.ts";

/** The heads of fused weights, and their arrangement. */
export interface QkvOptions {
  /** Query heads, a multiple of `numKvHeads`. */
  numHeads: number;
  /** Key/value heads. */
  numKvHeads: number;
  /** Elements of a query, a key and a value. */
  headDim: number;
  /**
   * Order of the rows: `"concatenated"` all queries, then all keys, then all values (GPT-2, Phi-3); `"interleaved"` for each
   * KV head the queries of its group, its key and its value (GPT-BigCode, Falcon). With one KV head both are the same.
   */
  arrangement: "concatenated" | "interleaved";
}

/** Weights of the three projections, each as many rows as its heads have elements. */
export interface SplitQkv {
  /** Queries [numHeads headDim, in], or [numHeads headDim] of a bias. */
  q: Float32Array<ArrayBuffer>;
  /** Keys [numKvHeads headDim, in], or [numKvHeads headDim]. */
  k: Float32Array<ArrayBuffer>;
  /** Values, shaped as the keys. */
  v: Float32Array<ArrayBuffer>;
}

const SPLIT = "split fused QKV weights";
const JOIN = "join QKV weights";

/**
 * Splits the weights of a fused projection into those of queries, keys and values, as GPT-BigCode (Li et al. 2023, StarCoder,
 * arXiv 2305.06161) and Falcon (Almazrouei et al. 2023, arXiv 2311.16867) store them.
 *
 * @param weights Rows of all heads [(numHeads + 2 numKvHeads) headDim, in], or their bias
 * [(numHeads + 2 numKvHeads) headDim]; copied.
 * @param options Heads, and in what order they lie.
 * @returns The weights of the three projections.
 * @throws {TypeError} If a count is no number, or there is no such arrangement.
 * @throws {RangeError} If a count is no whole number of at least 1, or heads or rows do not divide.
 *
 * @example Two query heads and one KV head of size 1, with three inputs
 * ```ts
 * import { splitQkv } from "@onehead/attention";
 *
 * const fused = [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]; // [2 + 1 + 1, 3]
 * const { q, k, v } = splitQkv(fused, {
 *   numHeads: 2,
 *   numKvHeads: 1,
 *   headDim: 1,
 *   arrangement: "concatenated",
 * });
 * console.log(q, k, v); // [1, 1, 1, 2, 2, 2] [3, 3, 3] [4, 4, 4]
 * ```
 */
export function splitQkv(weights: ArrayLike<number>, options: QkvOptions): SplitQkv {
  checkNumbers(SPLIT, "weights", weights);
  const { rows, blocks } = fillIn(SPLIT, options);
  const { numHeads, numKvHeads, headDim } = options;
  if (weights.length === 0 || weights.length % rows !== 0) {
    throw new RangeError(
      sentence(SPLIT, "there must be (numHeads + 2 numKvHeads) headDim rows", {
        ...{ elements: weights.length, rows, numHeads, numKvHeads, headDim },
      }),
    );
  }
  const head = weights.length / rows * headDim;
  const parts = {
    q: new Float32Array(numHeads * head),
    k: new Float32Array(numKvHeads * head),
    v: new Float32Array(numKvHeads * head),
  };
  eachBlock(
    [parts.q, parts.k, parts.v],
    blocks,
    (part, { offset, start, end }) =>
      part.set(sliceOf(weights, offset, offset + end - start), start),
  );
  return parts;
}

/**
 * Joins the weights of queries, keys and values into those of a fused projection: what {@linkcode splitQkv} undoes.
 *
 * @param parts The weights of the three projections, or their biases; copied.
 * @param options Heads, and in what order they shall lie.
 * @returns Rows of all heads [(numHeads + 2 numKvHeads) headDim, in], or their bias.
 * @throws {TypeError} If a count is no number, or there is no such arrangement.
 * @throws {RangeError} If a count is no whole number of at least 1, or heads or rows do not divide.
 *
 * @example Two query heads and one KV head of size 1, with two inputs
 * ```ts
 * import { joinQkv } from "@onehead/attention";
 *
 * const parts = { q: [1, 1, 2, 2], k: [3, 3], v: [4, 4] };
 * const fused = joinQkv(parts, { numHeads: 2, numKvHeads: 1, headDim: 1, arrangement: "interleaved" });
 * console.log(fused); // [1, 1, 2, 2, 3, 3, 4, 4]
 * ```
 */
export function joinQkv(
  parts: Record<"q" | "k" | "v", ArrayLike<number>>,
  options: QkvOptions,
): Float32Array<ArrayBuffer> {
  checkObject(JOIN, "parts", parts);
  const { q, k, v } = parts;
  for (const [name, part] of Object.entries({ q, k, v })) checkNumbers(JOIN, name, part);
  const { rows, blocks } = fillIn(JOIN, options);
  const { numHeads, numKvHeads, headDim } = options;
  const head = q.length / numHeads;
  const isWhole = q.length > 0 && head % headDim === 0;
  if (!isWhole || k.length !== numKvHeads * head || v.length !== k.length) {
    throw new RangeError(
      sentence(JOIN, "each projection must have headDim rows of one length for each head", {
        ...{ q: q.length, k: k.length, v: v.length, numHeads, numKvHeads, headDim },
      }),
    );
  }
  const fused = new Float32Array(rows * head / headDim);
  eachBlock(
    [q, k, v],
    blocks,
    (part, { offset, start, end }) => fused.set(sliceOf(part, start, end), offset),
  );
  return fused;
}

/** Rows of all heads, and blocks in which the three projections take turns; throws where options are wrong. */
function fillIn(action: string, options: QkvOptions): { rows: number; blocks: number } {
  checkObject(action, "options", options);
  const { numHeads, numKvHeads, headDim, arrangement } = options;
  for (const [name, value] of Object.entries({ numHeads, numKvHeads, headDim })) {
    checkInteger(action, name, value);
  }
  checkChoice(action, "arrangement", arrangement, ["concatenated", "interleaved"]);
  checkGroups(action, { numHeads, numKvHeads });
  return {
    rows: (numHeads + 2 * numKvHeads) * headDim,
    blocks: arrangement === "concatenated" ? 1 : numKvHeads,
  };
}

/** Calls for each block of each projection: elements from `start` to `end` of it lie from `offset` on in what is fused. */
function eachBlock<Part extends ArrayLike<number>>(
  parts: readonly Part[],
  blocks: number,
  call: (part: Part, place: { offset: number; start: number; end: number }) => void,
): void {
  let offset = 0;
  for (let block = 0; block < blocks; block++) {
    for (const part of parts) {
      const length = part.length / blocks;
      call(part, { offset, start: block * length, end: (block + 1) * length });
      offset += length;
    }
  }
}
