import { checkObjects } from "../base/check.ts";
import type { AttentionWeights } from "../layer/attention_weights.ts";
import {
  mergeKvHeads,
  type MergeKvHeadsOptions,
  type MergeReport,
} from "../layer/merging/merge_kv_heads.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import { referenceLayer } from "./layer.ts";
import { type OutputChange, outputChange } from "./output_change.ts";
import { poolingChange } from "./pooling_change.ts";

/** Options of {@linkcode poolingReport}. */
export interface PoolingReportOptions extends Omit<MergeKvHeadsOptions, "seen" | "missing"> {
  /** Other inputs of the layer [B, S, dim], to measure by. The default is `x`, which flatters what was fitted to it. */
  heldOut?: HostTensor;
}

/** The change of a layer's output by each way to fewer key/value heads. */
export interface PoolingReport {
  /** Each head is the mean of its neighbours. */
  mean: OutputChange;
  /** Each head is the first of its neighbours. */
  first: OutputChange;
  /** Heads are merged by what they do with `x`, and what that kept. */
  merged: OutputChange & { report: MergeReport };
}

/**
 * Compares in float64 what becomes of an attention layer by each way to fewer key/value heads: {@linkcode poolKvHeads} by mean
 * and by the first, and {@linkcode mergeKvHeads}. For a layer of any model, by inputs that were captured from it.
 *
 * @param weights The layer's projections, as they are.
 * @param x What the layer reads [B, S, dim]: normalised where the model normalises. A few thousand tokens do.
 * @param options Heads, positions, what queries see, and the inputs to measure by.
 * @returns How far each way moves the outputs [B, S, dim].
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If heads do not divide, shapes do not agree, or an input is not finite.
 *
 * @example Two heads that cancel in their mean, and lose nothing where they are merged
 * ```ts
 * import { poolingReport } from "@onehead/attention";
 *
 * const q = { weight: { data: [1, 0, 0, 1], shape: [2, 2] } }; // 2 heads of size 1
 * const kv = { weight: { data: [1, 2, -1, -2], shape: [2, 2] } };
 * const x = { data: [1, 2, 3, 4, 4, 1], shape: [1, 3, 2] };
 * const { mean, merged } = poolingReport({ q, k: kv, v: kv, o: q }, x, { numHeads: 2, from: 2, to: 1 });
 * console.log(mean.relativeChange, merged.relativeChange < 1e-9); // 1 true
 * ```
 */
export function poolingReport(
  weights: AttentionWeights,
  x: HostTensor,
  options: PoolingReportOptions,
): PoolingReport {
  checkObjects("compare ways to fewer KV heads", { weights, x, options });
  const { heldOut = x, rounds, ...pooling } = options;
  const { from, to, ...layer } = pooling;
  const { weights: fewer, report } = mergeKvHeads(weights, x, { ...pooling, rounds });
  const outputOf = (weights: AttentionWeights, numKvHeads: number) =>
    referenceLayer(weights, heldOut, { ...layer, numKvHeads }).data;
  const change = outputChange(outputOf(weights, from), outputOf(fewer, to));
  return {
    mean: poolingChange(weights, heldOut, { ...pooling, method: "mean" }),
    first: poolingChange(weights, heldOut, { ...pooling, method: "first" }),
    merged: { ...change, report },
  };
}
