import { keepsRows } from "./outputs.ts";
import { type PlanBase, type PlanDevice, type PlanStart, rowsPerKvHead } from "./plan_base.ts";
import { planRowBlocks, type RowBlock } from "./row_blocks.ts";
import { checkStorageBuffers, stagedStorageBuffers } from "./storage_buffers.ts";
import { planColumns, planStagedTile, stagedLoads, type StagedTile } from "./staged_tile.ts";
import { packSize } from "../tensor/loads.ts";
import { stateBytes } from "./slices.ts";
import { planTransform, type TransformPlan } from "./transform.ts";
import { tilingOf } from "./tiling.ts";

/** The plan of a staged attention: scores, softmax and weighted sum, one after the other, block by block. */
export interface StagedPlan extends PlanBase, StagedTile {
  /** The implementation. */
  impl: "staged";
  /**
   * Workgroups of `scores` along the columns of a tile of rows: as many as keep the device at work. Each goes round for the
   * tokens that the context has, so that a ring costs its tokens and not its capacity.
   */
  columnGroups: number;
  /** Row blocks, in order. */
  blocks: readonly RowBlock[];
  /** The transform of queries and outputs; absent where keys and values are stored as they were appended. */
  transform?: TransformPlan;
}

/**
 * Plans the staged implementation.
 *
 * @throws {RangeError} If the loops of the device end before the context does, or scores do not fit.
 */
export function planStaged(start: PlanStart, device: PlanDevice): StagedPlan {
  const { spec, contextLen } = start;
  const { limits, profile } = device;
  checkStorageBuffers(stagedStorageBuffers(spec), limits);
  const loads = stagedLoads(spec, profile);
  const tile = planStagedTile(start, loads, device);
  const { steps, leastGroups } = planColumns(start, tile, device);
  const packs = { packSize: packSize(spec.headDim), loads: loads.keys };
  const transform = planTransform(spec, packs, device);
  const transformBytes = transform ? transform.queryBytes + stateBytes(spec) : 0;
  const scratchBytes = spec.maxScratchBytes - transformBytes;
  const blocks = planRowBlocks(start, { rowTile: tile.rowTile, scratchBytes }, limits);

  const { fillingWorkgroups } = tilingOf(profile, rowsPerKvHead(spec));
  const filling = Math.ceil(fillingWorkgroups / blocks[0].numTiles);
  const groups = Math.min(Math.max(filling, leastGroups), steps);
  const storedRows = keepsRows(spec.outputs)
    ? spec.numRows
    : Math.max(...blocks.map(({ numRows }) => numRows));
  const scoreBytes = spec.outputs.includes("weights") ? 0 : storedRows * contextLen * 4;
  return {
    impl: "staged",
    ...start,
    ...tile,
    columnGroups: Math.min(groups, limits.maxComputeWorkgroupsPerDimension),
    blocks,
    scratchBytes: scoreBytes + transformBytes,
    ...(transform && { transform }),
  };
}
