/** What planning has in common, whichever implementation is planned. */
import type { HeadRange } from "../cache/head_parts.ts";
import type { FilledSpec } from "./spec.ts";

/** What every plan says. */
export interface PlanBase {
  /** The specification with its defaults filled in. */
  spec: FilledSpec;
  /** Query heads per KV head. */
  groupSize: number;
  /** Most tokens that any query row looks over: columns of scores and weights. */
  contextLen: number;
  /** Where keys and values are cut into buffers; those of a cache that fits one storage binding are whole. */
  parts: readonly HeadRange[];
  /** Bytes of scratch. */
  scratchBytes: number;
}

/** Query rows in all. A row is (batch, head, token), numbered as in [B, N, S]. */
export function numRows({ batch, numHeads, seqLen }: FilledSpec): number {
  return batch * numHeads * seqLen;
}

/** Query rows that read the same KV head. */
export function rowsPerKvHead({ numHeads, numKvHeads, seqLen }: FilledSpec): number {
  return numHeads / numKvHeads * seqLen;
}
