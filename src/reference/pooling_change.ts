import { checkInteger, checkObjects } from "../base/check.ts";
import { projectionsOf } from "../layer/projections.ts";
import type { AttentionWeights, Projection } from "../layer/attention_weights.ts";
import { type OutputChange, outputChange } from "./output_change.ts";
import { checkPooling, poolKvHeads, type PoolOptions } from "../layer/pool_kv_heads.ts";
import { referenceLayer, type ReferenceLayerOptions } from "./layer.ts";
import { checkHostAxes, type HostTensor } from "../tensor/tensor.ts";

/** Options of {@linkcode poolingChange}. */
export type PoolingChangeOptions = PoolOptions & Omit<ReferenceLayerOptions, "numKvHeads">;

/**
 * Measures in float64 how much an attention layer's output changes where its key/value heads are pooled.
 *
 * @param weights The layer's projections, as they are before pooling.
 * @param x What the layer reads [B, S, dim]: normalised where the model normalises.
 * @param options Heads, how to pool, positions, and what a query sees (by default itself and all before it).
 * @returns How far the outputs [B, S, dim] have moved.
 * @throws {TypeError} If a count is no number, or there is no such method.
 * @throws {RangeError} If heads do not divide, or the shapes do not agree.
 *
 * @example Two query heads that see what they saw before, as both KV heads were alike
 * ```ts
 * import { poolingChange } from "@onehead/attention";
 *
 * const twice = { weight: { data: [1, 0, 0, 1, 1, 0, 0, 1], shape: [4, 2] } }; // 2 heads of size 2
 * const o = { weight: { data: [1, 0, 0, 0, 0, 1, 0, 0], shape: [2, 4] } };
 * const x = { data: [1, 2, 3, 4], shape: [1, 2, 2] };
 * const options = { numHeads: 2, headDim: 2, from: 2, to: 1 };
 * console.log(poolingChange({ q: twice, k: twice, v: twice, o }, x, options)); // change 0, cosine 1
 * ```
 */
export function poolingChange(
  weights: AttentionWeights,
  x: HostTensor,
  options: PoolingChangeOptions,
): OutputChange {
  const action = "measure what pooling changes";
  checkObjects(action, { weights, x, options });
  const { from, to, method = "mean", ...layer } = options;
  checkPooling({ from, to, method });
  const [, , dim] = checkHostAxes(action, "x", x, "[B, S, dim]");
  checkInteger(action, "numHeads", layer.numHeads);
  const { numHeads, headDim = dim / numHeads } = layer;
  const shape = { dim, numHeads, numKvHeads: from, headDim };
  const { q, k, v, o } = projectionsOf(action, weights, shape);
  const pooledTensor = ({ data, shape: [rows, ...rest] }: HostTensor): HostTensor => ({
    data: poolKvHeads(data, { from, to, method }),
    shape: [rows / from * to, ...rest],
  });
  const pooled = ({ weight, bias }: Projection): Projection => ({
    weight: pooledTensor(weight),
    bias: bias && pooledTensor(bias),
  });
  const { qNorm, kNorm } = weights;
  const before = referenceLayer(weights, x, { ...layer, numKvHeads: from });
  const after = referenceLayer(
    { q, k: pooled(k), v: pooled(v), o, qNorm, kNorm },
    x,
    { ...layer, numKvHeads: to },
  );
  return outputChange(before.data, after.data);
}
