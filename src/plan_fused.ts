import { ceilPowerOfTwo, clamp, floorPowerOfTwo } from "./_numbers.ts";
import {
  loadPacks,
  type Loads,
  loadsOf,
  numRows,
  packSize,
  type PlanBase,
  type PlanLimits,
  rowsPerKvHead,
} from "./_plan.ts";
import { matrixRounds, matrixTile } from "./_matrix_tile.ts";
import { type DeviceProfile, loopRounds, type MatrixBlock, type Tiling } from "./profile.ts";
import type { FilledSpec } from "./spec.ts";
import { tilingFor } from "./tuning.ts";

/** How a fused attention runs: one pass over each slice of the context, then, for several slices, a merge. */
export interface FusedPlan extends PlanBase {
  /** Which implementation is planned. */
  impl: "fused";
  /** Query rows of an invocation. */
  rows: number;
  /** Groups of invocations with rows of their own, in a workgroup. */
  rowGroups: number;
  /** Invocations of a row group. */
  lanes: number;
  /** Lanes that the tiling asks for: more than `lanes` where a workgroup of the device holds no more. */
  wantedLanes: number;
  /** Keys that a lane scores at a time. */
  keys: number;
  /**
   * Lanes that load rows of q and of weights for their neighbours, by subgroup operations; 0 where each lane loads its own.
   */
  sharers: number;
  /** Neighbouring lanes that score each of their keys together; 1 where each scores its own. */
  partners: number;
  /** Loads of each key that a workgroup brings to its memory at a time; 0 where lanes load their keys where they lie. */
  keyChunk: number;
  /** Whether lanes reduce by subgroup operations and not through workgroup memory. */
  shuffles: boolean;
  /** Lanes of a row group that work on the same part of the value, on different columns. */
  strips: number;
  /** What a load of keys or values brings. */
  loads: Loads;
  /** Loads of the value that a lane owns. */
  valueLoads: number;
  /** What matrix units multiply at once; nothing where products are not computed on them. */
  matrix?: MatrixBlock;
  /** Slices that the context is cut into. */
  slices: number;
  /** Dispatches: ranges of tiles of `rows * rowGroups` rows of one KV head, each within a part of keys and values. */
  blocks: readonly { firstTile: number; numTiles: number; part: number }[];
}

/** Floats of a value that a lane sums up for each of its rows: more would leave registers, and compile for long. */
const MAX_LANE_FLOATS = 16;
/** Floats of its rows' queries that a lane with partners should keep, and keeps at most where their number must divide. */
const LANE_QUERY_FLOATS = 64;
const MAX_LANE_QUERY_FLOATS = 96;
/** Tiles of columns that are worth a slice: each slice costs a partial state to write, read and merge. */
const TILES_PER_SLICE = 2;
/** Rounds of small loops for each tile, at most: reductions over lanes and what the walk itself takes. */
const ROUNDS_BESIDE = 16;
/** Invocations of a workgroup of the merge. */
export const MERGE_WORKGROUP = 64;

/** Plans the fused implementation; nothing where it cannot fit the device. */
export function planFused(
  spec: FilledSpec,
  { contextLen, parts }: Pick<PlanBase, "contextLen" | "parts">,
  limits: PlanLimits,
  profile: DeviceProfile,
): FusedPlan | undefined {
  const { batch, numKvHeads, valueDim, maxScratchBytes } = spec;
  const tiling = tilingFor(spec, profile);
  const tile = spec.products === "matrix"
    ? planMatrixTile(spec, limits, profile)
    : planTile(spec, limits, profile, tiling);
  if (!tile) return undefined;
  const { rows, rowGroups, lanes, keys, strips, loads, keyChunk, matrix } = tile;

  const allPacks = fusedPacks(spec);
  const tilesPerKvHead = Math.ceil(rowsPerKvHead(spec) / (rows * rowGroups));
  const numTiles = batch * numKvHeads * tilesPerKvHead;
  const stateBytes = numRows(spec) * (valueDim + 2) * 4;
  const tileColumns = lanes * keys;
  const roundsOfTile = headLoads({ spec, loads }) * (keyChunk === 0 ? 1 : 1 + keys) +
    Math.ceil(tileColumns / strips) +
    (matrix ? matrixRounds(spec, { rows, lanes, keys, matrix }) : 0) +
    ROUNDS_BESIDE;
  const tilesOfSlice = Math.floor(loopRounds(profile) / roundsOfTile);
  const leastSlices = Math.max(1, Math.ceil(Math.ceil(contextLen / tileColumns) / tilesOfSlice));
  const canMerge =
    numRows(spec) * allPacks <= MERGE_WORKGROUP * limits.maxComputeWorkgroupsPerDimension;
  const mostSlices = canMerge
    ? Math.min(
      Math.floor(Math.min(maxScratchBytes, limits.maxStorageBufferBindingSize) / stateBytes),
      limits.maxComputeWorkgroupsPerDimension,
    )
    : 1;
  if (leastSlices > Math.max(1, mostSlices)) return undefined;
  const worthwhile = Math.floor(contextLen / (tileColumns * TILES_PER_SLICE));
  const filling = Math.ceil(tiling.fillingWorkgroups / numTiles);
  const wanted = Math.min(filling, worthwhile, mostSlices);
  const slices = Math.max(leastSlices, wanted);
  return {
    impl: "fused",
    spec,
    groupSize: spec.numHeads / numKvHeads,
    contextLen,
    parts,
    ...tile,
    valueLoads: Math.ceil(valueLoads({ spec, loads }) * strips / lanes),
    slices,
    blocks: parts.flatMap(({ firstHead, numHeads }, part) =>
      tileBlocks(numHeads * tilesPerKvHead, limits.maxComputeWorkgroupsPerDimension).map((
        { firstTile, numTiles },
      ) => ({ firstTile: firstHead * tilesPerKvHead + firstTile, numTiles, part }))
    ),
    scratchBytes: slices === 1 ? 0 : slices * stateBytes,
  };
}

