import { assert } from "@std/assert";
import {
  type AttentionSpec,
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
export function stagedPlan(spec: AttentionSpec, limits = LIMITS): StagedPlan {
  const plan = planAttention({ ...spec, impl: "staged" }, limits);
  assert(plan.impl === "staged");
  return plan;
}

/** The plan of the fused implementation. */
export function fusedPlan(
  spec: AttentionSpec,
  limits = LIMITS,
  deviceClass: "gpu" | "software" = "gpu",
): FusedPlan {
  const plan = planAttention({ ...spec, impl: "fused" }, limits, deviceClass);
  assert(plan.impl === "fused");
  return plan;
}
