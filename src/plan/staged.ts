import { sentence } from "../base/check.ts";
import type { HeadRange } from "../cache/head_parts.ts";
import { ceilPowerOfTwo, clamp, floorPowerOfTwo } from "../base/numbers.ts";
import { loadPacks, type Loads, loadsOf, packSize } from "../tensor/loads.ts";
import { numRows, type PlanBase, rowsPerKvHead } from "./plan_base.ts";
import type { PlanLimits } from "../gpu/limits.ts";
import { type DeviceProfile, loopRounds } from "../gpu/profile.ts";
import { tilingOf } from "./tiling.ts";
import { ACTION, type FilledSpec, stagesOf } from "./spec.ts";

/** A range of query rows that is computed at once. A row is (batch, head, token), numbered as in [B, N, S]. */
export interface RowBlock {
  /** First tile of rows. */
  firstTile: number;
  /** Tiles of at most `rowTile` rows of one KV head. */
  numTiles: number;
  /** First row of the first tile. */
  firstRow: number;
  /** Rows of all tiles. */
  numRows: number;
  /** The part of keys and values that they read. */
  part: number;
}

/** How a staged attention runs: scores, softmax and weighted sum, one after the other, block by block. */
export interface StagedPlan extends PlanBase {
  /** Which implementation is planned. */
  impl: "staged";
  /** Query rows that share each loaded key and value. */
  rowTile: number;
  /** Invocations of a workgroup, by kernel. */
  workgroup: { scores: number; softmax: number; weightedSum: number };
  /**
   * Workgroups of `scores` along the columns of a tile of rows: as many as keep the device at work. Each goes round for what
   * the context has, so that a ring costs what is in it and not its capacity.
   */
  columnGroups: number;
  /** What loads of keys and of values bring. */
  loads: { keys: Loads; values: Loads };
  /** Invocations of `weightedSum` side by side along the value; the others split the context. */
  valueLanes: number;
  /** Row blocks, in order. */
  blocks: readonly RowBlock[];
}

/** Stages before the scores, each written by a scores kernel of its own that stops there. */
export const EARLY_STAGES = ["products", "softcapped"] as const;
export type EarlyStage = typeof EARLY_STAGES[number];

/** Columns that one invocation of the scores kernel owns. */
const COLUMNS_PER_INVOCATION = 4;
/** Columns that the weighted sum takes at once. */
const COLUMNS_PER_ROUND = 4;
/** Fewest columns that are worth a strip of the weighted sum. */
const COLUMNS_PER_STRIP = 16;
/** Invocations of a row's softmax on software, where more only wait for each other. */
const MOST_SOFTWARE_SOFTMAX = 64;
/** Invocations that keep a large GPU busy. */
const FILLING_INVOCATIONS = 2 ** 16;

/** Plans the staged implementation. */
export function planStaged(
  spec: FilledSpec,
  { contextLen, parts }: Pick<PlanBase, "contextLen" | "parts">,
  limits: PlanLimits,
  profile: DeviceProfile,
): StagedPlan {
  const { outputs } = spec;
  const rows = numRows(spec);
  const rowTile = planRowTile(rowsPerKvHead(spec));
  const loads = {
    keys: loadsOf(profile, spec.kvDtype, spec.headDim),
    values: loadsOf(profile, spec.kvDtype, spec.valueDim),
  };
  const loaded = { contextLen, rowTile, loads };
  const tiles = planTiles(spec, { ...loaded, rowTiles: rows / rowTile }, limits, profile);
  const sizes = { ...loaded, ...tiles };
  checkRounds(spec, sizes, limits, profile);

  const rowBytes = contextLen * 4;
  const isKept = keepsRows(spec);
  const scratchRows = isKept ? rows : scratchRowsFor(spec, rowBytes, rowTile, limits);
  if (stagesOf(outputs).length > 0 && rows * rowBytes > limits.maxStorageBufferBindingSize) {
    throw new RangeError(
      sentence(ACTION, "returned scores or weights must fit one binding (attend to fewer rows)", {
        outputs,
        bytes: rows * rowBytes,
        maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      }),
    );
  }
  const blocks = parts.flatMap((heads, part) =>
    planBlocks(
      { heads, rowsPerKvHead: rowsPerKvHead(spec), rowTile },
      Math.min(scratchRows, limits.maxComputeWorkgroupsPerDimension),
    ).map((block) => ({ ...block, part }))
  );
  const storedRows = isKept ? rows : Math.max(...blocks.map(({ numRows }) => numRows));

  return {
    impl: "staged",
    spec,
    groupSize: spec.numHeads / spec.numKvHeads,
    ...sizes,
    parts,
    columnGroups: planColumnGroups(
      spec,
      { ...sizes, numTiles: blocks[0].numTiles },
      limits,
      profile,
    ),
    blocks,
    scratchBytes: outputs.includes("weights") ? 0 : storedRows * rowBytes,
  };
}