/** Keys and values are loaded alike: in fours where 4 divides both. */
export function fusedPackSize({ headDim, valueDim }: FilledSpec): 1 | 4 {
  return packSize(headDim) === 4 ? packSize(valueDim) : 1;
}

/** Packs that a row of the value has. */
export function fusedPacks(spec: FilledSpec): number {
  return spec.valueDim / fusedPackSize(spec);
}

/** Loads that a row of keys takes. */
export function headLoads({ spec, loads }: Pick<FusedPlan, "spec" | "loads">): number {
  return spec.headDim / (fusedPackSize(spec) * loadPacks(loads));
}

function valueLoads({ spec, loads }: Pick<FusedPlan, "spec" | "loads">): number {
  return fusedPacks(spec) / loadPacks(loads);
}

/** Bytes of workgroup memory: weights of the tile, reductions over lanes and strips, and a chunk of keys where there is one. */
export function fusedWorkgroupBytes(
  { spec, rows, rowGroups, keys, lanes, strips, loads, keyChunk }: Pick<
    FusedPlan,
    "spec" | "rows" | "rowGroups" | "keys" | "lanes" | "strips" | "loads" | "keyChunk"
  >,
): number {
  const keyLoads = keyChunk === 0 ? 0 : keyChunk + 1;
  const staged = lanes * keys * keyLoads * fusedPackSize(spec) * loadPacks(loads);
  const shared = lanes * rowGroups * rows * (keys + 1);
  return 4 * (staged + shared) + 16 * stripInvocations({ rowGroups, lanes, strips });
}

/** Invocations that strips are added up over. There is room for one even where there is nothing to add. */
export function stripInvocations(
  { rowGroups, lanes, strips }: Pick<FusedPlan, "rowGroups" | "lanes" | "strips">,
): number {
  return strips === 1 ? 1 : lanes * rowGroups;
}

/** How the lanes of a row group divide its work. */
type Lanes = Pick<
  FusedPlan,
  "lanes" | "wantedLanes" | "strips" | "loads" | "partners" | "keyChunk"
>;

/** What a workgroup works on, and how. */
type Tile =
  & Lanes
  & Pick<FusedPlan, "rows" | "rowGroups" | "keys" | "sharers" | "shuffles" | "matrix">;

/** On matrix units a workgroup is one subgroup, and what its lanes load is staged for all of them. */
function planMatrixTile(
  spec: FilledSpec,
  limits: PlanLimits,
  profile: DeviceProfile,
): Tile | undefined {
  const tile = matrixTile(spec, limits, profile);
  if (!tile || tile.lanes < leastLanes(spec)) return undefined;
  return {
    ...tile,
    ...{ rowGroups: 1, sharers: 0, shuffles: true },
    ...{ wantedLanes: tile.lanes, partners: 1, keyChunk: 0, strips: 1 },
    loads: planLoads(spec, tile.lanes, profile, { sharers: 0 }),
  };
}

function planTile(
  spec: FilledSpec,
  limits: PlanLimits,
  profile: DeviceProfile,
  tiling: Tiling,
): Tile | undefined {
  const { keys, sharers } = tiling;
  const maxRows = mostRows(spec, tiling);
  const rows = planRows(rowsPerKvHead(spec), { ...tiling, maxRows });
  const split = planLanes({ ...rows, keys }, spec, limits, profile, tiling);
  return split && {
    ...{ ...rows, ...split, keys, sharers },
    shuffles: split.lanes <= profile.subgroupSize,
  };
}

