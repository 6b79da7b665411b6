/** What a workgroup of the fused implementation works on at a time, and how its lanes divide it. */
import { matrixRounds, matrixTile } from "./matrix_tile.ts";
import { ceilPowerOfTwo, clamp, floorPowerOfTwo } from "../base/numbers.ts";
import { loadPacks, type Loads, loadsOf, packSize } from "../tensor/loads.ts";
import type { PlanLimits } from "../gpu/limits.ts";
import { rowsPerKvHead } from "./plan_base.ts";
import type { DeviceProfile, MatrixBlock } from "../gpu/profile.ts";
import type { Tiling } from "./tiling.ts";
import type { FilledSpec } from "./spec.ts";

/** The rows and columns that a workgroup works on at a time, and how its lanes divide them. */
export interface FusedTile {
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
  /** Columns whose values a lane loads at a time. */
  columns: number;
  /**
   * Whether values of columns that all rows of a tile see are summed up in a way of their own, without a look at each weight:
   * not on software, which takes twice as long to compile both and gains little.
   */
  tellsWhole: boolean;
  /** What a load of keys or values brings. */
  loads: Loads;
  /** Loads of the value that a lane owns. */
  valueLoads: number;
  /** What matrix units multiply at once; nothing where products are not computed on them. */
  matrix?: MatrixBlock;
}

/** How the lanes of a row group divide its work. */
type Lanes = Pick<
  FusedTile,
  | "lanes"
  | "wantedLanes"
  | "partners"
  | "keyChunk"
  | "strips"
  | "columns"
  | "loads"
  | "valueLoads"
>;

/** Floats of a value that a lane sums up for each of its rows: more would leave registers, and compile for long. */
const MAX_LANE_FLOATS = 16;
/** Floats of its rows' queries that a lane with partners should keep, and keeps at most where their number must divide. */
const LANE_QUERY_FLOATS = 64;
const MAX_LANE_QUERY_FLOATS = 96;
/** Rounds of small loops for each tile, at most: reductions over lanes and what the walk itself takes. */
const ROUNDS_BESIDE = 16;

/** The largest tile of a tiling that fits the device; nothing where none does. */
export function planTile(
  spec: FilledSpec,
  limits: PlanLimits,
  profile: DeviceProfile,
  tiling: Tiling,
): FusedTile | undefined {
  return spec.arithmetic === "matrix"
    ? planMatrixTile(spec, limits, profile)
    : planLaneTile(spec, limits, profile, tiling);
}

