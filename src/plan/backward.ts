import { checkObject, sentence } from "../base/check.ts";
import { checkLimits, type PlanLimits } from "../gpu/limits.ts";
import { checkRounds } from "../gpu/loop_rounds.ts";
import { checkProfile, type DeviceProfile, loopRounds, PLAIN_GPU } from "../gpu/profile.ts";
import { leadingAxes } from "../score/score_spec.ts";
import { elementCount } from "../tensor/dtype.ts";
import { loadPacks } from "../tensor/loads.ts";
import {
  ACTION,
  type AttentionGradientSpec,
  type FilledGradientSpec,
  fillInGradient,
  type ScoreGradient,
} from "./backward_spec.ts";
import { type GradientTile, planGradientTile, ROW_STATE_BYTES } from "./backward_tile.ts";
import { fusedPackSize, ROUNDS_BESIDE } from "./fused_tile.ts";
import {
  type PlanBase,
  type PlanDevice,
  type PlanStart,
  rowsPerKvHead,
  startPlan,
} from "./plan_base.ts";
import type { FilledSpec } from "./spec.ts";
import { planTexels, texelBytes, type TexelFill } from "./texels.ts";
import { planUniformGradient, type UniformPassing } from "./uniform_gradient.ts";

/** The plan of a gradient: tile sizes, slices and bytes of scratch. */
export interface AttentionGradientPlan extends PlanBase {
  /** The implementation. */
  impl: "fused" | "staged";
  /** The gradients that are computed beside dq, dk and dv. */
  gradients: readonly ScoreGradient[];
  /** The rows that a workgroup holds, and those that pass by. */
  tile: GradientTile;
  /** The ranges of rows that are bound as uniforms while they pass by; absent where they are bound as storage. */
  uniform?: UniformPassing;
  /** The textures that queries, keys, values and dO are brought to; absent where these are read where they lie. */
  texels?: readonly TexelFill[];
  /**
   * Slices of the context for dq, of the query rows for dk and dv, and of the query rows that share a bias: each gradient is
   * the sum of its slices, in their order. Those of dk and dv run one after the other and take no memory of their own.
   */
  slices: { queries: number; keys: number; bias: number };
  /**
   * Bytes of each buffer of scratch, to which `scratchBytes` adds the textures: `rowStates`, `partials` of dk and dv;
   * `queryPartials` and `biasPartials` where there are slices; `distances` where slopes of ALiBi have a gradient; `pairs` of a
   * block of rows where it is staged.
   */
  scratch: Readonly<Record<string, number>>;
  /** Query rows of each block but the last, where it is staged; 0 where it is fused. */
  blockRows: number;
}

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
 *   console.log(planAttentionGradient(spec, limits).scratchBytes); // 655360, then four times as many
 * }
 * ```
 */
export function planAttentionGradient(
  spec: AttentionGradientSpec,
  limits: PlanLimits,
  profile: DeviceProfile = PLAIN_GPU,
): AttentionGradientPlan {
  checkObject(ACTION, "spec", spec);
  checkLimits(ACTION, limits);
  checkProfile(ACTION, profile);
  const { spec: filled, gradients } = fillInGradient(spec);
  const device = { limits, profile };
  // Every slot has a gradient, also where no query sees its key.
  const start = { ...startPlan(filled, limits), contextLen: filled.capacity };
  checkParts(start.parts.length, filled, limits);
  checkHeadRows(filled, profile);
  const { tile, uniform, texels }: GradientReads = planUniformGradient(filled, gradients, device) ??
    planLoads(start, gradients, device);
  const impl = filled.impl === "staged" ? "staged" : "fused";
  const fused = planSlices(filled, tile, device);
  const blockRows = impl === "fused" ? 0 : planBlockRows(filled, device);
  const slices = impl === "fused" ? fused : { ...fused, queries: 1, keys: 1 };
  const scratch = {
    ...gradientScratch({ spec: filled, gradients }, slices),
    ...(impl === "staged" && { pairs: blockRows * filled.capacity * PAIR_BYTES }),
  };
  checkScratch(scratch, limits);
  const scratchBytes = sumOf(scratch) + texelBytes(texels);
  return {
    ...{ ...start, impl, gradients, tile, slices, scratch, blockRows, scratchBytes },
    ...(uniform && { uniform }),
    ...(texels && { texels }),
  };
}

/** Bytes of all buffers of scratch. */
function sumOf(scratch: AttentionGradientPlan["scratch"]): number {
  return Object.values(scratch).reduce((sum, bytes) => sum + bytes, 0);
}

/** The tile of a gradient, and how it reads its tensors. */
type GradientReads = Pick<AttentionGradientPlan, "tile" | "uniform" | "texels">;

/** The tile that reads textures, where that pays, or storage. */
function planLoads(
  start: PlanStart,
  gradients: readonly ScoreGradient[],
  device: PlanDevice,
): GradientReads {
  const { spec } = start;
  const stored = planGradientTile(spec, device);
  const held = stored.rows * stored.rowGroups;
  const texels = spec.impl === "staged"
    ? undefined
    : planTexels(start, device, held, ["q", "k", "v", "dO"]);
  if (!texels) return { tile: stored };
  const tile = planGradientTile(spec, device, "packs");
  // Loads of four numbers go more rounds than such of eight, which may demand more slices: those of dk and dv take no memory.
  const [besideTexels, ofStored] = [tile, stored].map((tile) =>
    sumOf(gradientScratch({ spec, gradients }, planSlices(spec, tile, device)))
  );
  return besideTexels > ofStored ? { tile: stored } : { tile, texels };
}

/** Bytes of a pair of a query and a key: its weight, and its gradients by the score and by the product. */
const PAIR_BYTES = 12;

/** As many rows at once as scratch, the grid and the loops of the device have room for. */
function planBlockRows(spec: FilledSpec, { limits, profile }: PlanDevice): number {
  const { capacity, maxScratchBytes } = spec;
  checkRounds(profile, ACTION, capacity, { capacity });
  const bytes = Math.min(maxScratchBytes, limits.maxStorageBufferBindingSize);
  const most = Math.min(limits.maxComputeWorkgroupsPerDimension, loopRounds(profile));
  const rows = Math.min(spec.numRows, most, Math.floor(bytes / (capacity * PAIR_BYTES)));
  if (rows >= 1) return rows;
  throw new RangeError(
    sentence(ACTION, "scratch must hold the pairs of a row (raise maxScratchBytes)", {
      rowBytes: capacity * PAIR_BYTES,
      maxScratchBytes,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
    }),
  );
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
  const slicesOf = (tiles: number, rounds: number) => {
    const tilesOfSlice = Math.floor(loopRounds(profile) / (rounds + ROUNDS_BESIDE));
    return Math.max(1, Math.ceil(tiles / tilesOfSlice));
  };
  return {
    queries: slicesOf(Math.ceil(capacity / (lanes * keys)), products + sums),
    keys: slicesOf(Math.ceil(rowsPerKvHead(spec) / (lanes * keys)), products + 2 * sums),
    bias: slicesOf(biasReaders(spec, tile), products),
  };
}

/** Tiles of query rows that read the same rows of a bias. */
function biasReaders({ bias, batch, numHeads, seqLen }: FilledSpec, { rows }: GradientTile) {
  const tiles = [batch, numHeads, Math.ceil(seqLen / rows)];
  return leadingAxes(bias ?? [1]).reduce(
    (readers, size, axis) => size === 1 ? readers * tiles[axis] : readers,
    1,
  );
}

/** The buffers of scratch, each as large as it is used. */
export function gradientScratch(
  { spec, gradients }: FilledGradientSpec,
  slices: AttentionGradientPlan["slices"],
): AttentionGradientPlan["scratch"] {
  const { batch, numKvHeads, capacity, headDim, valueDim, bias } = spec;
  const rows = spec.numRows;
  const hasBias = gradients.includes("dBias") && slices.bias > 1;
  return {
    rowStates: rows * ROW_STATE_BYTES,
    partials: batch * numKvHeads * capacity * (headDim + valueDim) * 4,
    ...(slices.queries > 1 && { queryPartials: slices.queries * rows * headDim * 4 }),
    ...(hasBias && { biasPartials: slices.bias * elementCount(bias!) * 4 }),
    ...(gradients.includes("dAlibiSlopes") && { distances: slices.queries * rows * 4 }),
  };
}

/** Lanes that sum up the rows of a head. */
export const HEAD_LANES = 64;

/** Throws where the loops of a lane would end before the rows of a head do. */
function checkHeadRows({ batch, seqLen }: FilledSpec, profile: DeviceProfile): void {
  const rounds = Math.ceil(batch * seqLen / HEAD_LANES);
  checkRounds(profile, ACTION, rounds, { batch, seqLen });
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
