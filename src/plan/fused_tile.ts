/** The tile of the fused implementation: the rows and columns that a workgroup works on at a time. */
import { ceilPowerOfTwo } from "../base/numbers.ts";
import type { DeviceProfile, MatrixBlock } from "../gpu/profile.ts";
import { loadPacks, type Loads, loadsOf, packSize } from "../tensor/loads.ts";
import type { FilledSpec } from "./spec.ts";

/** The rows and columns that a workgroup works on at a time, and how its lanes divide them. */
export interface FusedTile {
  /** Query rows of an invocation. */
  rows: number;
  /** Row groups of a workgroup: the invocations of each have rows of their own. */
  rowGroups: number;
  /** Invocations of a row group. */
  lanes: number;
  /** Lanes that the tiling asks for; more than `lanes` where a workgroup of the device cannot hold them. */
  wantedLanes: number;
  /** Keys that a lane scores at a time. */
  keys: number;
  /**
   * Neighbouring lanes that load rows of q and of weights for each other, by subgroup operations; 0 where each lane loads
   * its own.
   */
  sharers: number;
  /** Neighbouring lanes that score each of their keys together; 1 where each scores its own. */
  partners: number;
  /** Loads of each key that a workgroup brings to its memory at a time; 0 where lanes load keys from the buffer. */
  keyChunk: number;
  /** Whether lanes reduce by subgroup operations and not through workgroup memory. */
  shuffles: boolean;
  /** Lanes of a row group that sum up the same elements of the value, each over columns of its own. */
  strips: number;
  /** Columns whose values a lane loads at a time. */
  columns: number;
  /** Whether a lane sums up whole values, of the columns that it scores: weights stay in its registers. */
  ownsColumns: boolean;
  /**
   * Whether a loop of its own sums up the values of columns that every row of the tile sees, without testing each weight:
   * not on software, which takes twice as long to compile both loops and gains little.
   */
  tellsWhole: boolean;
  /** The packs that a load of keys or values brings. */
  loads: Loads;
  /** Loads of the value that a lane owns. */
  valueLoads: number;
  /** Rounds of loops that an invocation goes for each tile of columns, at most. */
  rounds: number;
  /** The block that matrix units multiply at once; absent where products are not computed on them. */
  matrix?: MatrixBlock;
}

/** Lanes of the subgroups of Mesa's lavapipe. */
const BROADCAST_LANES = 8;

/** Rounds of small loops for each tile of columns, at most: reductions over lanes, and the walk from tile to tile. */
export const ROUNDS_BESIDE = 16;

/** Floats of a value that a lane sums up for each of its rows: more would leave registers, and compile for long. */
const MAX_LANE_FLOATS = 16;

/** The fewest lanes that a value needs. */
export function leastLanes({ valueDim }: FilledSpec): number {
  return ceilPowerOfTwo(valueDim / MAX_LANE_FLOATS);
}

/** Elements of a pack where keys and values are loaded alike: in fours where 4 divides both. */
export function fusedPackSize({ headDim, valueDim }: FilledSpec): 1 | 4 {
  return packSize(headDim) === 4 ? packSize(valueDim) : 1;
}

/** Packs of a row of the value. */
export function fusedPacks(spec: FilledSpec): number {
  return spec.valueDim / fusedPackSize(spec);
}

/** The loads that both keys and values take. */
export function fusedLoads(spec: FilledSpec, profile: DeviceProfile): Loads {
  if (loadsWords(spec, profile)) return "words";
  const { kvDtype, headDim, valueDim } = spec;
  const [keys, values] = [headDim, valueDim].map((size) => loadsOf(profile, kvDtype, size));
  return keys === values ? keys : "packs";
}

/**
 * Whether rows of int8 are loaded as integers of 64 bits. A row begins at any word, as its step is one: a binding holds whole
 * integers where its rows are an even number.
 */
function loadsWords(
  { kvDtype, headDim, valueDim, capacity, pages, arithmetic }: FilledSpec,
  { longLoads }: DeviceProfile,
): boolean {
  const rows = pages ? pages.count * pages.size : capacity;
  return longLoads && kvDtype === "int8" && arithmetic !== "matrix" && rows % 2 === 0 &&
    headDim % 16 === 0 && valueDim % 16 === 0;
}

/** Loads of a row of keys. */
export function headLoads({ spec, loads }: { spec: FilledSpec; loads: Loads }): number {
  return spec.headDim / (fusedPackSize(spec) * loadPacks(loads));
}

/** Loads of a row of the value. */
export function valueLoads({ spec, loads }: { spec: FilledSpec; loads: Loads }): number {
  return fusedPacks(spec) / loadPacks(loads);
}

/** Bytes of workgroup memory through which strips are added up. */
export function stripBytes(
  { rowGroups, lanes, strips, shuffles }: Pick<
    FusedTile,
    "rowGroups" | "lanes" | "strips" | "shuffles"
  >,
): number {
  return strips === 1 || shuffles ? 0 : 16 * lanes * rowGroups;
}

/**
 * Columns whose weights neighbours broadcast: as many as they are, where they are a whole row group; undefined where weights go
 * through workgroup memory. Not in fours, as SwiftShader has them, which takes long to compile what is written out.
 */
export function broadcastColumns(
  { lanes, sharers }: Pick<FusedTile, "lanes" | "sharers">,
): number | undefined {
  return sharers === lanes && lanes === BROADCAST_LANES ? lanes : undefined;
}

/**
 * Whether lanes exchange what they compute by broadcasts, if at all, or through workgroup memory; a row group of one lane keeps
 * its own.
 */
export function exchangeOf(
  tile: Pick<FusedTile, "lanes" | "sharers" | "columns"> & Partial<Pick<FusedTile, "ownsColumns">>,
): "own" | "broadcast" | "shared" {
  if (tile.lanes === 1) return "own";
  return tile.ownsColumns || tile.columns === broadcastColumns(tile) ? "broadcast" : "shared";
}
