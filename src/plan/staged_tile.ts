/** The tile of the staged implementation, and how far its kernels walk along the columns. */
import { sentence } from "../base/check.ts";
import { ceilPowerOfTwo, clamp, floorPowerOfTwo } from "../base/numbers.ts";
import { type DeviceProfile, loopRounds } from "../gpu/profile.ts";
import { loadPacks, type Loads, loadsOf, packSize } from "../tensor/loads.ts";
import { fusedLoads, fusedPackSize } from "./fused_tile.ts";
import { stateRounds } from "./mask_blocks.ts";
import { type PlanDevice, type PlanStart, rowsPerKvHead } from "./plan_base.ts";
import { ACTION, type FilledSpec } from "./spec.ts";

/** The rows that share loaded keys and values, and the workgroups that compute them. */
export interface StagedTile {
  /** Query rows that share each loaded key and value. */
  rowTile: number;
  /** Invocations of a workgroup, by kernel. */
  workgroup: { scores: number; softmax: number; weightedSum: number };
  /** The packs that loads of keys and of values bring. */
  loads: { keys: Loads; values: Loads };
  /** Invocations of `weightedSum` side by side along the value; the others split the context. */
  valueLanes: number;
}

/** Elements of a pack of values, which must divide keys that values are read from. */
export function valuePackSize(spec: FilledSpec): 1 | 4 {
  return spec.valuesAre === "keys" ? fusedPackSize(spec) : packSize(spec.valueDim);
}

/** What loads of keys and of values bring. */
export function stagedLoads(spec: FilledSpec, profile: DeviceProfile): StagedTile["loads"] {
  const { kvDtype, headDim, valueDim, valuesAre } = spec;
  return {
    keys: loadsOf(profile, kvDtype, headDim),
    values: valuesAre === "keys" ? fusedLoads(spec, profile) : loadsOf(profile, kvDtype, valueDim),
  };
}

/** Columns that one invocation of the scores kernel owns. */
const COLUMNS_PER_INVOCATION = 4;
/** Columns that the weighted sum takes at once. */
const COLUMNS_PER_ROUND = 4;
/** Fewest columns that are worth a strip of the weighted sum. */
const COLUMNS_PER_STRIP = 16;
/** Invocations of a row's softmax on software, where more only wait for each other. */
const MOST_SOFTWARE_SOFTMAX = 64;
/** Invocations that keep a large GPU busy. */
const FILLING_INVOCATIONS = 2 ** 16;

/** The tile of a staged attention. */
export function planStagedTile(
  { spec, contextLen }: PlanStart,
  loads: StagedTile["loads"],
  { limits, profile }: PlanDevice,
): StagedTile {
  const rowTile = planRowTile(rowsPerKvHead(spec));
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = limits;
  const most = Math.min(256, floorPowerOfTwo(maxComputeInvocationsPerWorkgroup));
  // Softmax keeps a maximum and a denominator per invocation, the weighted sum the packs of a load per row of its tile.
  const mostSoftmax = Math.min(
    profile.isSoftware ? MOST_SOFTWARE_SOFTMAX : most,
    floorPowerOfTwo(maxComputeWorkgroupStorageSize / 8),
  );
  const mostSum = Math.min(
    most,
    floorPowerOfTwo(maxComputeWorkgroupStorageSize / (16 * loadPacks(loads.values) * rowTile)),
  );
  const valueLanes = Math.min(64, mostSum, ceilPowerOfTwo(valueLoads(spec, loads)));
  // Adding strips up costs time: the context is split only as far as the tiles alone leave a device idle, and while
  // every strip has some columns to itself.
  const strips = Math.min(
    FILLING_INVOCATIONS / (spec.numRows / rowTile * valueLanes),
    contextLen / COLUMNS_PER_STRIP,
  );
  const summing = valueLanes * ceilPowerOfTwo(Math.max(1, strips));
  return {
    rowTile,
    loads,
    workgroup: {
      scores: clamp(ceilPowerOfTwo(contextLen / COLUMNS_PER_INVOCATION), 32, Math.min(64, most)),
      softmax: clamp(ceilPowerOfTwo(contextLen / 8), 32, mostSoftmax),
      weightedSum: clamp(summing, Math.min(32, mostSum), mostSum),
    },
    valueLanes,
  };
}

/**
 * The steps along the columns that the scores of a tile of rows take, and the fewest workgroups whose loops go round them.
 *
 * @throws {RangeError} If the loops of the device end before the context does.
 */
export function planColumns(
  { spec, contextLen }: PlanStart,
  tile: StagedTile,
  { limits, profile }: PlanDevice,
): { steps: number; leastGroups: number } {
  const { rowTile, workgroup, valueLanes } = tile;
  const stepColumns = workgroup.scores * COLUMNS_PER_INVOCATION;
  const keyLoads = spec.headDim / (packSize(spec.headDim) * loadPacks(tile.loads.keys));
  const stepRounds = keyLoads * (1 + rowTile) + rowTile * (1 + COLUMNS_PER_INVOCATION) + 1 +
    stateRounds(spec, rowTile, stepColumns);
  const sumRounds = 1 + stateRounds(spec, rowTile, COLUMNS_PER_ROUND);
  const rounds = loopRounds(profile);
  const mostSteps = Math.floor(rounds / stepRounds);
  const mostColumns = Math.min(
    rounds * COLUMNS_PER_ROUND * workgroup.weightedSum / (valueLanes * sumRounds),
    limits.maxComputeWorkgroupsPerDimension * mostSteps * stepColumns,
  );
  if (contextLen > mostColumns) {
    throw new RangeError(
      sentence(ACTION, 'the loops of this adapter must go round the context (use impl "fused")', {
        contextLen,
        mostColumns,
      }),
    );
  }
  const steps = Math.ceil(contextLen / stepColumns);
  return { steps, leastGroups: Math.ceil(steps / mostSteps) };
}

/** Workgroups of the weighted sum along the value. */
export function valueBlocks(
  { spec, loads, valueLanes }: Pick<StagedTile, "loads" | "valueLanes"> & { spec: FilledSpec },
): number {
  return Math.ceil(valueLoads(spec, loads) / valueLanes);
}

/** More rows share each loaded key and value; fewer leave more tiles to run side by side. */
function planRowTile(rowsPerKvHead: number): number {
  if (rowsPerKvHead >= 64) return 8;
  if (rowsPerKvHead >= 4) return 4;
  return rowsPerKvHead >= 2 ? 2 : 1;
}

/** Loads that a row of the value takes. */
function valueLoads(spec: FilledSpec, { values }: StagedTile["loads"]): number {
  return spec.valueDim / (valuePackSize(spec) * loadPacks(values));
}
