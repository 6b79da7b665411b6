/** The slices that the context is cut into, so that few tiles of rows keep the whole device at work. */
import { isTransformed } from "../cache/kv_transform.ts";
import { loopRounds } from "../gpu/profile.ts";
import { fusedPacks, type FusedTile } from "./fused_tile.ts";
import type { PlanDevice, PlanStart } from "./plan_base.ts";
import type { FilledSpec } from "./spec.ts";
import { fusedStorageBuffers, mostStorageBuffers } from "./storage_buffers.ts";

/** Tiles of columns that are worth a slice: each slice costs a partial state to write, read and merge. */
const TILES_PER_SLICE = 2;
/** Columns that are worth a slice where lanes sum up whole values: software is done with fewer before it has begun to merge. */
const OWN_COLUMNS_PER_SLICE = 512;
/** Bytes of a maximum and a denominator. */
export const STATE_BYTES = 8;
/** Invocations of a workgroup of the merge. */
export const MERGE_WORKGROUP = 64;

/**
 * The number of slices: as many as fill the device while each is worth its merge, and at least as many as loops need to go
 * round the context; undefined if memory or the grid has no room for these.
 */
export function planSlices(
  { spec, contextLen }: PlanStart,
  tile: FusedTile,
  { numTiles, fillingWorkgroups, besideSlices }: {
    numTiles: number;
    fillingWorkgroups: number;
    /** Bytes of the scratch that transformed queries and textures take. */
    besideSlices: number;
  },
  { limits, profile }: PlanDevice,
): number | undefined {
  const { maxStorageBufferBindingSize, maxComputeWorkgroupsPerDimension } = limits;
  const tileColumns = tile.lanes * tile.keys;
  const tilesOfSlice = Math.floor(loopRounds(profile) / tile.rounds);
  const least = Math.max(1, Math.ceil(Math.ceil(contextLen / tileColumns) / tilesOfSlice));
  const scratchBytes = Math.min(
    spec.maxScratchBytes - besideSlices,
    maxStorageBufferBindingSize,
  );
  // Slices write two buffers of states where a whole context writes its output.
  const bindsStates = fusedStorageBuffers(spec, 2) <= mostStorageBuffers(limits);
  const mergesTooMany = !isTransformed(spec) &&
    mergeWorkgroups(spec) > maxComputeWorkgroupsPerDimension;
  const most = mergesTooMany || !bindsStates
    ? 1
    : Math.min(Math.floor(scratchBytes / stateBytes(spec)), maxComputeWorkgroupsPerDimension);
  if (least > Math.max(1, most)) return undefined;
  const filling = Math.ceil(fillingWorkgroups / numTiles);
  const sliceColumns = tile.ownsColumns ? OWN_COLUMNS_PER_SLICE : tileColumns * TILES_PER_SLICE;
  const worthwhile = Math.floor(contextLen / sliceColumns);
  return Math.max(least, Math.min(filling, worthwhile, most));
}

/** Bytes of scratch: the partial states of all slices, where they are merged or leave a transform. */
export function sliceBytes(spec: FilledSpec, slices: number): number {
  return slices === 1 && !isTransformed(spec) ? 0 : slices * stateBytes(spec);
}

/** Workgroups of the merge: an invocation for each pack of the output. */
export function mergeWorkgroups(spec: FilledSpec): number {
  return Math.ceil(spec.numRows * fusedPacks(spec) / MERGE_WORKGROUP);
}

/** Bytes of the partial states of a slice: for each row a value, a maximum and a denominator, in f32. */
export function stateBytes(spec: FilledSpec): number {
  return spec.numRows * (spec.valueDim * 4 + STATE_BYTES);
}
