import { assert } from "@std/assert";
import {
  type AttentionSpec,
  type DeviceProfile,
  type FusedPlan,
  planAttention,
  type PlanLimits,
  type StagedPlan,
} from "../mod.ts";

/** What every WebGPU device has. */
export const LIMITS: PlanLimits = {
  maxStorageBufferBindingSize: 128 * 2 ** 20,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeWorkgroupsPerDimension: 65535,
};

/** The plan of the staged implementation. */
export function stagedPlan(
  spec: AttentionSpec,
  limits = LIMITS,
  profile?: DeviceProfile,
): StagedPlan {
  const plan = planAttention({ ...spec, impl: "staged" }, limits, profile);
  assert(plan.impl === "staged");
  return plan;
}

/** The plan of the fused implementation. */
export function fusedPlan(
  spec: AttentionSpec,
  limits = LIMITS,
  profile?: DeviceProfile,
): FusedPlan {
  const plan = planAttention({ ...spec, impl: "fused" }, limits, profile);
  assert(plan.impl === "fused");
  return plan;
}

/** A device of every class. */
export const PROFILES: Readonly<Record<string, DeviceProfile>> = {
  "a GPU": { isSoftware: false, subgroupSize: 0 },
  "a GPU with subgroups": { isSoftware: false, subgroupSize: 32 },
  software: { isSoftware: true, subgroupSize: 0 },
  "software with subgroups of 4": { isSoftware: true, subgroupSize: 4 },
  "software with subgroups of 8": { isSoftware: true, subgroupSize: 8 },
};