/** Rounds of loops that a tile takes, at most. */
export function roundsOfTile(spec: FilledSpec, tile: FusedTile): number {
  const { lanes, keys, strips, columns, loads, keyChunk, matrix } = tile;
  return headLoads({ spec, loads }) * (keyChunk === 0 ? 1 : 1 + keys) +
    Math.ceil(lanes * keys / (strips * columns)) +
    (matrix ? matrixRounds(spec, { ...tile, matrix }) : 0) +
    ROUNDS_BESIDE;
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
export function headLoads({ spec, loads }: { spec: FilledSpec; loads: Loads }): number {
  return spec.headDim / (fusedPackSize(spec) * loadPacks(loads));
}

function valueLoads({ spec, loads }: { spec: FilledSpec; loads: Loads }): number {
  return fusedPacks(spec) / loadPacks(loads);
}

/** Bytes of workgroup memory: weights of the tile, reductions over lanes and strips, and a chunk of keys where there is one. */
export function fusedWorkgroupBytes(
  spec: FilledSpec,
  { rows, rowGroups, keys, lanes, strips, loads, keyChunk }: Pick<
    FusedTile,
    "rows" | "rowGroups" | "keys" | "lanes" | "strips" | "loads" | "keyChunk"
  >,
): number {
  const keyLoads = keyChunk === 0 ? 0 : keyChunk + 1;
  const staged = lanes * keys * keyLoads * fusedPackSize(spec) * loadPacks(loads);
  const shared = lanes * rowGroups * rows * (keys + 1);
  return 4 * (staged + shared) + 16 * stripInvocations({ rowGroups, lanes, strips });
}

/** Invocations that strips are added up over. There is room for one even where there is nothing to add. */
export function stripInvocations(
  { rowGroups, lanes, strips }: Pick<FusedTile, "rowGroups" | "lanes" | "strips">,
): number {
  return strips === 1 ? 1 : lanes * rowGroups;
}

/** On matrix units a workgroup is one subgroup, and what its lanes load is staged for all of them. */
function planMatrixTile(
  spec: FilledSpec,
  limits: PlanLimits,
  profile: DeviceProfile,
): FusedTile | undefined {
  const tile = matrixTile(spec, limits, profile);
  if (!tile || tile.lanes < leastLanes(spec)) return undefined;
  const { lanes } = tile;
  const loads = planLoads(spec, lanes, profile, { sharers: 0 });
  return {
    ...tile,
    ...{ rowGroups: 1, wantedLanes: lanes, sharers: 0, partners: 1, keyChunk: 0, shuffles: true },
    ...{
      strips: 1,
      columns: 1,
      tellsWhole: false,
      loads,
      valueLoads: Math.ceil(valueLoads({ spec, loads }) / lanes),
    },
  };
}

function planLaneTile(
  spec: FilledSpec,
  limits: PlanLimits,
  profile: DeviceProfile,
  tiling: Tiling,
): FusedTile | undefined {
  const { keys, sharers } = tiling;
  const maxRows = mostRows(spec, tiling);
  const rows = planRows(rowsPerKvHead(spec), { ...tiling, maxRows });
  const split = planLanes({ ...rows, keys }, spec, limits, profile, tiling);
  return split && {
    ...{ ...rows, ...split, keys, sharers },
    shuffles: split.lanes <= profile.subgroupSize,
    tellsWhole: !(profile.isSoftware || spec.bias || spec.mask),
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
): Pick<FusedTile, "rows" | "rowGroups"> {
  const perTile = Math.ceil(perKvHead / Math.ceil(perKvHead / (maxRows * maxRowGroups)));
  const rowGroups = Math.min(maxRowGroups, ceilPowerOfTwo(Math.ceil(perTile / maxRows)));
  return { rows: Math.ceil(perTile / rowGroups), rowGroups };
}

function planLanes(
  tile: Pick<FusedTile, "rows" | "rowGroups" | "keys">,
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
    const perValue = valueLoads({ spec, loads });
    // Who shares weights with neighbours works on the same column.
    const strips = sharers > 0 ? 1 : Math.max(1, lanes / ceilPowerOfTwo(perValue));
    const perKey = headLoads({ spec, loads });
    const partners = planPartners(spec, { ...tile, lanes, perKey }, profile, tiling);
    const keyChunk = sharers > 0 || partners > 1
      ? 0
      : Math.min(tiling.keyChunk, ceilPowerOfTwo(perKey));
    const columns = planColumns({ ...tile, lanes, strips }, tiling);
    const split = { lanes, wantedLanes, partners, keyChunk, strips, columns, loads };
    const fits = lanes >= sharers &&
      lanes * tile.rowGroups <= maxComputeInvocationsPerWorkgroup &&
      fusedWorkgroupBytes(spec, { ...tile, ...split }) <= maxComputeWorkgroupStorageSize;
    if (fits) return { ...split, valueLoads: Math.ceil(perValue * strips / lanes) };
  }
}

/** As many as the tiling asks for, or as divide what a strip has of a tile. */
function planColumns(
  { keys, lanes, strips }: Pick<FusedTile, "keys" | "lanes" | "strips">,
  { columns: wanted }: Pick<Tiling, "columns">,
): number {
  let columns = wanted;
  while (keys * lanes % (columns * strips) !== 0) columns /= 2;
  return columns;
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
  { headDim }: FilledSpec,
  { rows, lanes, perKey }: { rows: number; lanes: number; perKey: number },
  { subgroupSize }: DeviceProfile,
  { partners: wanted }: Tiling,
): number {
  if (wanted === 1) return 1;
  const most = Math.min(lanes, floorPowerOfTwo(Math.max(1, subgroupSize)));
  let partners = Math.min(
    most,
    Math.max(wanted, ceilPowerOfTwo(headDim * rows / LANE_QUERY_FLOATS)),
  );
  while (perKey % partners !== 0) partners /= 2;
  return headDim * rows / partners <= MAX_LANE_QUERY_FLOATS ? partners : 1;
}
