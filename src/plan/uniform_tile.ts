/** The tile of a fused attention whose lanes own query rows and read keys and values from uniform bindings. */
import { type DeviceProfile, SMALLEST_SUBGROUP } from "../gpu/profile.ts";
import {
  fusedPackSize,
  type FusedTile,
  headLoads,
  ROUNDS_BESIDE,
  valueLoads,
} from "./fused_tile.ts";
import { type PlanDevice, type PlanStart, rowsPerKvHead, tilesPerKvHead } from "./plan_base.ts";
import type { FilledSpec } from "./spec.ts";
import { type RowUnits, type UniformRanges, uniformRanges } from "./uniform_ranges.ts";

/** Lanes of a software driver that work at once. */
export const SOFTWARE_LANES = 8;
/** Workgroups below which some of its threads would have nothing to do. */
const FILLING = 8;
/** Rows of an invocation. */
const ROWS = 4;
/** Most elements of a head whose rows are kept in registers: of larger ones, loads are shared by more rows in other tiles. */
const MOST_ELEMENTS = 16;

/** A tile, and the ranges of rows of keys and values that its kernel binds. */
export interface UniformTile {
  tile: FusedTile;
  uniform: UniformRanges;
}

/**
 * The tile whose loads of keys and values are uniform; undefined where loads from storage are as cheap, or rows do not fit.
 *
 * Software drivers load from storage lane by lane, behind checks of their own: such a load costs 15 times as much as one from a
 * uniform on Mesa's lavapipe. A lane that owns a row exchanges nothing with others, so that no memory is shared and nobody waits.
 */
export function planUniformTile(
  { spec, parts }: PlanStart,
  { profile }: PlanDevice,
): UniformTile | undefined {
  if (!suitsUniforms(spec, profile) || spec.tuning || parts.length > 1) return undefined;
  const uniform = uniformRanges(keyUnits(spec));
  if (!uniform || !fills(spec, uniform)) return undefined;
  const [keys, loads] = [4, "packs" as const];
  const tile: FusedTile = {
    ...{
      rows: ROWS,
      rowGroups: SOFTWARE_LANES,
      lanes: 1,
      wantedLanes: 1,
      keys,
      sharers: 0,
      partners: 1,
    },
    ...{
      ownsColumns: false,
      keyChunk: 0,
      shuffles: false,
      strips: 1,
      columns: keys,
      tellsWhole: false,
      loads,
    },
    valueLoads: valueLoads({ spec, loads }),
    rounds: headLoads({ spec, loads }) + 1 + ROUNDS_BESIDE,
  };
  return { tile, uniform };
}

/**
 * Whether no more than half of what is dispatched has nothing to do: rows of the tiles of a KV head, and threads while a range
 * of keys runs, as each has a dispatch of its own.
 */
function fills(spec: FilledSpec, { ranges }: UniformRanges): boolean {
  const tileRows = SOFTWARE_LANES * ROWS;
  const tilesOfHead = tilesPerKvHead(spec, tileRows);
  const tilesOfRange = ranges[0].numUnits * headsOfUnit(spec) * tilesOfHead;
  return spec.numRows >= FILLING * tileRows && 2 * tilesOfRange >= FILLING &&
    2 * rowsPerKvHead(spec) >= tilesOfHead * tileRows;
}

/** Whether loads from storage are dear, and rows are small, of f32, and lie where a binding can hold them. */
export function suitsUniforms(
  spec: FilledSpec,
  { isSoftware, subgroupSize }: DeviceProfile,
): boolean {
  const { dtype, kvDtype, arithmetic, headDim, valueDim } = spec;
  const { pages, tokens, valuesAre, maskMod } = spec;
  const isPlain = [dtype, kvDtype, arithmetic].every((type) => type === "f32");
  // Whoever skips blocks of a mask has the bits of whoever does not: both have the tiles that can skip.
  const isContiguous = !pages && tokens === undefined && !valuesAre && !maskMod;
  const isSmall = fusedPackSize(spec) === 4 && Math.max(headDim, valueDim) <= MOST_ELEMENTS;
  // SwiftShader takes minutes to compile more than 16 sums of an invocation.
  return isSoftware && subgroupSize !== SMALLEST_SUBGROUP && isPlain && isContiguous && isSmall;
}

/** The rows of keys and values that belong together: those of a head, or those of a sequence where its heads lie in turns. */
export function keyUnits(spec: FilledSpec): RowUnits {
  const { batch, numKvHeads, capacity, headDim, valueDim, kvLayout } = spec;
  const rowBytes = [4 * headDim, 4 * valueDim];
  return kvLayout === "BNSH"
    ? { count: batch * numKvHeads, rows: capacity, rowBytes }
    : { count: batch, rows: numKvHeads * capacity, rowBytes };
}

/** The KV heads of a unit. */
export function headsOfUnit({ numKvHeads, kvLayout }: FilledSpec): number {
  return kvLayout === "BNSH" ? 1 : numKvHeads;
}
