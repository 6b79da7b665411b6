/** Contiguous keys and values as a view: a ring that has not wrapped. */
import { sentence } from "../base/check.ts";
import type { Gpu } from "../gpu/device.ts";
import { shapeIn } from "../tensor/layout.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import { checkNoValues, storedRows } from "./kv_shape.ts";
import { isTransformed } from "./kv_transform.ts";
import type { KvView } from "./kv_view.ts";

/** Keys and values that lie one after the other. */
export interface ContiguousKv {
  /** Keys [B, capacity, numKvHeads, headDim] (or [B, numKvHeads, capacity, headDim] in layout `"BNSH"`). */
  k: Tensor;
  /** Values [B, capacity, numKvHeads, valueDim] (or [B, numKvHeads, capacity, valueDim]); none where values are keys. */
  v?: Tensor;
  /**
   * Keys that each sequence has, from its first: `"u32"` [B]. What lies behind them has no influence. A length above the
   * capacity is that of a ring of `capacity` slots, through which `length` tokens went: the last of them are where a
   * `RingKvCache` keeps them. The default is all.
   */
  lengths?: Tensor;
}

/** Checks the tensors against what was planned, and views them; `fullLengths` stands in for lengths that are not given. */
export function viewContiguous(
  action: string,
  gpu: Gpu,
  spec: KvView["spec"],
  { k, v, lengths }: ContiguousKv,
  fullLengths: GPUBuffer,
): KvView {
  const { batch, numKvHeads, capacity, kvDtype, kvLayout, valuesAre } = spec;
  if (isTransformed(spec)) {
    const { kvCalibrated, kvRotation } = spec;
    const rule = "keys and values that are calibrated or rotated must lie in a cache (give cache)";
    throw new TypeError(sentence(action, rule, { kvCalibrated, kvRotation }));
  }
  if (valuesAre === "keys") checkNoValues(action, v);
  for (const [name, size] of storedRows(spec)) {
    const shape = shapeIn(kvLayout, batch, numKvHeads, capacity, size);
    checkTensor(action, name, (name === "k" ? k : v)!, { gpu, shape, dtype: kvDtype });
  }
  if (lengths) checkTensor(action, "lengths", lengths, { gpu, shape: [batch], dtype: "u32" });
  return {
    gpu,
    spec,
    parts: [v ? { k, v } : { k }],
    lengthsBuffer: lengths?.buffer ?? fullLengths,
    // The lengths are on the GPU alone, and what lies behind them is not looked at.
    checkVisible() {},
  };
}
