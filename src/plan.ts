import { sentence } from "./_check.ts";
import { headParts } from "./_parts.ts";
import type { PlanLimits } from "./_plan.ts";
import { type FusedPlan, planFused } from "./plan_fused.ts";
import { type DeviceProfile, PLAIN_GPU } from "./profile.ts";
import { planStaged, type StagedPlan } from "./plan_staged.ts";
import { ACTION, type AttentionSpec, type FilledSpec, fillIn } from "./spec.ts";
import { storageBytes } from "./tensor.ts";

/** How an attention runs: implementation, tile sizes, dispatches and bytes of scratch. */
export type AttentionPlan = StagedPlan | FusedPlan;

/**
 * Decides how an attention runs, without touching a GPU.
 *
 * @param spec Shapes and options.
 * @param limits Limits of the device.
 * @param profile What kind of device it is, which decides tile sizes. The default is a GPU without subgroups.
 * @returns The plan.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a value is out of range, heads do not divide, or a limit of the device is exceeded.
 *
 * @example
 * ```ts
 * import { planAttention } from "@onehead/attention";
 *
 * const plan = planAttention(
 *   { numHeads: 32, numKvHeads: 1, headDim: 128, seqLen: 512, capacity: 4096 },
 *   {
 *     maxStorageBufferBindingSize: 128 * 2 ** 20,
 *     maxComputeInvocationsPerWorkgroup: 256,
 *     maxComputeWorkgroupStorageSize: 16384,
 *     maxComputeWorkgroupsPerDimension: 65535,
 *   },
 * );
 * console.log(plan.impl, plan.scratchBytes); // fused 0
 * ```
 */
export function planAttention(
  spec: AttentionSpec,
  limits: PlanLimits,
  profile: DeviceProfile = PLAIN_GPU,
): AttentionPlan {
  const filled = fillIn(spec);
  checkTensors(filled, limits);
  const parts = headParts(ACTION, filled, limits);
  const { capacity, seqLen, window, impl, outputs } = filled;
  const contextLen = Math.min(capacity, (window ?? Infinity) - 1 + seqLen);
  const context = { contextLen, parts };
  const isStaged = impl === "staged" || impl === "auto" && outputs.length > 0;
  if (isStaged) return planStaged(filled, context, limits);

  const fused = planFused(filled, context, limits, profile);
  if (fused) return fused;
  if (impl === "auto") return planStaged(filled, context, limits);
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = limits;
  throw new RangeError(
    sentence(ACTION, 'no tile of impl "fused" fits a workgroup (use "auto" or "staged")', {
      maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupStorageSize,
    }),
  );
}

/** Bytes of K and V for so many tokens of every sequence. */
export function kvBytes(
  shape: Pick<FilledSpec, "batch" | "numKvHeads" | "headDim" | "valueDim" | "dtype">,
  tokens: number,
): number {
  const rows = shape.batch * shape.numKvHeads * tokens;
  return storageBytes(rows * shape.headDim, shape.dtype) +
    storageBytes(rows * shape.valueDim, shape.dtype);
}

/** A tensor needs a binding that holds all of it; keys and values that lie head by head may be a cache, cut into parts. */
function checkTensors(spec: FilledSpec, limits: PlanLimits): void {
  const { batch, numHeads, numKvHeads, seqLen, capacity, headDim, valueDim, dtype } = spec;
  const { maxStorageBufferBindingSize } = limits;
  const queryRows = batch * numHeads * seqLen;
  const keyRows = batch * numKvHeads * capacity;
  const tensors = {
    q: queryRows * headDim,
    ...(spec.kvLayout === "BNSH" ? {} : { k: keyRows * headDim, v: keyRows * valueDim }),
    o: queryRows * valueDim,
  };
  for (const [name, count] of Object.entries(tensors)) {
    const bytes = storageBytes(count, dtype);
    if (bytes > maxStorageBufferBindingSize) {
      throw new RangeError(
        sentence(ACTION, `${name} must fit one storage binding (split the batch or the context)`, {
          bytes,
          maxStorageBufferBindingSize,
        }),
      );
    }
  }
}
