import { sentence } from "../base/check.ts";
import { headParts } from "../cache/head_parts.ts";
import type { PlanLimits } from "../gpu/limits.ts";
import { type FusedPlan, planFused } from "./fused.ts";
import { type DeviceProfile, PLAIN_GPU } from "../gpu/profile.ts";
import { planStaged, type StagedPlan } from "./staged.ts";
import { ACTION, type AttentionSpec, type FilledSpec, fillIn, stagesOf } from "./spec.ts";
import { storageBytes } from "../tensor/dtype.ts";

/** How an attention runs: implementation, tile sizes, dispatches and bytes of scratch. */
export type AttentionPlan = (StagedPlan | FusedPlan) & {
  /** Why this implementation: what was asked for, or the limit that another exceeds. */
  reason: string;
};

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
  const { impl, outputs } = filled;
  const context = { contextLen: contextLenOf(filled), parts };
  const stages = stagesOf(outputs);
  const staged = (reason: string) => ({
    ...planStaged(filled, context, limits, profile),
    reason,
  });
  if (impl === "staged") return staged(`impl "staged" is asked for`);
  if (stages.length > 0) return staged(`outputs are asked for: ${stages.join(", ")}`);

  const fused = planFused(filled, context, limits, profile);
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = limits;
  const workgroup = { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize };
  const exceeded = { ...workgroup, maxScratchBytes: filled.maxScratchBytes };
  if (fused) {
    const { lanes, wantedLanes } = fused;
    const why = impl === "fused"
      ? 'impl "fused" is asked for'
      : "nothing but the output is asked for";
    const smaller = `${lanes} lanes instead of ${wantedLanes} fit a workgroup: ${list(workgroup)}`;
    return { ...fused, reason: lanes < wantedLanes ? `${why}; ${smaller}` : why };
  }
  if (impl === "auto") return staged(`no fused tile fits: ${list(exceeded)}`);
  throw new RangeError(
    sentence(ACTION, 'no tile of impl "fused" fits (use "auto" or "staged")', exceeded),
  );
}

function list(values: Readonly<Record<string, number>>): string {
  return Object.entries(values).map(([name, value]) => `${name}=${value}`).join(", ");
}

/** Queries at the end of the context look over the window of the first of them; others may look over all of it. */
function contextLenOf(
  { capacity, seqLen, alignment, sinks, window = Infinity }: FilledSpec,
): number {
  return alignment === "bottom-right" ? Math.min(capacity, sinks + window - 1 + seqLen) : capacity;
}

/** A tensor needs a binding that holds all of it; keys and values that lie head by head may be a cache, cut into parts. */
function checkTensors(spec: FilledSpec, limits: PlanLimits): void {
  const { batch, numHeads, numKvHeads, seqLen, capacity, headDim, valueDim } = spec;
  const { dtype, kvDtype } = spec;
  const { maxStorageBufferBindingSize } = limits;
  const queryRows = batch * numHeads * seqLen;
  const keyRows = batch * numKvHeads * capacity;
  const tensors = {
    q: storageBytes([queryRows, headDim], dtype),
    ...(spec.kvLayout === "BNSH" ? {} : {
      k: storageBytes([keyRows, headDim], kvDtype),
      v: storageBytes([keyRows, valueDim], kvDtype),
    }),
    o: storageBytes([queryRows, valueDim], dtype),
  };
  for (const [name, bytes] of Object.entries(tensors)) {
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
