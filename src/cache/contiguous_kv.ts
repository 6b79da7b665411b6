/** Contiguous keys and values as a view: a ring that has not wrapped. */
import type { Gpu } from "../gpu/device.ts";
import { shapeIn } from "../tensor/layout.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import type { KvView } from "./kv_view.ts";

/** Keys and values that lie one after the other. */
export interface ContiguousKv {
  /** Keys [B, capacity, numKvHeads, headDim] (or [B, numKvHeads, capacity, headDim] in layout `"BNSH"`). */
  k: Tensor;
  /** Values [B, capacity, numKvHeads, valueDim] (or [B, numKvHeads, capacity, valueDim]). */
  v: Tensor;
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
  const { batch, numKvHeads, capacity, headDim, valueDim, kvDtype, kvLayout } = spec;
  const shapeOf = (size: number) => shapeIn(kvLayout, batch, numKvHeads, capacity, size);
  checkTensor(action, "k", k, { gpu, shape: shapeOf(headDim), dtype: kvDtype });
  checkTensor(action, "v", v, { gpu, shape: shapeOf(valueDim), dtype: kvDtype });
  if (lengths) checkTensor(action, "lengths", lengths, { gpu, shape: [batch], dtype: "u32" });
  return {
    gpu,
    spec,
    parts: [{ k, v }],
    lengthsBuffer: lengths?.buffer ?? fullLengths,
    // The lengths are on the GPU alone, and what lies behind them is not looked at.
    checkVisible() {},
  };
}
