/** What planning has in common, whichever implementation is planned. */
import type { HeadRange } from "./_parts.ts";
import { isQuantized } from "./_quantized.ts";
import type { DeviceProfile } from "./profile.ts";
import type { FilledSpec } from "./spec.ts";
import type { KvDtype } from "./tensor.ts";

/** The limits of a device that planning asks for; a `GPUDevice.limits` is one. */
export type PlanLimits = Pick<
  GPUSupportedLimits,
  | "maxStorageBufferBindingSize"
  | "maxComputeInvocationsPerWorkgroup"
  | "maxComputeWorkgroupStorageSize"
  | "maxComputeWorkgroupsPerDimension"
>;

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

/** Elements of a head that are loaded at once. */
export function packSize(headDim: number): 1 | 4 {
  return headDim % 4 === 0 ? 4 : 1;
}

/** Packs of rows stored in `dtype` that a load brings: two where long integers can be loaded and rows divide into them. */
export function packsOfLoad({ longLoads }: DeviceProfile, dtype: KvDtype, size: number): 1 | 2 {
  return longLoads && !isQuantized(dtype) && size % 8 === 0 ? 2 : 1;
}
