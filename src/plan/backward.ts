import { checkObject, sentence } from "../base/check.ts";
import type { PlanLimits } from "../gpu/limits.ts";
import { type DeviceProfile, loopRounds, PLAIN_GPU } from "../gpu/profile.ts";
import { loadPacks } from "../tensor/loads.ts";
import { ACTION, type AttentionGradientSpec, fillInGradient } from "./backward_spec.ts";
import { type GradientTile, planGradientTile } from "./backward_tile.ts";
import { fusedPackSize, ROUNDS_BESIDE } from "./fused_tile.ts";
import { numRows, type PlanBase, type PlanDevice, rowsPerKvHead, startPlan } from "./plan_base.ts";
import type { FilledSpec } from "./spec.ts";

/** The plan of a gradient: tile sizes, slices and bytes of scratch. */
export interface AttentionGradientPlan extends PlanBase {
  /** The rows that a workgroup holds, and those that pass by. */
  tile: GradientTile;
  /** Slices of the context for dq, and of the query rows for dk and dv; the slices are added up in their order. */
  slices: { queries: number; keys: number };
  /** Bytes of each buffer of scratch: `rowStates`, `partials` of dk and dv, and `queryPartials` of dq where it has slices. */
  scratch: Readonly<Record<string, number>>;
}

/** Bytes of the state of a query row: its log-sum-exp, D, and the length of its sequence. */
const STATE_BYTES = 12;

/**
 * Decides how the gradient of an attention runs, without touching a GPU.
 *
 * @param spec Shapes and options, those of the attention.
 * @param limits Limits of the device.
 * @param profile The kind of device, which decides tile sizes. The default is a GPU without subgroups.
 * @returns The plan.
 * @throws {TypeError} If a value is of the wrong kind, or has no gradient: integers, pages, values that are keys.
 * @throws {RangeError} If a value is out of range, heads do not divide, or a limit of the device is exceeded.
 *
 * @example Scratch is linear in tokens
 * ```ts
 * import { planAttentionGradient } from "@onehead/attention";
 *
 * const limits = {
 *   maxStorageBufferBindingSize: 128 * 2 ** 20,
 *   maxComputeInvocationsPerWorkgroup: 256,
 *   maxComputeWorkgroupStorageSize: 16384,
 *   maxComputeWorkgroupsPerDimension: 65535,
 * };
 * for (const tokens of [1024, 4096]) {
 *   const spec = { numHeads: 8, numKvHeads: 1, headDim: 64, seqLen: tokens, capacity: tokens };
 *   console.log(planAttentionGradient(spec, limits).scratchBytes); // 622592, then four times as many
 * }
 * ```
 */
export function planAttentionGradient(
  spec: AttentionGradientSpec,
  limits: PlanLimits,
  profile: DeviceProfile = PLAIN_GPU,
): AttentionGradientPlan {
  checkObject(ACTION, "spec", spec);
  checkObject(ACTION, "limits", limits);
  checkObject(ACTION, "profile", profile);
  const filled = fillInGradient(spec);
  const device = { limits, profile };
  // Every slot has a gradient, also where no query sees its key.
  const start = { ...startPlan(filled, limits), contextLen: filled.capacity };
  checkParts(start.parts.length, filled, limits);
  const tile = planGradientTile(filled, device);
  const slices = planSlices(filled, tile, device);
  const scratch = scratchOf(filled, slices);
  checkScratch(scratch, limits);
  const scratchBytes = Object.values(scratch).reduce((sum, bytes) => sum + bytes, 0);
  return { ...start, tile, slices, scratch, scratchBytes };
}

/** As many slices as the loops of the device need to go round all that passes by. */
function planSlices(
  spec: FilledSpec,
  tile: GradientTile,
  { profile }: PlanDevice,
): AttentionGradientPlan["slices"] {
  const { lanes, keys, strips, columns, loads } = tile;
  const { headDim, valueDim, capacity } = spec;
  const products = (headDim + valueDim) / (fusedPackSize(spec) * loadPacks(loads));
  const sums = Math.ceil(lanes * keys / (strips * columns));
  const slicesOf = (passing: number, rounds: number) => {
    const tiles = Math.ceil(passing / (lanes * keys));
    const tilesOfSlice = Math.floor(loopRounds(profile) / (rounds + ROUNDS_BESIDE));
    return Math.max(1, Math.ceil(tiles / tilesOfSlice));
  };
  return {
    queries: slicesOf(capacity, products + sums),
    keys: slicesOf(rowsPerKvHead(spec), products + 2 * sums),
  };
}

/** The buffers of scratch, each as large as it is used. */
function scratchOf(
  spec: FilledSpec,
  slices: AttentionGradientPlan["slices"],
): AttentionGradientPlan["scratch"] {
  const { batch, numKvHeads, capacity, headDim, valueDim } = spec;
  const rows = numRows(spec);
  return {
    rowStates: rows * STATE_BYTES,
    partials: slices.keys * batch * numKvHeads * capacity * (headDim + valueDim) * 4,
    ...(slices.queries > 1 && { queryPartials: slices.queries * rows * headDim * 4 }),
  };
}

function checkParts(
  parts: number,
  { batch, numKvHeads, capacity, headDim, valueDim, kvDtype }: FilledSpec,
  { maxStorageBufferBindingSize }: PlanLimits,
): void {
  if (parts === 1) return;
  throw new RangeError(
    sentence(ACTION, "k and v must fit one storage binding each (split the batch)", {
      ...{ batch, numKvHeads, capacity, headDim, valueDim, kvDtype, maxStorageBufferBindingSize },
    }),
  );
}

function checkScratch(
  scratch: AttentionGradientPlan["scratch"],
  { maxStorageBufferBindingSize }: PlanLimits,
): void {
  for (const [name, bytes] of Object.entries(scratch)) {
    if (bytes <= maxStorageBufferBindingSize) continue;
    throw new RangeError(
      sentence(ACTION, `${name} must fit one storage binding (split the batch, or its heads)`, {
        bytes,
        maxStorageBufferBindingSize,
      }),
    );
  }
}