/** Throws if a workgroup would walk more columns than the device's loops go round. */
function checkRounds(
  spec: FilledSpec,
  sizes: Pick<StagedPlan, "contextLen" | "rowTile" | "workgroup" | "valueLanes" | "loads">,
  { maxComputeWorkgroupsPerDimension }: PlanLimits,
  profile: DeviceProfile,
): void {
  const { contextLen, workgroup, valueLanes } = sizes;
  const blockColumns = workgroup.scores * COLUMNS_PER_INVOCATION;
  const mostColumns = Math.min(
    loopRounds(profile) * COLUMNS_PER_ROUND * workgroup.weightedSum / valueLanes,
    maxComputeWorkgroupsPerDimension * mostBlocks(spec, sizes, profile) * blockColumns,
  );
  if (contextLen <= mostColumns) return;
  throw new RangeError(
    sentence(ACTION, 'the loops of this adapter must go round the context (use impl "fused")', {
      contextLen,
      mostColumns,
    }),
  );
}

/** Whether scores and weights of all rows are kept, and not of one block after the other. */
export function keepsRows({ outputs }: FilledSpec): boolean {
  return outputs.includes("scores") || outputs.includes("weights");
}

/** Loads that a row of the value takes. */
function valueLoads({ valueDim }: FilledSpec, { values }: StagedPlan["loads"]): number {
  return valueDim / (packSize(valueDim) * loadPacks(values));
}

/** Workgroups of the weighted sum along the value. */
export function valueBlocks(plan: StagedPlan): number {
  return Math.ceil(valueLoads(plan.spec, plan.loads) / plan.valueLanes);
}

/** More rows share each loaded key and value; fewer leave more tiles to run side by side. */
function planRowTile(rowsPerKvHead: number): number {
  if (rowsPerKvHead >= 64) return 8;
  if (rowsPerKvHead >= 4) return 4;
  return rowsPerKvHead >= 2 ? 2 : 1;
}

function planTiles(
  spec: FilledSpec,
  { contextLen, rowTile, rowTiles, loads }:
    & Pick<StagedPlan, "contextLen" | "rowTile" | "loads">
    & { rowTiles: number },
  limits: PlanLimits,
  { isSoftware }: DeviceProfile,
): Pick<StagedPlan, "workgroup" | "valueLanes"> {
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = limits;
  const most = Math.min(256, floorPowerOfTwo(maxComputeInvocationsPerWorkgroup));
  // Softmax keeps a maximum and a denominator per invocation, the weighted sum the packs of a load per row of its tile.
  const mostSoftmax = Math.min(
    isSoftware ? MOST_SOFTWARE_SOFTMAX : most,
    floorPowerOfTwo(maxComputeWorkgroupStorageSize / 8),
  );
  const mostSum = Math.min(
    most,
    floorPowerOfTwo(maxComputeWorkgroupStorageSize / (16 * loadPacks(loads.values) * rowTile)),
  );
  const valueLanes = Math.min(64, mostSum, ceilPowerOfTwo(valueLoads(spec, loads)));
  // Adding strips up costs time: the context is split only as far as the tiles alone leave a device idle, and while
  // every strip has some columns to itself.
  const wanted = Math.min(
    FILLING_INVOCATIONS / (rowTiles * valueLanes),
    contextLen / COLUMNS_PER_STRIP,
  );
  const invocations = valueLanes * ceilPowerOfTwo(Math.max(1, wanted));
  return {
    workgroup: {
      scores: clamp(ceilPowerOfTwo(contextLen / COLUMNS_PER_INVOCATION), 32, Math.min(64, most)),
      softmax: clamp(ceilPowerOfTwo(contextLen / 8), 32, mostSoftmax),
      weightedSum: clamp(invocations, Math.min(32, mostSum), mostSum),
    },
    valueLanes,
  };
}

