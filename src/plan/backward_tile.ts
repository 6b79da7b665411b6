/** The tile of a gradient: the rows that a workgroup holds, and those that pass by. */
import { sentence } from "../base/check.ts";
import { ceilPowerOfTwo } from "../base/numbers.ts";
import { type DeviceProfile, SMALLEST_SUBGROUP } from "../gpu/profile.ts";
import { loadPacks, type Loads } from "../tensor/loads.ts";
import { ACTION } from "./backward_spec.ts";
import {
  broadcastColumns,
  fusedLoads,
  fusedPackSize,
  leastLanes,
  stripBytes,
} from "./fused_tile.ts";
import type { PlanDevice } from "./plan_base.ts";
import type { FilledSpec } from "./spec.ts";

/**
 * The tile of a gradient. For dq a workgroup holds query rows, and keys and values pass by; for dk and dv it holds keys and
 * values, and query rows pass by.
 */
export interface GradientTile {
  /** Rows that an invocation holds. */
  rows: number;
  /** Row groups of a workgroup: the invocations of each hold rows of their own. */
  rowGroups: number;
  /** Invocations of a row group. */
  lanes: number;
  /** Rows that pass by a lane at a time. */
  keys: number;
  /** Neighbouring lanes that load what is held for each other, by subgroup operations; 0 where each lane loads its own. */
  sharers: number;
  /** Lanes of a row group that sum up the same elements of a row, each over rows of its own. */
  strips: number;
  /** Rows whose elements a lane loads at a time to sum them up. */
  columns: number;
  /** Whether lanes reduce by subgroup operations and not through workgroup memory. */
  shuffles: boolean;
  /** The packs that a load brings. */
  loads: Loads;
}

/** Bytes of the state of a query row: its log-sum-exp, D, and the length of its sequence, as uniforms may hold it. */
export const ROW_STATE_BYTES = 16;

/** The sizes that suit a class of devices: measured on Mesa lavapipe for software, set by their limits for GPUs. */
type Wanted = Pick<GradientTile, "rows" | "rowGroups" | "lanes" | "keys" | "sharers" | "columns">;

function wantedTile({ isSoftware, subgroupSize }: DeviceProfile): Wanted {
  if (!isSoftware) return { rows: 4, rowGroups: 2, lanes: 32, keys: 2, sharers: 0, columns: 4 };
  const software = { rowGroups: 1, columns: 1, lanes: 8 };
  // SwiftShader takes minutes to compile more than 16 sums of an invocation.
  if (subgroupSize === SMALLEST_SUBGROUP) {
    return { ...software, rows: 4, lanes: 4, keys: 2, sharers: 4 };
  }
  return subgroupSize < SMALLEST_SUBGROUP
    ? { ...software, rows: 8, keys: 4, sharers: 0 }
    : { ...software, rows: 16, keys: 4, sharers: 8 };
}

/** Most pairs of rows of a lane where each pair loads a bias or a mask, which takes long to compile. */
const MOST_PAIRS = 16;

/**
 * The tile for a device and its loads: smaller than its class wants where a workgroup has no room.
 *
 * @throws {RangeError} If none fits.
 */
export function planGradientTile(
  spec: FilledSpec,
  { limits, profile }: PlanDevice,
  loads: Loads = fusedLoads(spec, profile),
): GradientTile {
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = limits;
  const wanted = wantedTile(profile);
  const widest = { ...spec, valueDim: Math.max(spec.headDim, spec.valueDim) };
  const lanes = Math.max(wanted.lanes, leastLanes(widest));
  const { sharers } = wanted;
  const columns = broadcastColumns({ lanes, sharers }) ?? wanted.columns;
  const loadsOfRow = widest.valueDim / (fusedPackSize(spec) * loadPacks(loads));
  // Lanes that share what is held work on the same row.
  const strips = sharers > 0 ? 1 : Math.max(1, lanes / ceilPowerOfTwo(loadsOfRow));
  const shuffles = lanes <= profile.subgroupSize;
  let { rows, rowGroups, keys } = wanted;
  if (spec.bias || spec.mask) rows = Math.min(rows, MOST_PAIRS / keys);
  for (;;) {
    const tile = { rows, rowGroups, lanes, keys, sharers, strips, columns, shuffles, loads };
    const fits = lanes * rowGroups <= maxComputeInvocationsPerWorkgroup &&
      gradientWorkgroupBytes(tile) <= maxComputeWorkgroupStorageSize;
    if (fits) return tile;
    if (rowGroups > 1) rowGroups /= 2;
    else if (keys > 1) keys /= 2;
    else if (rows > 1) rows /= 2;
    else {
      throw new RangeError(
        sentence(ACTION, "a workgroup must hold a tile (use another device)", {
          ...{ lanes, maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize },
        }),
      );
    }
  }
}

/** Bytes of workgroup memory: weights and gradients of the pairs of a tile, or what lanes reduce, places of rows, and strips. */
export function gradientWorkgroupBytes(
  tile: Pick<GradientTile, "rows" | "rowGroups" | "lanes" | "keys" | "strips" | "shuffles">,
): number {
  const { rows, rowGroups, lanes, keys } = tile;
  return 4 * lanes * keys * (2 * rows * rowGroups + 1) + stripBytes(tile);
}
