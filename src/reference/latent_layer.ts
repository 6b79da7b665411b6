import { checkObject, checkObjects, checkPositive } from "../base/check.ts";
import { fillInRope } from "../cache/rope_kernel.ts";
import type { RopeOptions } from "../cache/rope.ts";
import { checkLatentWeights, type LatentAttentionWeights } from "../layer/latent_weights.ts";
import type { LatentShape } from "../plan/latent.ts";
import { checkHostAxes, type HostTensor } from "../tensor/tensor.ts";
import { referenceAttention, type ReferenceOptions } from "./attention.ts";
import { normalised, project } from "./layer.ts";
import { ropedRow } from "./rope.ts";

/** Options of {@linkcode referenceLatentLayer}. */
export interface ReferenceLatentOptions
  extends LatentShape, Pick<ReferenceOptions, "scale" | "window" | "sinks"> {
  /** Rotary positions, the first token's being 0. The default is base 10000 in halves. */
  rope?: Omit<RopeOptions, "dims" | "firstDim">;
  /** Number that keeps the variance of a normalised row from 0. The default is 1e-6. */
  normEps?: number;
}

const ACTION = "compute a reference layer";

/**
 * A layer of latent attention in float64, over all its tokens at once, with keys and values of each head as DeepSeek-V2
 * defines them (2024, arXiv 2405.04434, equations 9 to 19): an oracle for {@linkcode LatentAttention}.
 *
 * @param weights Projections, each weight [out, in], and norms.
 * @param x Tokens [B, S, dim].
 * @param options Heads, positions, and what a query sees.
 * @returns What attention makes of them [B, S, dim].
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a shape does not match.
 *
 * @example One head whose latent vector is the token, normalised
 * ```ts
 * import { referenceLatentLayer } from "@onehead/attention";
 *
 * const weight = (rows: number, columns: number, data: number[]) =>
 *   ({ weight: { data, shape: [rows, columns] } });
 * const { data } = referenceLatentLayer(
 *   {
 *     q: weight(3, 2, [1, 0, 0, 1, 0, 1]),
 *     kvDown: weight(4, 2, [1, 0, 0, 1, 0, 0, 0, 0]),
 *     kvNorm: { data: [1, 1], shape: [2] },
 *     kvUp: weight(3, 2, [1, 0, 1, 0, 0, 1]),
 *     o: weight(2, 2, [1, 0, 0, 1]),
 *   },
 *   { data: [3, 4], shape: [1, 1, 2] },
 *   { numHeads: 1, nopeDim: 1, ropeDim: 2, valueDim: 2, rank: 2 },
 * );
 * console.log(data); // about [0.849, 1.131]
 * ```
 */
export function referenceLatentLayer(
  weights: LatentAttentionWeights,
  x: HostTensor,
  options: ReferenceLatentOptions,
): HostTensor & { data: Float64Array } {
  checkObjects(ACTION, { weights, x, options });
  const [batch, tokens, dim] = checkHostAxes(ACTION, "x", x, "[B, S, dim]");
  const { numHeads, nopeDim, ropeDim, valueDim, rank, rope = {}, normEps = 1e-6, ...seen } =
    options;
  checkLatentWeights(ACTION, weights, { dim, numHeads, nopeDim, ropeDim, valueDim, rank });
  checkObject(ACTION, "rope", rope);
  checkPositive(ACTION, "normEps", normEps);
  const headDim = nopeDim + ropeDim;
  fillInRope(ACTION, { ...rope, firstDim: nopeDim }, headDim);
  const row = rank + ropeDim;
  const numTokens = batch * tokens;

  const compressed = project(weights.kvDown, x.data, dim);
  const latents = new Float64Array(numTokens * rank);
  for (let token = 0; token < numTokens; token++) {
    const latent = compressed.subarray(token * row, token * row + rank);
    latents.set(normalised(latent, weights.kvNorm.data, normEps), token * rank);
  }
  const up = project(weights.kvUp, latents, rank);
  const queries = projectQueries(weights, x, normEps);

  const q: number[] = [];
  const k: number[] = [];
  const v: number[] = [];
  for (let token = 0; token < numTokens; token++) {
    const position = token % tokens;
    const roped = ropedRow(
      [...compressed.subarray(token * row + rank, (token + 1) * row)],
      position,
      rope,
    );
    for (let head = 0; head < numHeads; head++) {
      const at = token * numHeads + head;
      const query = [...queries.subarray(at * headDim, (at + 1) * headDim)];
      q.push(...ropedRow(query, position, { ...rope, firstDim: nopeDim }));
      const first = at * (nopeDim + valueDim);
      k.push(...up.subarray(first, first + nopeDim), ...roped);
      v.push(...up.subarray(first + nopeDim, first + nopeDim + valueDim));
    }
  }
  const heads = (data: number[], size: number) => ({
    data,
    shape: [batch, tokens, numHeads, size],
  });
  const { o } = referenceAttention(
    { q: heads(q, headDim), k: heads(k, headDim), v: heads(v, valueDim) },
    seen,
  );
  return { data: project(weights.o, o, numHeads * valueDim), shape: [...x.shape] };
}

/** Queries of all heads, which may be compressed first. */
function projectQueries(
  weights: LatentAttentionWeights,
  x: HostTensor,
  normEps: number,
): Float64Array {
  const dim = x.shape[2];
  if ("q" in weights) return project(weights.q, x.data, dim);
  const down = project(weights.qDown, x.data, dim);
  const [queryRank] = weights.qNorm.shape;
  for (let start = 0; start < down.length; start += queryRank) {
    const query = down.subarray(start, start + queryRank);
    query.set(normalised(query, weights.qNorm.data, normEps));
  }
  return project(weights.qUp, down, queryRank);
}
