import { checkObjects, sentence } from "../base/check.ts";
import { sizesOf } from "../plan/sizes.ts";
import { checkHostTensor, type HostTensor } from "../tensor/tensor.ts";
import {
  broadcastIndex,
  checkInputs,
  positionOf,
  type ReferenceInputs,
  type ReferenceOptions,
  rowOf,
  type ScoreAt,
} from "./attention.ts";

const ACTION = "compute a reference gradient";

/** The inputs of attention, and how its functions change with what they get. */
export interface GradientInputs extends ReferenceInputs {
  /** The derivative of `scoreMod` by the score, in JavaScript. It must be there beside `scoreMod`. */
  scoreModGrad?: (score: number, at: ScoreAt) => number;
}

/** The gradients of a loss by everything that attention reads. */
export interface ReferenceGradient {
  /** Shaped as q. */
  dq: Float64Array;
  /** Shaped as k: summed over all query heads of a KV head. */
  dk: Float64Array;
  /** Shaped as v: summed over all query heads of a KV head. */
  dv: Float64Array;
  /** Of each query head's sink logit [N]; zero where there is none. */
  dSinkLogits: Float64Array;
  /** Of each query head's ALiBi slope [N]. */
  dAlibiSlopes: Float64Array;
  /** Shaped as the bias, summed over the axes that it is broadcast over; absent without a bias. */
  dBias?: Float64Array;
}

/**
 * The gradient of attention in float64: the textbook formulas, as an oracle for the backward kernels.
 *
 * With the weights `w[j] = exp(s[j] - lse)` of a row, its output o and the gradient `dO` of a loss:
 *
 *   D = dO . o    dv[j] += w[j] dO    ds[j] = w[j] (dO . v[j] - D)    dc = ds (1 - tanh(p / softcap)^2)
 *   (and `ds[j]` is multiplied by the derivative of `scoreMod`, where there is one)
 *   dq += scale dc[j] k[j]    dk[j] += scale dc[j] q    dbias[j] = ds[j]    dslope = -sum_j |i - j| ds[j]
 *   dsink = -exp(sink - lse) D
 *
 * (Vaswani et al. 2017, arXiv 1706.03762, differentiated; D as in FlashAttention, Dao et al. 2022, arXiv 2205.14135.)
 *
 * @param inputs Queries, keys, values and what masks them.
 * @param dO Gradient of the loss by the output, shaped as q with `valueDim` for H.
 * @param options What a query sees, and layout.
 * @returns The gradients. A row that sees nothing adds zero.
 * @throws {TypeError} If a shape has the wrong number of axes, or `scoreMod` has no derivative.
 * @throws {RangeError} If the shapes do not agree, or heads do not divide.
 *
 * @example
 * ```ts
 * import { referenceGradient } from "@onehead/attention";
 *
 * const inputs = {
 *   q: { data: [1], shape: [1, 1, 1, 1] },
 *   k: { data: [0, 0], shape: [1, 2, 1, 1] },
 *   v: { data: [1, 3], shape: [1, 2, 1, 1] },
 * };
 * const { dk, dv } = referenceGradient(inputs, { data: [1], shape: [1, 1, 1, 1] });
 * console.log(dk, dv); // [-0.5, 0.5] [0.5, 0.5]
 * ```
 */
export function referenceGradient(
  inputs: GradientInputs,
  dO: HostTensor,
  options: ReferenceOptions = {},
): ReferenceGradient {
  checkObjects(ACTION, { inputs, dO, options });
  checkInputs(inputs, options);
  const { q, k, v, bias, scoreMod, scoreModGrad } = inputs;
  if (scoreMod && !scoreModGrad) {
    const rule = "scoreModGrad must be among the inputs, where scoreMod is";
    throw new TypeError(sentence(ACTION, rule, { scoreModGrad }));
  }
  const { layout = "BSNH", alignment = "bottom-right", softcap } = options;
  const { batch: batches, numHeads, numKvHeads, headDim, valueDim, seqLen, contextLen } = sizesOf(
    inputs,
    layout,
  );
  const { scale = 1 / Math.sqrt(headDim) } = options;
  checkHostTensor(ACTION, "dO", dO, [...q.shape.slice(0, 3), valueDim]);
  const gradient: ReferenceGradient = {
    dq: new Float64Array(q.data.length),
    dk: new Float64Array(k.data.length),
    dv: new Float64Array(v.data.length),
    dSinkLogits: new Float64Array(numHeads),
    dAlibiSlopes: new Float64Array(numHeads),
    ...(bias && { dBias: new Float64Array(bias.data.length) }),
  };
  const { dq, dk, dv, dSinkLogits, dAlibiSlopes, dBias } = gradient;
  const rowAt = (batch: number, head: number, token: number, heads: number, tokens: number) =>
    layout === "BSNH"
      ? (batch * tokens + token) * heads + head
      : (batch * heads + head) * tokens + token;

  for (let index = 0; index < batches * numHeads * seqLen; index++) {
    const token = index % seqLen;
    const head = Math.floor(index / seqLen) % numHeads;
    const batch = Math.floor(index / (seqLen * numHeads));
    const row = { batch, head, token };
    const { weights, softcapped, o, lse } = rowOf(inputs, row, options);
    const given = scoreModGrad
      ? rowOf({ ...inputs, scoreMod: (score) => score }, row, options).scores
      : undefined;
    if (lse === -Infinity) continue;
    const kvHead = Math.floor(head / (numHeads / numKvHeads));
    const length = inputs.lengths?.data[batch] ?? contextLen;
    const position = positionOf(row, { length, seqLen, alignment });
    const queryRow = rowAt(batch, head, token, numHeads, seqLen);
    const dORow = queryRow * valueDim;
    let D = 0;
    for (let h = 0; h < valueDim; h++) D += dO.data[dORow + h] * o[h];
    const sink = options.sinkLogits?.[head];
    if (sink !== undefined) dSinkLogits[head] -= Math.exp(sink - lse) * D;
    for (let key = 0; key < length; key++) {
      if (weights[key] === 0) continue;
      const kvRow = rowAt(batch, kvHead, key, numKvHeads, contextLen);
      let dWeight = 0;
      for (let h = 0; h < valueDim; h++) {
        dWeight += dO.data[dORow + h] * v.data[kvRow * valueDim + h];
        dv[kvRow * valueDim + h] += weights[key] * dO.data[dORow + h];
      }
      const at = { batch, head, query: position, key };
      const modSlope = given && scoreModGrad ? scoreModGrad(given[key], at) : 1;
      const dScore = modSlope * weights[key] * (dWeight - D);
      if (bias && dBias) dBias[broadcastIndex(bias.shape, row, key)] += dScore;
      dAlibiSlopes[head] -= Math.abs(position - key) * dScore;
      const slope = softcap === undefined ? 1 : 1 - (softcapped[key] / softcap) ** 2;
      const dProduct = scale * slope * dScore;
      for (let h = 0; h < headDim; h++) {
        dq[queryRow * headDim + h] += dProduct * k.data[kvRow * headDim + h];
        dk[kvRow * headDim + h] += dProduct * q.data[queryRow * headDim + h];
      }
    }
  }
  return gradient;
}
