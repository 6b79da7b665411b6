import { sentence } from "../base/check.ts";
import { checkLimits, type PlanLimits } from "../gpu/limits.ts";
import { checkProfile, type DeviceProfile, PLAIN_GPU } from "../gpu/profile.ts";
import { type FusedPlan, planFused } from "./fused.ts";
import { stagesOf } from "./outputs.ts";
import { type PlanDevice, type PlanStart, startPlan } from "./plan_base.ts";
import { ACTION, type AttentionSpec, fillIn } from "./spec.ts";
import { planStaged, type StagedPlan } from "./staged.ts";

/** The plan of an attention: implementation, tile sizes, blocks and bytes of scratch. */
export type AttentionPlan = (StagedPlan | FusedPlan) & {
  /** The reason for the implementation: a request, or the limit that another exceeds. */
  reason: string;
};

/**
 * Decides how an attention runs, without touching a GPU.
 *
 * @param spec Shapes and options.
 * @param limits Limits of the device.
 * @param profile The kind of device, which decides tile sizes. The default is a GPU without subgroups.
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
  checkLimits(ACTION, limits);
  checkProfile(ACTION, profile);
  const plan = choose(startPlan(fillIn(spec), limits), { limits, profile });
  planned.add(plan);
  return plan;
}

/** Plans that were made here: what else looks like one may say anything. */
const planned = new WeakSet<AttentionPlan>();

/** Whether a plan is of {@linkcode planAttention}. */
export function isPlanned(plan: AttentionPlan): boolean {
  return planned.has(plan);
}

/** Chooses the implementation, and plans it. */
function choose(start: PlanStart, device: PlanDevice): AttentionPlan {
  const { limits } = device;
  const { impl, outputs, maxScratchBytes } = start.spec;
  const staged = (reason: string) => ({ ...planStaged(start, device), reason });
  const stages = stagesOf(outputs);
  if (impl === "staged") return staged('impl "staged" is asked for');
  if (stages.length > 0) return staged(`outputs are asked for: ${stages.join(", ")}`);

  const fused = planFused(start, device);
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = limits;
  const workgroup = { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize };
  if (fused) {
    const { lanes, wantedLanes } = fused;
    const isAsked = impl === "fused";
    const why = isAsked ? 'impl "fused" is asked for' : "nothing but the output is asked for";
    const smaller = `${lanes} lanes instead of ${wantedLanes} fit a workgroup: ${list(workgroup)}`;
    return { ...fused, reason: lanes < wantedLanes ? `${why}; ${smaller}` : why };
  }
  const exceeded = { ...workgroup, maxScratchBytes };
  if (impl === "auto") return staged(`no fused tile fits: ${list(exceeded)}`);
  throw new RangeError(
    sentence(ACTION, 'no tile of impl "fused" fits (use "auto" or "staged")', exceeded),
  );
}

function list(values: Readonly<Record<string, number>>): string {
  return Object.entries(values).map(([name, value]) => `${name}=${value}`).join(", ");
}