/** Lanes that a value needs at least. */
function leastLanes({ valueDim }: FilledSpec): number {
  return ceilPowerOfTwo(valueDim / MAX_LANE_FLOATS);
}

/** Rows of an invocation: fewer where each of its rows and keys loads a bias or a mask. */
function mostRows({ bias, mask }: FilledSpec, { maxRows, keys, maxPairs }: Tiling): number {
  return bias || mask ? clamp(Math.floor(maxPairs / keys), 1, maxRows) : maxRows;
}

/** The fewest tiles, and rows in each as even as can be, so that few are computed in vain. */
function planRows(
  perKvHead: number,
  { maxRows, maxRowGroups }: Pick<Tiling, "maxRows" | "maxRowGroups">,
): Pick<FusedPlan, "rows" | "rowGroups"> {
  const perTile = Math.ceil(perKvHead / Math.ceil(perKvHead / (maxRows * maxRowGroups)));
  const rowGroups = Math.min(maxRowGroups, ceilPowerOfTwo(Math.ceil(perTile / maxRows)));
  return { rows: Math.ceil(perTile / rowGroups), rowGroups };
}

function planLanes(
  tile: Pick<FusedPlan, "rows" | "rowGroups" | "keys">,
  spec: FilledSpec,
  limits: PlanLimits,
  profile: DeviceProfile,
  tiling: Tiling,
): Lanes | undefined {
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = limits;
  const { lanes: wanted, workgroup, sharers } = tiling;
  const wantedLanes = Math.max(wanted, workgroup / tile.rowGroups, leastLanes(spec));
  for (let lanes = wantedLanes; lanes > 1; lanes /= 2) {
    const loads = planLoads(spec, lanes, profile, tiling);
    const valueLanes = ceilPowerOfTwo(valueLoads({ spec, loads }));
    // Who shares weights with neighbours works on the same column.
    const strips = sharers > 0 ? 1 : Math.max(1, lanes / valueLanes);
    const keyLoads = headLoads({ spec, loads });
    const partners = planPartners(
      { spec, rows: tile.rows, lanes, loads: keyLoads },
      profile,
      tiling,
    );
    const keyChunk = sharers > 0 || partners > 1
      ? 0
      : Math.min(tiling.keyChunk, ceilPowerOfTwo(keyLoads));
    const split = { lanes, wantedLanes, strips, loads, partners, keyChunk };
    const fits = lanes >= sharers &&
      lanes * tile.rowGroups <= maxComputeInvocationsPerWorkgroup &&
      fusedWorkgroupBytes({ ...tile, ...split, spec }) <= maxComputeWorkgroupStorageSize;
    if (fits) return split;
  }
}

/**
 * Keys and values are loaded alike. Lanes that share weights with their neighbours have no strips: pairs of packs must then
 * not leave half of the lanes without a value.
 */
function planLoads(
  { kvDtype, headDim, valueDim }: FilledSpec,
  lanes: number,
  profile: DeviceProfile,
  { sharers }: Pick<Tiling, "sharers">,
): Loads {
  const [keys, values] = [headDim, valueDim].map((size) => loadsOf(profile, kvDtype, size));
  const leavesHalf = sharers > 0 && valueDim / 8 <= lanes / 2;
  return keys === values && !leavesHalf ? keys : "packs";
}

/**
 * As many as the tiling asks for, or more where queries would leave registers, and as divide the lanes, a subgroup and the
 * loads of a key; 1 where so many do not keep queries in registers.
 */
function planPartners(
  { spec: { headDim }, rows, lanes, loads }: {
    spec: FilledSpec;
    rows: number;
    lanes: number;
    loads: number;
  },
  { subgroupSize }: DeviceProfile,
  { partners: wanted }: Tiling,
): number {
  if (wanted === 1) return 1;
  const most = Math.min(lanes, floorPowerOfTwo(Math.max(1, subgroupSize)));
  let partners = Math.min(
    most,
    Math.max(wanted, ceilPowerOfTwo(headDim * rows / LANE_QUERY_FLOATS)),
  );
  while (loads % partners !== 0) partners /= 2;
  return headDim * rows / partners <= MAX_LANE_QUERY_FLOATS ? partners : 1;
}

function tileBlocks(
  numTiles: number,
  most: number,
): { firstTile: number; numTiles: number }[] {
  return Array.from({ length: Math.ceil(numTiles / most) }, (_, i) => ({
    firstTile: i * most,
    numTiles: Math.min(most, numTiles - i * most),
  }));
}
