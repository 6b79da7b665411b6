import { sentence } from "./_check.ts";
import type { PlanLimits } from "./_plan.ts";
import { type DeviceClass, type FusedPlan, planFused } from "./plan_fused.ts";
import { planStaged, type StagedPlan } from "./plan_staged.ts";
import { ACTION, type AttentionSpec, type FilledSpec, fillIn, stagesOf } from "./spec.ts";
import { storageBytes } from "./tensor.ts";

/** How an attention runs: implementation, tile sizes, dispatches and bytes of scratch. */
export type AttentionPlan = StagedPlan | FusedPlan;

/**
 * Decides how an attention runs, without touching a GPU.
 *
 * @param spec Shapes and options.
 * @param limits Limits of the device.
 * @param deviceClass What kind of device tile sizes are for. The default is `"gpu"`.
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
  deviceClass: DeviceClass = "gpu",
): AttentionPlan {
  const filled = fillIn(spec);
  checkTensors(filled, limits);
  const { impl, outputs } = filled;
  const contextLen = contextLenOf(filled);
  const isStaged = impl === "staged" || impl === "auto" && stagesOf(outputs).length > 0;
  if (isStaged) return planStaged(filled, contextLen, limits);

  const fused = planFused(filled, contextLen, limits, deviceClass);
  if (fused) return fused;
  if (impl === "auto") return planStaged(filled, contextLen, limits);
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = limits;
  throw new RangeError(
    sentence(ACTION, 'no tile of impl "fused" fits a workgroup (use "auto" or "staged")', {
      maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupStorageSize,
    }),
  );
}

/** Queries at the end of the context look over the window of the first of them; others may look over all of it. */
function contextLenOf({ capacity, seqLen, alignment, window = Infinity }: FilledSpec): number {
  return alignment === "bottom-right" ? Math.min(capacity, window - 1 + seqLen) : capacity;
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

function checkTensors(spec: FilledSpec, limits: PlanLimits): void {
  const { batch, numHeads, numKvHeads, seqLen, capacity, headDim, valueDim, dtype } = spec;
  const { maxStorageBufferBindingSize } = limits;
  const queryRows = batch * numHeads * seqLen;
  const keyRows = batch * numKvHeads * capacity;
  const tensors = {
    q: queryRows * headDim,
    k: keyRows * headDim,
    v: keyRows * valueDim,
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
