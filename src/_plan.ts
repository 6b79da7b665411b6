/** What planning has in common, whichever implementation is planned. */
import type { HeadRange } from "./_parts.ts";
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

/** Elements of a head in a pack: what kernels compute with at once, and what a load brings one or two of. */
export function packSize(headDim: number): 1 | 4 {
  return headDim % 4 === 0 ? 4 : 1;
}

/**
 * What a load of stored numbers brings: a pack of them, or two packs as integers of 32 or 64 bits, to be taken apart in
 * registers.
 */
export type Loads = "packs" | "u32" | "u64";

/** What loads of rows of `size` numbers in `dtype` should bring: 16 bytes on a GPU, as much as one lane loads at once. */
export function loadsOf(
  { isSoftware, longLoads }: DeviceProfile,
  dtype: KvDtype,
  size: number,
): Loads {
  if (size % 8 !== 0 || dtype === "int8") return "packs";
  // A word is two packs of int4.
  if (dtype === "int4") return "u32";
  if (longLoads) return "u64";
  return dtype === "f16" && !isSoftware ? "u32" : "packs";
}

/** Packs that a load brings. */
export function loadPacks(loads: Loads): 1 | 2 {
  return loads === "packs" ? 1 : 2;
}
