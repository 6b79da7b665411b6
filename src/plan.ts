import { sentence } from "./_check.ts";
import { ACTION, type AttentionSpec, type FilledSpec, fillIn } from "./spec.ts";
import { storageBytes } from "./tensor.ts";

/** The limits of a device that planning asks for; a `GPUDevice.limits` is one. */
export type PlanLimits = Pick<
  GPUSupportedLimits,
  | "maxStorageBufferBindingSize"
  | "maxComputeInvocationsPerWorkgroup"
  | "maxComputeWorkgroupStorageSize"
  | "maxComputeWorkgroupsPerDimension"
>;

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
}

/** How an attention runs: kernels' tile sizes, blocks of rows and bytes of scratch. */
export interface AttentionPlan {
  /** The specification with its defaults filled in. */
  spec: FilledSpec;
  /** Query heads per KV head. */
  groupSize: number;
  /** Most tokens that any query row looks over: columns of scores and weights. */
  contextLen: number;
  /** Query rows that share each loaded key and value. */
  rowTile: number;
  /** Invocations of a workgroup, by kernel. */
  workgroup: { scores: number; softmax: number; weightedSum: number };
  /** Invocations of `weightedSum` side by side along the value; the others split the context. */
  valueLanes: number;
  /** Row blocks, in order. */
  blocks: readonly RowBlock[];
  /** Bytes of scratch for scores. */
  scratchBytes: number;
}

/** Columns that one invocation of the scores kernel owns. */
const COLUMNS_PER_INVOCATION = 4;
/** Fewest columns that are worth a strip of the weighted sum. */
const COLUMNS_PER_STRIP = 16;
/** Invocations that keep a large GPU busy. */
const FILLING_INVOCATIONS = 2 ** 16;

/**
 * Decides how an attention runs, without touching a GPU.
 *
 * @param spec Shapes and options.
 * @param limits Limits of the device.
 * @returns The plan.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a value is out of range, heads do not divide, or a limit of the device is exceeded.
 *
 * @example
 * ```ts
 * import { planAttention } from "@onehead/attention";
 *
 * const plan = planAttention(
 *   { numHeads: 32, numKvHeads: 1, headDim: 128, seqLen: 512, capacity: 4096 },
 *   {
 *     maxStorageBufferBindingSize: 128 * 2 ** 20,
 *     maxComputeInvocationsPerWorkgroup: 256,
 *     maxComputeWorkgroupStorageSize: 16384,
 *     maxComputeWorkgroupsPerDimension: 65535,
 *   },
 * );
 * console.log(plan.blocks.length, plan.scratchBytes); // 2 134217728
 * ```
 */
export function planAttention(spec: AttentionSpec, limits: PlanLimits): AttentionPlan {
  const filled = fillIn(spec);
  const { batch, numHeads, numKvHeads, seqLen, capacity, window, outputs } = filled;
  checkTensors(filled, limits);

  const groupSize = numHeads / numKvHeads;
  const contextLen = Math.min(capacity, (window ?? Infinity) - 1 + seqLen);
  const rowsPerKvHead = groupSize * seqLen;
  const rows = batch * numHeads * seqLen;
  const rowTile = planRowTile(rowsPerKvHead);
  const tiles = planTiles(filled, { contextLen, rowTile, rowTiles: rows / rowTile }, limits);
  checkGrid(contextLen, tiles.workgroup.scores, limits);

  const rowBytes = contextLen * 4;
  const isKept = outputs.length > 0;
  const scratchRows = isKept ? rows : scratchRowsFor(filled, rowBytes, rowTile, limits);
  if (isKept && rows * rowBytes > limits.maxStorageBufferBindingSize) {
    throw new RangeError(
      sentence(ACTION, "returned scores or weights must fit one binding (attend to fewer rows)", {
        outputs,
        bytes: rows * rowBytes,
        maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      }),
    );
  }
  const blocks = planBlocks(
    { rows, rowsPerKvHead, rowTile },
    Math.min(scratchRows, limits.maxComputeWorkgroupsPerDimension),
  );
  const storedRows = isKept ? rows : Math.max(...blocks.map(({ numRows }) => numRows));

  return {
    spec: filled,
    groupSize,
    contextLen,
    rowTile,
    ...tiles,
    blocks,
    scratchBytes: outputs.includes("weights") ? 0 : storedRows * rowBytes,
  };
}

/** Workgroups of the scores kernel along the columns of a context. */
export function columnBlocks(plan: AttentionPlan, columns: number): number {
  return Math.ceil(columns / (plan.workgroup.scores * COLUMNS_PER_INVOCATION));
}

