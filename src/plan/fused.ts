import { fusedPacks, type FusedTile, planTile, roundsOfTile } from "./fused_tile.ts";
import { numRows, type PlanBase, rowsPerKvHead } from "./plan_base.ts";
import type { PlanLimits } from "../gpu/limits.ts";
import { type DeviceProfile, loopRounds } from "../gpu/profile.ts";
import type { FilledSpec } from "./spec.ts";
import { tilingFor } from "./tiling_for.ts";

/** How a fused attention runs: one pass over each slice of the context, then, for several slices, a merge. */
export interface FusedPlan extends PlanBase, FusedTile {
  /** Which implementation is planned. */
  impl: "fused";
  /** Slices that the context is cut into. */
  slices: number;
  /** Dispatches: ranges of tiles of `rows * rowGroups` rows of one KV head, each within a part of keys and values. */
  blocks: readonly { firstTile: number; numTiles: number; part: number }[];
}

/** Tiles of columns that are worth a slice: each slice costs a partial state to write, read and merge. */
const TILES_PER_SLICE = 2;
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
  const tile = planTile(spec, limits, profile, tiling);
  if (!tile) return undefined;
  const { rows, rowGroups, lanes, keys } = tile;

  const allPacks = fusedPacks(spec);
  const tilesPerKvHead = Math.ceil(rowsPerKvHead(spec) / (rows * rowGroups));
  const numTiles = batch * numKvHeads * tilesPerKvHead;
  const stateBytes = numRows(spec) * (valueDim + 2) * 4;
  const tileColumns = lanes * keys;
  const tilesOfSlice = Math.floor(loopRounds(profile) / roundsOfTile(spec, tile));
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
    slices,
    blocks: parts.flatMap(({ firstHead, numHeads }, part) =>
      tileBlocks(numHeads * tilesPerKvHead, limits.maxComputeWorkgroupsPerDimension).map((
        { firstTile, numTiles },
      ) => ({ firstTile: firstHead * tilesPerKvHead + firstTile, numTiles, part }))
    ),
    scratchBytes: slices === 1 ? 0 : slices * stateBytes,
  };
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
