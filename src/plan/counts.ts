/** Bytes and operations that an attention cannot do without: the floor under its time. */
import { kvBytes } from "../cache/kv_shape.ts";
import type { PlanBase } from "./plan_base.ts";
import { type FilledSpec, numRowsOf } from "./spec.ts";
import { stagesOf } from "./outputs.ts";
import { storageBytes } from "../tensor/dtype.ts";

/** Bytes that must move at least once: q, K and V in, o and the other outputs out. */
export function movedBytes({ spec, contextLen }: CountedPlan): number {
  const { headDim, valueDim, dtype, outputs } = spec;
  const rows = numRowsOf(spec);
  const perRow = stagesOf(outputs).length * contextLen + Number(outputs.includes("lse"));
  return storageBytes([rows, headDim], dtype) + storageBytes([rows, valueDim], dtype) +
    kvBytes(spec, contextLen) + rows * perRow * 4;
}

/** Pairs of a query and a key that it sees in a full context, over all heads and sequences. */
export function visiblePairs({ spec, contextLen }: CountedPlan): number {
  const { seqLen, causal, sinks, alignment } = spec;
  const { window = Infinity, windowRight = Infinity } = spec;
  const named = { "bottom-right": contextLen - seqLen, "top-left": 0 };
  const start = typeof alignment === "number" ? alignment : named[alignment];
  const right = causal ? 0 : windowRight;
  const seenBy = (own: number) => {
    const first = Math.max(0, own - window + 1);
    const end = Math.min(contextLen, own + right + 1);
    return Math.max(0, end - first) + Math.min(sinks, first, contextLen);
  };
  // Between these positions the number changes by as much with each query, so that a sum needs only its ends.
  const kinks = [
    -1 - right,
    contextLen - 1 - right,
    ...[0, sinks, contextLen].map((first) => first + window - 1),
  ]
    .filter((own) => own > start && own < start + seqLen);
  const bounds = [start, ...kinks.toSorted((a, b) => a - b), start + seqLen];
  const pairs = bounds.slice(1).reduce((sum, end, i) => {
    const count = end - bounds[i];
    return count > 0 ? sum + count * (seenBy(bounds[i]) + seenBy(end - 1)) / 2 : sum;
  }, 0);
  return numRowsOf(spec) / seqLen * pairs;
}

/** Operations of QK^T and AV over the visible pairs, a multiply-add being two. */
export function operations(plan: CountedPlan): number {
  const { headDim, valueDim } = plan.spec;
  return visiblePairs(plan) * 2 * (headDim + valueDim);
}

/** The shapes and the mask of a plan: bytes and operations depend on nothing else. */
export interface CountedPlan extends Pick<PlanBase, "contextLen"> {
  spec: Pick<
    FilledSpec,
    | "batch"
    | "numHeads"
    | "numKvHeads"
    | "headDim"
    | "valueDim"
    | "valuesAre"
    | "seqLen"
    | "tokens"
    | "causal"
    | "alignment"
    | "window"
    | "windowRight"
    | "sinks"
    | "dtype"
    | "kvDtype"
    | "outputs"
  >;
}
