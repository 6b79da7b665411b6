/** The tile sizes that suit a device, by its class. */
import { clamp, floorPowerOfTwo } from "../base/numbers.ts";
import { type DeviceProfile, SMALLEST_SUBGROUP } from "../gpu/profile.ts";

/** The sizes by which a class of devices cuts the fused attention into tiles. */
export interface Tiling {
  /** Most query rows of an invocation. */
  maxRows: number;
  /** Most row groups of a workgroup: the invocations of each have rows of their own. */
  maxRowGroups: number;
  /** Keys that a lane scores at a time. */
  keys: number;
  /**
   * Most pairs of a row and a key of a lane where each pair loads a bias or a mask, which takes long to compile: a lane has
   * fewer rows then.
   */
  maxPairs: number;
  /** Fewest lanes of a row group. */
  lanes: number;
  /** Fewest invocations of a workgroup. */
  workgroup: number;
  /** Neighbouring lanes that load rows for each other; 0 where each lane loads its own. */
  sharers: number;
  /**
   * Fewest neighbouring lanes that score each of their keys together, if their share of the queries fits registers; 1 where
   * each scores its own.
   */
  partners: number;
  /**
   * Loads of each key that a workgroup brings to its memory at a time, where neighbours share neither rows nor keys; 0 where
   * lanes load keys from the buffer.
   */
  keyChunk: number;
  /** Columns whose values a lane loads at a time: the loads under way at once. */
  columns: number;
  /** Workgroups that keep the whole device at work: a context is cut into slices until there are as many. */
  fillingWorkgroups: number;
}

/** Most rows of a KV head whose operations are too few for each byte to keep a GPU from waiting for memory. */
const MEMORY_BOUND_ROWS = 8;

/** Lanes that load a key together: 8 times 16 bytes are a cache line of most GPUs. */
const PARTNERS = 8;

/**
 * Tile sizes by class of device, for `rows` rows that read the same KV head: measured on Mesa lavapipe for software
 * (bench/NOTES.md); for GPUs set by their limits and yet to be measured.
 */
export function tilingOf({ isSoftware, subgroupSize }: DeviceProfile, rows: number): Tiling {
  if (!isSoftware) return gpuTiling(subgroupSize, rows);
  const software = {
    maxPairs: 16,
    lanes: 8,
    workgroup: 8,
    partners: 1,
    keyChunk: 0,
    columns: clamp(floorPowerOfTwo(8 / rows), 1, 4),
    fillingWorkgroups: 8,
  };
  // SwiftShader takes minutes to compile more than 16 sums of an invocation.
  if (subgroupSize === SMALLEST_SUBGROUP) {
    return {
      ...{ ...software, lanes: 4, workgroup: 4, columns: 1 },
      ...{ maxRows: 4, maxRowGroups: 1, keys: 4, sharers: 4 },
    };
  }
  return subgroupSize < SMALLEST_SUBGROUP
    ? {
      ...{ ...software, maxRows: Math.min(8, rows), maxRowGroups: 4, keys: keysFor(rows, 8) },
      sharers: 0,
    }
    : {
      ...{ ...software, maxRows: Math.min(16, rows), maxRowGroups: 1, keys: keysFor(rows, 4) },
      sharers: Math.min(8, subgroupSize),
    };
}

/**
 * Few rows wait for memory: a workgroup is one subgroup of most GPUs, which waits for no other, and neighbouring lanes load
 * neighbouring packs of a key. Many rows wait for arithmetic: a tile has many rows, which share each load.
 */
function gpuTiling(subgroupSize: number, rows: number): Tiling {
  const gpu = { maxRowGroups: 4, maxPairs: 32, sharers: 0 };
  if (rows > MEMORY_BOUND_ROWS || subgroupSize < PARTNERS) {
    return {
      ...{ ...gpu, maxRows: 8, keys: 4, lanes: 16, workgroup: 64, partners: 1 },
      ...{ keyChunk: 4, columns: 4, fillingWorkgroups: 512 },
    };
  }
  const lanes = clamp(subgroupSize, 32, 64);
  return {
    ...{ ...gpu, maxRows: 4, keys: 1, lanes, workgroup: lanes, partners: PARTNERS },
    ...{ keyChunk: 4, columns: 8, fillingWorkgroups: 2048 },
  };
}

/** Fewer rows take more keys, up to 16: 64 sums of an invocation, and fewer loads of rows for each key. */
function keysFor(rows: number, least: number): number {
  return clamp(floorPowerOfTwo(64 / rows), least, 16);
}
