import type { Loads } from "../tensor/loads.ts";
import { fusedLoads, fusedPackSize, type FusedTile } from "./fused_tile.ts";
import { planLaneTile } from "./lane_tile.ts";
import { planMatrixTile } from "./matrix_tile.ts";
import {
  checkBlocks,
  type PlanBase,
  type PlanDevice,
  type PlanStart,
  rowsPerKvHead,
  tilesPerKvHead,
} from "./plan_base.ts";
import { planSlices, sliceBytes } from "./slices.ts";
import { planTexels, texelBytes, type TexelFill } from "./texels.ts";
import { ACTION, type FilledSpec } from "./spec.ts";
import { checkStorageBuffers, fusedStorageBuffers } from "./storage_buffers.ts";
import type { Tiling } from "./tiling.ts";
import { planTransform, type TransformPlan } from "./transform.ts";
import { tilingFor } from "./tuning.ts";
import type { UniformRanges } from "./uniform_ranges.ts";
import { headsOfUnit, planUniformTile } from "./uniform_tile.ts";

/** A range of tiles that is dispatched at once. */
export interface TileBlock {
  /** First tile of `rows * rowGroups` rows of one KV head. */
  firstTile: number;
  /** Number of tiles. */
  numTiles: number;
  /** The part of keys and values that they read. */
  part: number;
  /** The first row of keys and values that is bound, where these are uniforms. */
  firstBound?: number;
}

/** The plan of a fused attention: one pass over each slice of the context, then, for several slices, a merge. */
export interface FusedPlan extends PlanBase, FusedTile {
  /** The implementation. */
  impl: "fused";
  /** Slices that the context is cut into. */
  slices: number;
  /** Blocks of tiles, in order. */
  blocks: readonly TileBlock[];
  /** The transform of queries and outputs; absent where keys and values are stored as they were appended. */
  transform?: TransformPlan;
  /** The ranges of keys and values that are bound as uniforms; absent where they are not. */
  uniform?: UniformRanges;
  /** The textures that queries, keys and values are brought to; absent where these are read where they lie. */
  texels?: readonly TexelFill[];
}

/** What a fused plan decides before its slices. */
interface FusedReads {
  /** The tile; undefined if none fits the device. */
  tile: FusedTile | undefined;
  /** The ranges of keys and values that are bound as uniforms. */
  uniform?: UniformRanges;
  /** The textures that queries, keys and values are brought to. */
  texels?: readonly TexelFill[];
}

/** Plans the fused implementation; undefined if it cannot fit the device. */
export function planFused(start: PlanStart, device: PlanDevice): FusedPlan | undefined {
  const { spec } = start;
  const tiling = tilingFor(ACTION, spec.tuning, rowsPerKvHead(spec), device.profile);
  const ofUniforms = planUniformTile(start, device);
  if (ofUniforms) return planReads(start, device, tiling, ofUniforms);
  const ofLoads = (loads: Loads, texels?: readonly TexelFill[]) => {
    const tile = planTile(spec, loads, device, tiling);
    return planReads(start, device, tiling, { tile, texels });
  };
  const stored = ofLoads(fusedLoads(spec, device.profile));
  const texels = planTexels(start, device, tiling.maxRows * tiling.maxRowGroups, ["q", "k", "v"]);
  if (!texels) return stored;
  const brought = ofLoads("packs", texels);
  // Textures must not take the scratch that slices need: fewer leave parts of the device without work.
  return brought && brought.slices >= (stored?.slices ?? 1) ? brought : stored;
}

/** The plan of a tile that reads queries, keys and values in one way; undefined if it cannot fit the device. */
function planReads(
  start: PlanStart,
  device: PlanDevice,
  { fillingWorkgroups }: Tiling,
  { tile, uniform, texels }: FusedReads,
): FusedPlan | undefined {
  if (!tile) return undefined;
  const { spec, headBlocks } = start;
  const tilesOfHead = tilesPerKvHead(spec, tile.rows * tile.rowGroups);
  const numTiles = headBlocks.reduce((sum, { numHeads }) => sum + numHeads, 0) * tilesOfHead;
  const packs = { packSize: fusedPackSize(spec), loads: tile.loads };
  const transform = planTransform(spec, packs, device);
  const queryBytes = transform?.queryBytes ?? 0;
  const besideSlices = queryBytes + texelBytes(texels);
  const filling = { numTiles, fillingWorkgroups, besideSlices };
  const slices = uniform ? 1 : planSlices(start, tile, filling, device);
  if (slices === undefined) return undefined;
  checkStorageBuffers(fusedStorageBuffers(spec, slices), device.limits);
  return {
    impl: "fused",
    ...start,
    ...tile,
    slices,
    blocks: cut(
      uniform
        ? uniformBlocks(uniform, headsOfUnit(spec) * tilesOfHead)
        : headBlocks.map(({ firstHead, numHeads, part }) => (
          { firstTile: firstHead * tilesOfHead, numTiles: numHeads * tilesOfHead, part }
        )),
      device.limits.maxComputeWorkgroupsPerDimension,
    ),
    scratchBytes: sliceBytes(spec, slices) + besideSlices,
    ...(transform && { transform }),
    ...(uniform && { uniform }),
    ...(texels && { texels }),
  };
}

/** The tile of the arithmetic that is asked for; undefined if none fits the device. */
function planTile(
  spec: FilledSpec,
  loads: Loads,
  device: PlanDevice,
  tiling: Tiling,
): FusedTile | undefined {
  return spec.arithmetic === "matrix"
    ? planMatrixTile(spec, loads, device)
    : planLaneTile(spec, loads, device, tiling);
}

/** Cuts blocks into such of at most `most` tiles. */
function cut(blocks: readonly TileBlock[], most: number): TileBlock[] {
  checkBlocks(blocks.reduce((sum, { numTiles }) => sum + Math.ceil(numTiles / most), 0));
  return blocks.flatMap(({ firstTile, numTiles, ...block }) =>
    Array.from({ length: Math.ceil(numTiles / most) }, (_, i) => ({
      ...block,
      firstTile: firstTile + i * most,
      numTiles: Math.min(most, numTiles - i * most),
    }))
  );
}

/** The tiles of each range of keys and values. */
function uniformBlocks({ ranges }: UniformRanges, tilesOfUnit: number): TileBlock[] {
  return ranges.map(({ firstUnit, numUnits, firstRow }) => ({
    ...{ firstTile: firstUnit * tilesOfUnit, numTiles: numUnits * tilesOfUnit },
    ...{ part: 0, firstBound: firstRow },
  }));
}
