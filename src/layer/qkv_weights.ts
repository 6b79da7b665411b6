import { checkChoice, checkGroups, checkInteger, checkObject, sentence } from "../base/check.ts";
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

const ACTION = "split fused QKV weights";

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
  checkObject(ACTION, "weights", weights);
  checkObject(ACTION, "options", options);
  const { numHeads, numKvHeads, headDim, arrangement } = options;
  for (const [name, value] of Object.entries({ numHeads, numKvHeads, headDim })) {
    checkInteger(ACTION, name, value);
  }
  checkChoice(ACTION, "arrangement", arrangement, ["concatenated", "interleaved"]);
  checkGroups(ACTION, { numHeads, numKvHeads });
  const rows = (numHeads + 2 * numKvHeads) * headDim;
  if (weights.length === 0 || weights.length % rows !== 0) {
    throw new RangeError(
      sentence(ACTION, "there must be (numHeads + 2 numKvHeads) headDim rows", {
        ...{ elements: weights.length, rows, numHeads, numKvHeads, headDim },
      }),
    );
  }

  const head = weights.length / rows * headDim;
  const blocks = arrangement === "concatenated" ? 1 : numKvHeads;
  const parts = {
    q: new Float32Array(numHeads * head),
    k: new Float32Array(numKvHeads * head),
    v: new Float32Array(numKvHeads * head),
  };
  let offset = 0;
  for (let block = 0; block < blocks; block++) {
    for (const part of [parts.q, parts.k, parts.v]) {
      const length = part.length / blocks;
      part.set(sliceOf(weights, offset, offset + length), block * length);
      offset += length;
    }
  }
  return parts;
}
