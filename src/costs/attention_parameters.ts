import { checkGroups, checkInteger, checkObject } from "../base/check.ts";

/** Parameters of the four projections of an attention layer, biases left out. */
export interface AttentionParameters {
  /** Of the queries: hidden size x heads x head size. */
  q: number;
  /** Of the keys: hidden size x KV heads x head size. */
  k: number;
  /** Of the values: hidden size x KV heads x value size. */
  v: number;
  /** Of the output: heads x value size x hidden size. */
  o: number;
  /** Of all four. */
  total: number;
}

const ACTION = "plan memory";

/**
 * Parameters of an attention layer: sharing KV heads shrinks those of keys and values.
 *
 * @param layer Heads and sizes; `valueDim` is `headDim` where not given.
 * @returns Numbers of parameters, by projection.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a count is not a whole number of at least 1, or the heads do not divide.
 *
 * @example
 * ```ts
 * import { attentionParameters } from "@onehead/attention";
 *
 * const layer = { hiddenSize: 4096, numHeads: 32, headDim: 128 };
 * console.log(attentionParameters({ ...layer, numKvHeads: 32 }).total); // 67108864
 * console.log(attentionParameters({ ...layer, numKvHeads: 1 }).total); // 34603008
 * ```
 */
export function attentionParameters(
  layer: {
    hiddenSize: number;
    numHeads: number;
    numKvHeads: number;
    headDim: number;
    valueDim?: number;
  },
): AttentionParameters {
  checkObject(ACTION, "layer", layer);
  const { hiddenSize, numHeads, numKvHeads, headDim, valueDim = headDim } = layer;
  const sizes = { hiddenSize, numHeads, numKvHeads, headDim, valueDim };
  for (const [name, value] of Object.entries(sizes)) checkInteger(ACTION, name, value);
  checkGroups(ACTION, { numHeads, numKvHeads });
  const q = hiddenSize * numHeads * headDim;
  const k = hiddenSize * numKvHeads * headDim;
  const v = hiddenSize * numKvHeads * valueDim;
  const o = numHeads * valueDim * hiddenSize;
  return { q, k, v, o, total: q + k + v + o };
}

/** Sizes of compressed keys, values and queries in multi-head latent attention (DeepSeek-AI 2024, arXiv 2405.04434). */
export interface LatentSizes {
  /** Elements of the latent vector that keys and values are made from. */
  rank: number;
  /** Elements of the rotary key beside it. */
  ropeDim: number;
  /** Elements that queries are made from; absent where they come from the hidden state itself. */
  queryRank?: number;
}

/**
 * Parameters of a layer of latent attention, by the products of its projections; norms and biases left out (DeepSeek-AI 2024,
 * arXiv 2405.04434).
 *
 * @param layer Heads and sizes: `headDim` elements of a query and a key of a head, `latent.ropeDim` of them rotary.
 * @returns Numbers of parameters, by projection.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a size is not a whole number of at least 1.
 *
 * @example DeepSeek-V3
 * ```ts
 * import { latentAttentionParameters } from "@onehead/attention";
 *
 * const latent = { rank: 512, ropeDim: 64, queryRank: 1536 };
 * const heads = { numHeads: 128, headDim: 192, valueDim: 128 };
 * console.log(latentAttentionParameters({ dim: 7168, ...heads, latent }).total); // 187105280
 * ```
 */
export function latentAttentionParameters(
  layer: {
    dim: number;
    numHeads: number;
    headDim: number;
    valueDim: number;
    latent: LatentSizes;
  },
): AttentionParameters {
  checkObject(ACTION, "layer", layer);
  const { dim, numHeads, headDim, valueDim, latent } = layer;
  checkObject(ACTION, "latent", latent);
  const { rank, ropeDim, queryRank } = latent;
  const sizes = { dim, numHeads, headDim, valueDim, rank, ropeDim };
  for (const [name, value] of Object.entries(sizes)) checkInteger(ACTION, name, value);
  if (queryRank !== undefined) checkInteger(ACTION, "queryRank", queryRank);
  const queries = numHeads * headDim;
  const q = queryRank === undefined ? dim * queries : queryRank * (dim + queries);
  const k = dim * (rank + ropeDim) + rank * numHeads * (headDim - ropeDim);
  const v = rank * numHeads * valueDim;
  const o = numHeads * valueDim * dim;
  return { q, k, v, o, total: q + k + v + o };
}