/** As many as fill the device together with the tiles of rows, and so many that loops go round all blocks of columns. */
function planColumnGroups(
  spec: FilledSpec,
  sizes: Pick<StagedPlan, "contextLen" | "rowTile" | "workgroup" | "loads"> & {
    numTiles: number;
  },
  { maxComputeWorkgroupsPerDimension }: PlanLimits,
  profile: DeviceProfile,
): number {
  const { contextLen, workgroup, numTiles } = sizes;
  const blocks = Math.ceil(contextLen / (workgroup.scores * COLUMNS_PER_INVOCATION));
  const { fillingWorkgroups } = tilingOf(profile, rowsPerKvHead(spec));
  const filling = Math.ceil(fillingWorkgroups / numTiles);
  const least = Math.ceil(blocks / mostBlocks(spec, sizes, profile));
  return Math.min(Math.max(filling, least), blocks, maxComputeWorkgroupsPerDimension);
}

/** Blocks of columns that one workgroup of the scores kernel can go round. */
function mostBlocks(
  { headDim }: FilledSpec,
  { rowTile, loads }: Pick<StagedPlan, "rowTile" | "loads">,
  profile: DeviceProfile,
): number {
  const keyLoads = headDim / (packSize(headDim) * loadPacks(loads.keys));
  const rounds = keyLoads * (1 + rowTile) + rowTile * (1 + COLUMNS_PER_INVOCATION) + 1;
  return Math.floor(loopRounds(profile) / rounds);
}

function scratchRowsFor(
  spec: FilledSpec,
  rowBytes: number,
  rowTile: number,
  limits: PlanLimits,
): number {
  const { maxScratchBytes } = spec;
  const { maxStorageBufferBindingSize } = limits;
  const rows = Math.floor(Math.min(maxScratchBytes, maxStorageBufferBindingSize) / rowBytes);
  if (rows < rowTile) {
    throw new RangeError(
      sentence(ACTION, "scratch must hold the scores of one tile of rows (raise maxScratchBytes)", {
        tileBytes: rowTile * rowBytes,
        maxScratchBytes,
        maxStorageBufferBindingSize,
      }),
    );
  }
  return rows;
}

/** Cuts the rows of some KV heads at tiles, each block as long as `mostRows` allows. */
function planBlocks(
  { heads, rowsPerKvHead, rowTile }: { heads: HeadRange; rowsPerKvHead: number; rowTile: number },
  mostRows: number,
): Omit<RowBlock, "part">[] {
  const end = (heads.firstHead + heads.numHeads) * rowsPerKvHead;
  const tilesPerKvHead = Math.ceil(rowsPerKvHead / rowTile);
  const tileAt = (row: number) =>
    Math.floor(row / rowsPerKvHead) * tilesPerKvHead + Math.floor(row % rowsPerKvHead / rowTile);
  const firstRowOf = (tile: number) =>
    Math.floor(tile / tilesPerKvHead) * rowsPerKvHead + tile % tilesPerKvHead * rowTile;
  const blocks: Omit<RowBlock, "part">[] = [];
  for (let firstRow = heads.firstHead * rowsPerKvHead; firstRow < end;) {
    const firstTile = tileAt(firstRow);
    const endTile = tileAt(Math.min(end, firstRow + mostRows));
    const endRow = firstRowOf(endTile);
    blocks.push({
      firstTile,
      numTiles: endTile - firstTile,
      firstRow,
      numRows: endRow - firstRow,
    });
    firstRow = endRow;
  }
  return blocks;
}
