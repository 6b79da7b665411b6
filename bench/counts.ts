/** Bytes and operations of the bench's shapes: what its times are held against. */
import { kvBytes } from "../mod.ts";
import type { Shape } from "./result.ts";
import * as counts from "../src/plan/counts.ts";

/** Bytes of K and V over the whole context. */
export function cacheBytes(shape: Shape): number {
  const { dtype, kvDtype = dtype, valueDim = shape.headDim } = shape;
  return kvBytes({ ...shape, valueDim, kvDtype }, shape.contextLen);
}

/** Bytes that must move at least once: q, K and V in, o out. */
export function movedBytes(shape: Shape): number {
  return counts.movedBytes(countedOf(shape));
}

/** Operations of QK^T and AV over the visible pairs, a multiply-add being two. */
export function operations(shape: Shape): number {
  return counts.operations(countedOf(shape));
}

/** Causal, nothing returned but the output. */
function countedOf(shape: Shape): counts.CountedPlan {
  const { headDim, valueDim = headDim, dtype, kvDtype = dtype } = shape;
  const spec = {
    ...shape,
    valueDim,
    kvDtype,
    alignment: "bottom-right" as const,
    causal: true,
    sinks: 0,
    outputs: [],
  };
  return { spec, contextLen: shape.contextLen };
}