/** Workgroups of the weighted sum along the value. */
export function valueBlocks(plan: AttentionPlan): number {
  return Math.ceil(packs(plan.spec.valueDim) / plan.valueLanes);
}

/** Elements of a head that are loaded at once. */
export function packSize(headDim: number): 1 | 4 {
  return headDim % 4 === 0 ? 4 : 1;
}

/** Bytes of K and V for so many tokens of every sequence. */
export function kvBytes(
  shape: Pick<FilledSpec, "batch" | "numKvHeads" | "headDim" | "valueDim" | "dtype">,
  tokens: number,
): number {
  const rows = shape.batch * shape.numKvHeads * tokens;
  return storageBytes(rows * shape.headDim, shape.dtype) +
    storageBytes(rows * shape.valueDim, shape.dtype);
}

function packs(headDim: number): number {
  return headDim / packSize(headDim);
}

function checkTensors(spec: FilledSpec, limits: PlanLimits): void {
  const { batch, numHeads, numKvHeads, seqLen, capacity, headDim, valueDim, dtype } = spec;
  const { maxStorageBufferBindingSize } = limits;
  const queryRows = batch * numHeads * seqLen;
  const keyRows = batch * numKvHeads * capacity;
  const tensors = {
    q: queryRows * headDim,
    k: keyRows * headDim,
    v: keyRows * valueDim,
    o: queryRows * valueDim,
  };
  for (const [name, count] of Object.entries(tensors)) {
    const bytes = storageBytes(count, dtype);
    if (bytes > maxStorageBufferBindingSize) {
      throw new RangeError(
        sentence(ACTION, `${name} must fit one storage binding (split the batch or the context)`, {
          bytes,
          maxStorageBufferBindingSize,
        }),
      );
    }
  }
}

/** More rows share each loaded key and value; fewer leave more tiles to run side by side. */
function planRowTile(rowsPerKvHead: number): number {
  if (rowsPerKvHead >= 64) return 8;
  if (rowsPerKvHead >= 4) return 4;
  return rowsPerKvHead >= 2 ? 2 : 1;
}

function planTiles(
  { valueDim }: FilledSpec,
  { contextLen, rowTile, rowTiles }: { contextLen: number; rowTile: number; rowTiles: number },
  limits: PlanLimits,
): Pick<AttentionPlan, "workgroup" | "valueLanes"> {
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = limits;
  const most = Math.min(256, floorPowerOfTwo(maxComputeInvocationsPerWorkgroup));
  // Softmax keeps a maximum and a denominator per invocation, the weighted sum four floats per row of its tile.
  const mostSoftmax = Math.min(most, floorPowerOfTwo(maxComputeWorkgroupStorageSize / 8));
  const mostSum = Math.min(
    most,
    floorPowerOfTwo(maxComputeWorkgroupStorageSize / (16 * rowTile)),
  );
  const valueLanes = Math.min(64, mostSum, ceilPowerOfTwo(packs(valueDim)));
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

function checkGrid(contextLen: number, invocations: number, limits: PlanLimits): void {
  const { maxComputeWorkgroupsPerDimension } = limits;
  const most = maxComputeWorkgroupsPerDimension * invocations * COLUMNS_PER_INVOCATION;
  if (contextLen > most) {
    throw new RangeError(
      sentence(ACTION, `a dispatch reaches ${most} tokens (use a window)`, {
        contextLen,
        maxComputeWorkgroupsPerDimension,
      }),
    );
  }
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

/** Cuts the rows at tiles, each block as long as `mostRows` allows. */
function planBlocks(
  { rows, rowsPerKvHead, rowTile }: { rows: number; rowsPerKvHead: number; rowTile: number },
  mostRows: number,
): RowBlock[] {
  const tilesPerKvHead = Math.ceil(rowsPerKvHead / rowTile);
  const tileAt = (row: number) =>
    Math.floor(row / rowsPerKvHead) * tilesPerKvHead + Math.floor(row % rowsPerKvHead / rowTile);
  const firstRowOf = (tile: number) =>
    Math.floor(tile / tilesPerKvHead) * rowsPerKvHead + tile % tilesPerKvHead * rowTile;
  const blocks: RowBlock[] = [];
  for (let firstRow = 0; firstRow < rows;) {
    const firstTile = tileAt(firstRow);
    const endTile = tileAt(Math.min(rows, firstRow + mostRows));
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

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}

function ceilPowerOfTwo(value: number): number {
  return 2 ** Math.ceil(Math.log2(value));
}

function floorPowerOfTwo(value: number): number {
  return 2 ** Math.floor(Math.log2(value));
}
