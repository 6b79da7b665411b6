import { assert } from "@std/assert";
import {
  type AttentionSpec,
  type DeviceProfile,
  type FusedPlan,
  type Gpu,
  planAttention,
  type PlanLimits,
  type StagedPlan,
  type Tiling,
  type Tuning,
} from "../../mod.ts";
import type { Random } from "./random.ts";

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
  "a GPU": { isSoftware: false, subgroupSize: 0, longLoads: false },
  "a GPU with subgroups": { isSoftware: false, subgroupSize: 32, longLoads: false },
  "a GPU with small subgroups": { isSoftware: false, subgroupSize: 8, longLoads: false },
  software: { isSoftware: true, subgroupSize: 0, longLoads: false },
  "software with long loads": { isSoftware: true, subgroupSize: 0, longLoads: true },
  "software with subgroups of 4": { isSoftware: true, subgroupSize: 4, longLoads: false },
  "software with subgroups of 8": { isSoftware: true, subgroupSize: 8, longLoads: false },
  "software with both": { isSoftware: true, subgroupSize: 8, longLoads: true },
};

/** A profile as far as a device can run what is planned for it. */
export function profileOn({ profile: own }: Gpu, profile: DeviceProfile): DeviceProfile {
  return {
    ...profile,
    subgroupSize: Math.min(profile.subgroupSize, own.subgroupSize),
    longLoads: profile.longLoads && own.longLoads,
  };
}

/**
 * Tiles as GPUs have them, but narrower: groups of rows, and lanes in strips that reduce within the subgroups of a software
 * adapter or through memory.
 */
export function gpuTuning(random: Random): Tuning {
  const lanes = random.pick([4, 8, 16]);
  const tiling: Tiling = {
    ...{ maxRows: random.integer(1, 8), maxRowGroups: random.pick([1, 2, 4]), maxPairs: 16 },
    ...{ keys: random.integer(1, 4), lanes, workgroup: random.pick([lanes, 64]) },
    ...{ sharers: 0, partners: random.pick([1, 4, 8]), keyChunk: random.pick([0, 4]) },
    ...{ columns: random.pick([1, 2, 8]), fillingWorkgroups: random.pick([1, 512]) },
  };
  return { schema: 3, adapter: "any", tilings: [{ leastRows: 1, ...tiling }] };
}
