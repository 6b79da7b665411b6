/** Weights of a layer of latent attention, and the matrices that its two forms multiply by. */
import { checkInteger } from "../base/check.ts";
import { sliceOf } from "../base/numbers.ts";
import type { LatentShape } from "../plan/latent.ts";
import { checkHostTensor, type HostTensor } from "../tensor/tensor.ts";
import type { Projection } from "./attention_weights.ts";
import { checkProjection } from "./projections.ts";

/**
 * Weights of latent attention, each matrix [out, in] and in the order of DeepSeek's checkpoints: a head's rows without
 * positions come before its rotary ones, and the rows of its keys before those of its values.
 */
export type LatentAttentionWeights =
  & (
    | {
      /** Queries: weight [numHeads (nopeDim + ropeDim), dim]. */
      q: Omit<Projection, "bias">;
    }
    | {
      /** Compressed queries: weight [queryRank, dim]. */
      qDown: Omit<Projection, "bias">;
      /** Gain of an RMSNorm over a compressed query [queryRank]. */
      qNorm: HostTensor;
      /** Queries: weight [numHeads (nopeDim + ropeDim), queryRank]. */
      qUp: Omit<Projection, "bias">;
    }
  )
  & {
    /** Latent vector and rotary key: weight [rank + ropeDim, dim]. */
    kvDown: Omit<Projection, "bias">;
    /** Gain of an RMSNorm over a latent vector [rank]. */
    kvNorm: HostTensor;
    /** Keys without positions and values: weight [numHeads (nopeDim + valueDim), rank]. */
    kvUp: Omit<Projection, "bias">;
    /** Output: weight [dim, numHeads valueDim]. */
    o: Omit<Projection, "bias">;
  };

/** The matrices of a layer, [out, in] each. */
export interface LatentMatrices {
  /** Queries are compressed by it first. */
  qDown?: HostTensor;
  /** [heads x nopeDim, in] */
  qNope: HostTensor;
  /** [heads x ropeDim, in] */
  qRope: HostTensor;
  /** [rank, dim] */
  latent: HostTensor;
  /** [ropeDim, dim] */
  keyRope: HostTensor;
  /** By head, what queries take in: [heads x rank, nopeDim]. */
  absorbed: HostTensor;
  /** By head, values of averaged latent vectors: [heads x valueDim, rank]. */
  values: HostTensor;
  /** Cached rows to keys of all heads: [heads x (nopeDim + ropeDim), rank + ropeDim]. */
  expandedKeys: HostTensor;
  /** Cached rows to values of all heads: [heads x valueDim, rank + ropeDim]. */
  expandedValues: HostTensor;
  /** [dim, heads x valueDim] */
  o: HostTensor;
}

/** Checks the weights of a layer; the number of elements that queries are compressed to, if they are. */
export function checkLatentWeights(
  action: string,
  weights: LatentAttentionWeights,
  { dim, numHeads, nopeDim, ropeDim, valueDim, rank }: LatentShape & { dim: number },
): number | undefined {
  for (
    const [name, value] of Object.entries({ dim, numHeads, nopeDim, ropeDim, valueDim, rank })
  ) checkInteger(action, name, value);
  const queries = numHeads * (nopeDim + ropeDim);
  let queryRank: number | undefined;
  if ("q" in weights) {
    checkProjection(action, "q", weights.q, [queries, dim]);
  } else {
    queryRank = weights.qNorm?.shape?.[0];
    checkInteger(action, "queryRank", queryRank);
    checkProjection(action, "qDown", weights.qDown, [queryRank, dim]);
    checkHostTensor(action, "qNorm", weights.qNorm, [queryRank]);
    checkProjection(action, "qUp", weights.qUp, [queries, queryRank]);
  }
  checkProjection(action, "kvDown", weights.kvDown, [rank + ropeDim, dim]);
  checkHostTensor(action, "kvNorm", weights.kvNorm, [rank]);
  checkProjection(action, "kvUp", weights.kvUp, [numHeads * (nopeDim + valueDim), rank]);
  checkProjection(action, "o", weights.o, [dim, numHeads * valueDim]);
  return queryRank;
}

/** Cuts and turns checked weights into the matrices of both forms. */
export function latentMatrices(
  weights: LatentAttentionWeights,
  { numHeads, nopeDim, ropeDim, valueDim, rank }: LatentShape,
): LatentMatrices {
  const q = "q" in weights ? weights.q.weight : weights.qUp.weight;
  const [kvDown, kvUp] = [weights.kvDown.weight, weights.kvUp.weight];
  const row = rank + ropeDim;
  const headRows = nopeDim + valueDim;
  const upAt = (head: number, i: number, j: number) => kvUp.data[(head * headRows + i) * rank + j];
  const fill = (rows: number, columns: number, at: (row: number, column: number) => number) => ({
    data: Float32Array.from(
      { length: rows * columns },
      (_, i) => at(Math.floor(i / columns), i % columns),
    ),
    shape: [rows, columns],
  });
  return {
    qDown: "q" in weights ? undefined : weights.qDown.weight,
    qNope: rowsOfHeads(q, { numHeads, first: 0, count: nopeDim }),
    qRope: rowsOfHeads(q, { numHeads, first: nopeDim, count: ropeDim }),
    latent: rowsOfHeads(kvDown, { numHeads: 1, first: 0, count: rank }),
    keyRope: rowsOfHeads(kvDown, { numHeads: 1, first: rank, count: ropeDim }),
    absorbed: fill(
      numHeads * rank,
      nopeDim,
      (i, j) => upAt(Math.floor(i / rank), j, i % rank),
    ),
    values: rowsOfHeads(kvUp, { numHeads, first: nopeDim, count: valueDim }),
    expandedKeys: fill(numHeads * (nopeDim + ropeDim), row, (i, j) => {
      const [head, h] = [Math.floor(i / (nopeDim + ropeDim)), i % (nopeDim + ropeDim)];
      // All heads have the rotary key of the row as it is.
      if (h >= nopeDim) return j - rank === h - nopeDim ? 1 : 0;
      return j < rank ? upAt(head, h, j) : 0;
    }),
    expandedValues: fill(
      numHeads * valueDim,
      row,
      (i, j) => j < rank ? upAt(Math.floor(i / valueDim), nopeDim + i % valueDim, j) : 0,
    ),
    o: weights.o.weight,
  };
}

/** The same rows of each head. */
function rowsOfHeads(
  { data, shape: [rows, columns] }: HostTensor,
  { numHeads, first, count }: { numHeads: number; first: number; count: number },
): HostTensor {
  const cut = new Float32Array(numHeads * count * columns);
  for (let head = 0; head < numHeads; head++) {
    const start = (head * rows / numHeads + first) * columns;
    cut.set(sliceOf(data, start, start + count * columns), head * count * columns);
  }
  return { data: cut, shape: [numHeads * count, columns] };
}
