/** Bytes and operations that an attention cannot do without: what its times are held against. */
import { kvBytes } from "../mod.ts";
import type { Shape } from "./result.ts";

/** Bytes of K and V over the whole context. */
export function cacheBytes(shape: Shape): number {
  return kvBytes({ ...shape, valueDim: shape.headDim, kvDtype: shape.dtype }, shape.contextLen);
}

/** Bytes that must move at least once: q, K and V in, o out. */
export function movedBytes(shape: Shape): number {
  const { batch, numHeads, headDim, seqLen, dtype } = shape;
  const queryBytes = batch * numHeads * seqLen * headDim * (dtype === "f16" ? 2 : 4);
  return 2 * queryBytes + cacheBytes(shape);
}

/** Pairs of a query and a key it sees under a causal mask, over all heads and sequences. */
export function visiblePairs({ batch, numHeads, seqLen, contextLen }: Shape): number {
  const hidden = seqLen * (seqLen - 1) / 2;
  return batch * numHeads * (seqLen * contextLen - hidden);
}

/** Operations of QK^T and AV over the visible pairs, a multiply-add being two. */
export function operations(shape: Shape): number {
  return visiblePairs(shape) * 4 * shape.headDim;
}
