/** The tile of a fused attention whose lanes compute every product themselves. */
import { ceilPowerOfTwo, clamp, floorPowerOfTwo } from "../base/numbers.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import { loadPacks, type Loads } from "../tensor/loads.ts";
import {
  broadcastColumns,
  fusedPackSize,
  type FusedTile,
  headLoads,
  leastLanes,
  ROUNDS_BESIDE,
  stripBytes,
  valueLoads,
} from "./fused_tile.ts";
import { stateRounds } from "./mask_blocks.ts";
import { type PlanDevice, rowsPerKvHead } from "./plan_base.ts";
import { masksKeys } from "../score/score_spec.ts";
import type { FilledSpec } from "./spec.ts";
import type { Tiling } from "./tiling.ts";

/** The rows of a tile. */
type TileRows = Pick<FusedTile, "rows" | "rowGroups">;

/** Floats of queries that a lane with partners should keep in registers, and the most that it may keep. */
const LANE_QUERY_FLOATS = 64;
const MAX_LANE_QUERY_FLOATS = 96;
/**
 * Most floats of a value, and of the sums of all its rows, of a lane that sums up whole values: more take long to compile, or
 * leave registers. Its keys are few, so that short contexts fill a tile.
 */
const MAX_OWN_VALUE = 32;
const MAX_OWN_SUMS = 128;
const MAX_OWN_KEYS = 4;

/** The tile of a tiling with the most lanes that fit the device; undefined if none fits. */
export function planLaneTile(
  spec: FilledSpec,
  loads: Loads,
  { limits, profile }: PlanDevice,
  tiling: Tiling,
): FusedTile | undefined {
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = limits;
  const rows = planRows(spec, tiling);
  const wantedLanes = Math.max(tiling.lanes, tiling.workgroup / rows.rowGroups, leastLanes(spec));
  for (let lanes = wantedLanes; lanes > 1; lanes /= 2) {
    const tile = { ...planLanes(spec, { ...rows, lanes, loads }, profile, tiling), wantedLanes };
    const fits = lanes >= tile.sharers &&
      lanes * tile.rowGroups <= maxComputeInvocationsPerWorkgroup &&
      laneWorkgroupBytes(spec, tile) <= maxComputeWorkgroupStorageSize;
    if (fits) return tile;
  }
}

/** Bytes of workgroup memory: the weights of the tile, reductions over lanes and strips, and a chunk of keys. */
export function laneWorkgroupBytes(
  spec: FilledSpec,
  tile: Pick<
    FusedTile,
    keyof TileRows | "keys" | "lanes" | "strips" | "shuffles" | "ownsColumns" | "loads" | "keyChunk"
  >,
): number {
  const { rows, rowGroups, keys, lanes, loads, keyChunk, ownsColumns } = tile;
  const keyLoads = keyChunk === 0 ? 0 : keyChunk + 1;
  const staged = lanes * keys * keyLoads * fusedPackSize(spec) * loadPacks(loads);
  const shared = lanes * rowGroups * rows * (ownsColumns ? 1 : keys + 1);
  return 4 * (staged + shared) + stripBytes(tile);
}

/** The fewest tiles, with rows as even as can be: few rows are computed in vain. */
function planRows(spec: FilledSpec, tiling: Tiling): TileRows {
  const { maxRowGroups, keys, maxPairs } = tiling;
  // Each row and key of a lane loads a bias or a mask of its own.
  const maxRows = spec.bias || spec.mask
    ? clamp(Math.floor(maxPairs / keys), 1, tiling.maxRows)
    : tiling.maxRows;
  const perKvHead = rowsPerKvHead(spec);
  const perTile = Math.ceil(perKvHead / Math.ceil(perKvHead / (maxRows * maxRowGroups)));
  const rowGroups = Math.min(maxRowGroups, ceilPowerOfTwo(Math.ceil(perTile / maxRows)));
  return { rows: Math.ceil(perTile / rowGroups), rowGroups };
}

/** Divides the work of a row group over its lanes. */
function planLanes(
  spec: FilledSpec,
  { rows, rowGroups, lanes, loads: wanted }: TileRows & Pick<FusedTile, "lanes" | "loads">,
  profile: DeviceProfile,
  tiling: Tiling,
): Omit<FusedTile, "wantedLanes"> {
  const { sharers } = tiling;
  const shuffles = lanes <= profile.subgroupSize;
  // Software runs barriers and workgroup memory badly: where a lane can sum up whole values, it needs neither.
  const ownsColumns = sharers > 0 && shuffles && spec.valueDim <= MAX_OWN_VALUE &&
    rows * spec.valueDim <= MAX_OWN_SUMS;
  const keys = ownsColumns ? Math.min(tiling.keys, MAX_OWN_KEYS) : tiling.keys;
  // Lanes that share weights have no strips: loads of several packs must not leave half of them without a value.
  const leavesHalf = sharers > 0 && !ownsColumns &&
    valueLoads({ spec, loads: wanted }) <= lanes / 2;
  const loads = leavesHalf ? "packs" : wanted;
  const keyLoads = headLoads({ spec, loads });
  const perValue = valueLoads({ spec, loads });
  const strips = ownsColumns ? lanes : planStrips(lanes, perValue, sharers);
  const partners = planPartners(spec, { rows, lanes, keyLoads }, profile, tiling);
  const loadsApart = sharers === 0 && partners === 1;
  const keyChunk = loadsApart ? Math.min(tiling.keyChunk, ceilPowerOfTwo(keyLoads)) : 0;
  const columns = ownsColumns
    ? keys
    : broadcastColumns({ lanes, sharers }) ?? planColumns(keys * lanes / strips, tiling);
  return {
    ...{ rows, rowGroups, lanes, keys, sharers, partners, keyChunk, strips, columns, loads },
    ...{ ownsColumns, shuffles },
    tellsWhole: !(profile.isSoftware || masksKeys(spec)),
    valueLoads: Math.ceil(perValue * strips / lanes),
    rounds: keyLoads * (keyChunk === 0 ? 1 : 1 + keys) +
      Math.ceil(lanes * keys / (strips * columns)) + ROUNDS_BESIDE +
      stateRounds(spec, rows * rowGroups, lanes * keys),
  };
}

/** Lanes that share elements of a value; those that share weights work on the same column. */
function planStrips(lanes: number, perValue: number, sharers: number): number {
  return sharers > 0 ? 1 : Math.max(1, lanes / ceilPowerOfTwo(perValue));
}

/** The most columns, up to those that the tiling asks for, that divide the columns of a strip. */
function planColumns(stripColumns: number, { columns: wanted }: Tiling): number {
  let columns = wanted;
  while (stripColumns % columns !== 0) columns /= 2;
  return columns;
}

/**
 * The partners of a key: as many as the tiling asks for, or more where queries would leave registers, that divide the lanes,
 * a subgroup and the loads of a key; 1 where these cannot keep the queries in registers.
 */
function planPartners(
  { headDim }: FilledSpec,
  { rows, lanes, keyLoads }: { rows: number; lanes: number; keyLoads: number },
  { subgroupSize }: DeviceProfile,
  { partners: wanted }: Tiling,
): number {
  if (wanted === 1) return 1;
  const most = Math.min(lanes, floorPowerOfTwo(Math.max(1, subgroupSize)));
  const needed = Math.max(wanted, ceilPowerOfTwo(headDim * rows / LANE_QUERY_FLOATS));
  let partners = Math.min(most, needed);
  while (keyLoads % partners !== 0) partners /= 2;
  return headDim * rows / partners <= MAX_LANE_QUERY_FLOATS ? partners : 1;
}
