import { checkInteger, checkObjects, checkPositive } from "../base/check.ts";
import { projectionsOf } from "../layer/projections.ts";
import { fillInRope } from "../cache/rope_kernel.ts";
import { ropedRow } from "./rope.ts";
import type { AttentionWeights, Projection } from "../layer/attention_weights.ts";
import { referenceAttention, type ReferenceOptions } from "./attention.ts";
import type { RopeOptions } from "../cache/rope.ts";
import { checkHostAxes, type HostTensor } from "../tensor/tensor.ts";

/** Options of {@linkcode referenceLayer}. */
export interface ReferenceLayerOptions extends Omit<ReferenceOptions, "layout"> {
  /** Query heads, a multiple of `numKvHeads`. */
  numHeads: number;
  /** Key/value heads. */
  numKvHeads: number;
  /** Elements of a query, a key and a value. The default is `dim / numHeads`. */
  headDim?: number;
  /** Rotary positions, the first token's being 0. The default is none. */
  rope?: RopeOptions;
  /** Keeps the variance of a query or a key from 0, where they are normalised. The default is 1e-6. */
  normEps?: number;
}

const ACTION = "compute a reference layer";

/**
 * An attention layer in float64, over all its tokens at once: the textbook definition, as an oracle for
 * {@linkcode MultiQueryAttention}.
 *
 * @param weights Projections, each weight [out, in].
 * @param x Tokens [B, S, dim].
 * @param options Heads, positions, and what a query sees.
 * @returns What attention makes of them [B, S, dim].
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a shape does not match, or heads do not divide.
 *
 * @example One head that passes on what it reads
 * ```ts
 * import { referenceLayer } from "@onehead/attention";
 *
 * const same = { weight: { data: [1, 0, 0, 1], shape: [2, 2] } };
 * const { data } = referenceLayer(
 *   { q: same, k: same, v: same, o: same },
 *   { data: [3, 4], shape: [1, 1, 2] },
 *   { numHeads: 1, numKvHeads: 1 },
 * );
 * console.log(data); // Float64Array [3, 4]
 * ```
 */
export function referenceLayer(
  weights: AttentionWeights,
  x: HostTensor,
  options: ReferenceLayerOptions,
): HostTensor & { data: Float64Array } {
  checkObjects(ACTION, { weights, x, options });
  const [batch, tokens, dim] = checkHostAxes(ACTION, "x", x, "[B, S, dim]");
  checkInteger(ACTION, "numHeads", options.numHeads);
  const { numHeads, numKvHeads, headDim = dim / numHeads, rope, normEps = 1e-6, ...seen } = options;
  const { q, k, v, o } = projectionsOf(ACTION, weights, { dim, numHeads, numKvHeads, headDim });
  if (rope !== undefined) fillInRope(ACTION, rope, headDim);
  checkPositive(ACTION, "normEps", normEps);

  const heads = (projection: Projection, count: number, gain?: HostTensor, rotates = false) => {
    const data = project(projection, x.data, dim);
    for (let row = 0; row < data.length / headDim; row++) {
      const head = data.subarray(row * headDim, (row + 1) * headDim);
      if (gain) head.set(normalised(head, gain.data, normEps));
      if (rotates && rope) head.set(ropedRow(head, Math.floor(row / count) % tokens, rope));
    }
    return { data, shape: [batch, tokens, count, headDim] };
  };
  const attended = referenceAttention({
    q: heads(q, numHeads, weights.qNorm, true),
    k: heads(k, numKvHeads, weights.kNorm, true),
    v: heads(v, numKvHeads),
  }, seen);
  return { data: project(o, attended.o, numHeads * headDim), shape: [...x.shape] };
}

/** `x W^T + b` of each row of x. */
export function project(
  { weight, bias }: Projection,
  x: ArrayLike<number>,
  inside: number,
): Float64Array {
  const [outside] = weight.shape;
  return Float64Array.from({ length: x.length / inside * outside }, (_, i) => {
    const [token, row] = [Math.floor(i / outside), i % outside];
    let sum = bias?.data[row] ?? 0;
    for (let j = 0; j < inside; j++) sum += x[token * inside + j] * weight.data[row * inside + j];
    return sum;
  });
}

/** RMSNorm of a row. */
export function normalised(row: Float64Array, gain: ArrayLike<number>, eps: number): Float64Array {
  const square = row.reduce((sum, value) => sum + value * value, 0) / row.length;
  return row.map((value, i) => value / Math.sqrt(square + eps) * gain[i]);
}
