import { checkInteger, sentence } from "./_check.ts";
import { fillInRope } from "./_rope.ts";
import { rotatedRow } from "./_rotated_row.ts";
import { type OutputChange, outputChange } from "./output_change.ts";
import { checkPooling, poolKvHeads, type PoolOptions } from "./pool_kv_heads.ts";
import { referenceAttention, type ReferenceOptions } from "./reference.ts";
import type { RopeOptions } from "./rope.ts";
import type { HostTensor } from "./tensor.ts";

/** A linear map on the host. */
export interface HostProjection {
  /** Weights [out, in]. */
  weight: ArrayLike<number>;
  /** What is added [out]. The default is nothing. */
  bias?: ArrayLike<number>;
}

/** The projections of an attention layer on the host. */
export interface HostAttentionWeights {
  /** Queries [numHeads headDim, dim]. */
  q: HostProjection;
  /** Keys [from headDim, dim]. */
  k: HostProjection;
  /** Values [from headDim, dim]. */
  v: HostProjection;
  /** Output [dim, numHeads headDim]. */
  o: HostProjection;
}

/** Options of {@linkcode poolingChange}. */
export interface PoolingChangeOptions extends PoolOptions, Omit<ReferenceOptions, "layout"> {
  /** Query heads, a multiple of `from`. */
  numHeads: number;
  /** Rotary positions, the first input's being 0. The default is none. */
  rope?: RopeOptions;
}

const ACTION = "measure what pooling changes";

/**
 * Measures in float64 how much an attention layer's output changes where its key/value heads are pooled.
 *
 * @param weights The layer's projections, as they are before pooling.
 * @param inputs What the layer reads [tokens, dim]: normalised where the model normalises.
 * @param options Heads, how to pool, positions, and what a query sees (by default itself and all before it).
 * @returns How far the outputs [tokens, dim] have moved.
 * @throws {TypeError} If a count is no number, or there is no such method.
 * @throws {RangeError} If heads do not divide, or the shapes do not agree.
 *
 * @example Two query heads that see what they saw before, as both KV heads were alike
 * ```ts
 * import { poolingChange } from "@onehead/attention";
 *
 * const twice = { weight: [1, 0, 0, 1, 1, 0, 0, 1] }; // [2 heads x 2, 2]
 * const weights = { q: twice, k: twice, v: twice, o: { weight: [1, 0, 0, 0, 0, 1, 0, 0] } };
 * const inputs = { data: [1, 2, 3, 4], shape: [2, 2] };
 * console.log(poolingChange(weights, inputs, { numHeads: 2, from: 2, to: 1 })); // change 0, cosine 1
 * ```
 */
export function poolingChange(
  weights: HostAttentionWeights,
  inputs: HostTensor,
  options: PoolingChangeOptions,
): OutputChange {
  const { numHeads, from, to, method = "mean" } = options;
  checkPooling({ from, to, method });
  checkInteger(ACTION, "numHeads", numHeads);
  const headDim = checkShapes(weights, inputs, { numHeads, from });
  if (options.rope) fillInRope(ACTION, options.rope, headDim);
  const pooled = ({ weight, bias }: HostProjection): HostProjection => ({
    weight: poolKvHeads(weight, { from, to, method }),
    bias: bias && poolKvHeads(bias, { from, to, method }),
  });
  const before = layerOutput(weights, inputs, { ...options, numKvHeads: from });
  const after = layerOutput(
    { ...weights, k: pooled(weights.k), v: pooled(weights.v) },
    inputs,
    { ...options, numKvHeads: to },
  );
  return outputChange(before, after);
}

/** Projections, rotation, attention, projection: [tokens, dim]. */
function layerOutput(
  { q, k, v, o }: HostAttentionWeights,
  { data, shape: [tokens] }: HostTensor,
  { numHeads, numKvHeads, rope, ...options }: PoolingChangeOptions & { numKvHeads: number },
): Float64Array {
  const heads = (projection: HostProjection, numHeads: number, rope?: RopeOptions): HostTensor => {
    const projected = project(projection, data, tokens);
    const headDim = projected.length / (tokens * numHeads);
    if (rope) {
      for (let row = 0; row < tokens * numHeads; row++) {
        const head = projected.subarray(row * headDim, (row + 1) * headDim);
        head.set(rotatedRow(head, Math.floor(row / numHeads), rope));
      }
    }
    return { data: projected, shape: [1, tokens, numHeads, headDim] };
  };
  const attended = referenceAttention({
    q: heads(q, numHeads, rope),
    k: heads(k, numKvHeads, rope),
    v: heads(v, numKvHeads),
  }, options);
  return project(o, attended.o, tokens);
}

/** `x W^T + b` of each token. */
function project(
  { weight, bias }: HostProjection,
  x: ArrayLike<number>,
  tokens: number,
): Float64Array {
  const inputs = x.length / tokens;
  const outputs = weight.length / inputs;
  const projected = new Float64Array(tokens * outputs);
  for (let i = 0; i < projected.length; i++) {
    const [xRow, weightRow] = [Math.floor(i / outputs) * inputs, i % outputs * inputs];
    let sum = bias?.[i % outputs] ?? 0;
    for (let j = 0; j < inputs; j++) sum += x[xRow + j] * weight[weightRow + j];
    projected[i] = sum;
  }
  return projected;
}

/** Throws unless all shapes agree, and returns the size of a head. */
function checkShapes(
  weights: HostAttentionWeights,
  { data, shape }: HostTensor,
  { numHeads, from }: { numHeads: number; from: number },
): number {
  const [tokens, dim] = shape;
  if (shape.length !== 2 || data.length !== tokens * dim || data.length === 0) {
    throw new RangeError(
      sentence(ACTION, "inputs must be [tokens, dim]", { elements: data.length, shape }),
    );
  }
  const headDim = weights.q.weight.length / (dim * numHeads);
  if (numHeads % from !== 0 || !Number.isInteger(headDim)) {
    throw new RangeError(
      sentence(ACTION, "the query heads must be a multiple of from, and divide the rows of q", {
        ...{ numHeads, from, dim, elements: weights.q.weight.length },
      }),
    );
  }
  const shapes: Record<keyof HostAttentionWeights, [rows: number, columns: number]> = {
    q: [numHeads * headDim, dim],
    k: [from * headDim, dim],
    v: [from * headDim, dim],
    o: [dim, numHeads * headDim],
  };
  for (const [name, [rows, columns]] of Object.entries(shapes)) {
    const { weight, bias } = weights[name as keyof HostAttentionWeights];
    if (weight.length !== rows * columns || (bias && bias.length !== rows)) {
      throw new RangeError(
        sentence(ACTION, `${name} must be [${rows}, ${columns}], its bias [${rows}]`, {
          ...{ weight: weight.length, bias: bias?.length ?? "none" },
        }),
      );
    }
  }
  return headDim;
}
