import { sizesOf } from "./_sizes.ts";
import type { AttentionSpec } from "./spec.ts";
import type { HostTensor } from "./tensor.ts";

/** What attention is computed from. */
export interface ReferenceInputs {
  /** Queries [B, S, N, H] (or [B, N, S, H] in layout `"BNSH"`). */
  q: HostTensor;
  /** Keys [B, C, numKvHeads, H] (or [B, numKvHeads, C, H]). */
  k: HostTensor;
  /** Values [B, C, numKvHeads, valueDim] (or [B, numKvHeads, C, valueDim]). */
  v: HostTensor;
}

/** Options of {@linkcode referenceAttention}, as of the attention it checks. */
export type ReferenceOptions = Pick<
  AttentionSpec,
  "causal" | "window" | "sinks" | "scale" | "layout"
>;

/** Which query row: sequence, query head and new token. */
export interface QueryRow {
  /** Sequence within the batch. */
  batch: number;
  /** Query head. */
  head: number;
  /** New token. */
  token: number;
}

/** Everything about one query row, over the C tokens of the context. */
export interface ReferenceRow {
  /** `scale * q . k` [C]; -Infinity where the query must not see the key. */
  scores: Float64Array;
  /** Softmax of the scores [C]; all zero for a row that sees nothing. */
  weights: Float64Array;
  /** Values averaged by the weights [valueDim]; all zero for a row that sees nothing. */
  o: Float64Array;
  /** Natural logarithm of the sum of the scores' exponentials; -Infinity for a row that sees nothing. */
  lse: number;
}

/** Everything about all rows. */
export interface ReferenceResult {
  /** [B, N, S, C] */
  scores: Float64Array;
  /** [B, N, S, C] */
  weights: Float64Array;
  /** Shaped as q, with `valueDim` for H. */
  o: Float64Array;
  /** [B, N, S] */
  lse: Float64Array;
}

/**
 * Attention of one query row in float64: the textbook definition, as an oracle for the kernels.
 *
 * `softmax(scale q K^T) V` (Vaswani et al. 2017, arXiv 1706.03762), with query head h reading KV head `h / groupSize`
 * (Shazeer 2019, arXiv 1911.02150; Ainslie et al. 2023, arXiv 2305.13245). The queries are the last tokens of the
 * context.
 *
 * @param inputs Queries, keys and values.
 * @param row Which row.
 * @param options Mask, scale and layout.
 * @returns Scores, weights, output and log-sum-exp of the row.
 * @throws {TypeError} If a shape has not four axes.
 * @throws {RangeError} If the shapes do not agree, or heads do not divide.
 */
export function referenceRow(
  inputs: ReferenceInputs,
  row: QueryRow,
  options: ReferenceOptions = {},
): ReferenceRow {
  const { q, k, v } = inputs;
  const { layout = "BSNH", causal = true, window = Infinity, sinks = 0 } = options;
  const sizes = sizesOf(inputs, layout);
  const { numHeads, numKvHeads, headDim, valueDim, seqLen, contextLen } = sizes;
  const { scale = 1 / Math.sqrt(headDim) } = options;
  const kvHead = Math.floor(row.head / (numHeads / numKvHeads));
  const offset = (head: number, token: number, heads: number, tokens: number, size: number) =>
    layout === "BSNH"
      ? ((row.batch * tokens + token) * heads + head) * size
      : ((row.batch * heads + head) * tokens + token) * size;

  const position = contextLen - seqLen + row.token;
  const isVisible = (key: number) =>
    (!causal || key <= position) && (key > position - window || key < sinks);
  const qOffset = offset(row.head, row.token, numHeads, seqLen, headDim);
  const scores = new Float64Array(contextLen).fill(-Infinity);
  for (let key = 0; key < contextLen; key++) {
    if (!isVisible(key)) continue;
    const kOffset = offset(kvHead, key, numKvHeads, contextLen, headDim);
    let dot = 0;
    for (let h = 0; h < headDim; h++) dot += q.data[qOffset + h] * k.data[kOffset + h];
    scores[key] = scale * dot;
  }

  const o = new Float64Array(valueDim);
  const weights = new Float64Array(contextLen);
  const max = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  if (max === -Infinity) return { scores, weights, o, lse: -Infinity };
  const denominator = scores.reduce((sum, score) => sum + Math.exp(score - max), 0);
  for (let key = 0; key < contextLen; key++) {
    if (!isVisible(key)) continue;
    weights[key] = Math.exp(scores[key] - max) / denominator;
    const vOffset = offset(kvHead, key, numKvHeads, contextLen, valueDim);
    for (let h = 0; h < valueDim; h++) o[h] += weights[key] * v.data[vOffset + h];
  }
  return { scores, weights, o, lse: max + Math.log(denominator) };
}

/**
 * Attention in float64, all rows: see {@linkcode referenceRow}.
 *
 * @param inputs Queries, keys and values.
 * @param options Mask, scale and layout.
 * @returns Scores, weights, outputs and log-sum-exps.
 * @throws {TypeError} If a shape has not four axes.
 * @throws {RangeError} If the shapes do not agree, or heads do not divide.
 *
 * @example
 * ```ts
 * import { referenceAttention } from "@onehead/attention";
 *
 * const { o } = referenceAttention({
 *   q: { data: [1, 0], shape: [1, 1, 1, 2] },
 *   k: { data: [1, 0, 1, 0], shape: [1, 2, 1, 2] },
 *   v: { data: [2, 4, 6, 8], shape: [1, 2, 1, 2] },
 * });
 * console.log(o); // Float64Array [4, 6]: both keys match equally well
 * ```
 */
export function referenceAttention(
  inputs: ReferenceInputs,
  options: ReferenceOptions = {},
): ReferenceResult {
  const { layout = "BSNH" } = options;
  const sizes = sizesOf(inputs, layout);
  const { batch: batches, numHeads, seqLen, contextLen, valueDim } = sizes;
  const rows = batches * numHeads * seqLen;
  const result = {
    scores: new Float64Array(rows * contextLen),
    weights: new Float64Array(rows * contextLen),
    o: new Float64Array(rows * valueDim),
    lse: new Float64Array(rows),
  };
  for (let index = 0; index < rows; index++) {
    const token = index % seqLen;
    const head = Math.floor(index / seqLen) % numHeads;
    const batch = Math.floor(index / (seqLen * numHeads));
    const row = referenceRow(inputs, { batch, head, token }, options);
    result.scores.set(row.scores, index * contextLen);
    result.weights.set(row.weights, index * contextLen);
    result.lse[index] = row.lse;
    const oRow = layout === "BSNH" ? (batch * seqLen + token) * numHeads + head : index;
    result.o.set(row.o, oRow * valueDim);
  }
  return result;
}
