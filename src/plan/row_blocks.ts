/** The blocks of rows of a staged attention: as many rows at a time as scratch, bindings and grids have room for. */
import { sentence } from "../base/check.ts";
import type { PlanLimits } from "../gpu/limits.ts";
import { keepsRows, stagesOf } from "./outputs.ts";
import { checkBlocks, type PlanStart, rowsPerKvHead, tilesPerKvHead } from "./plan_base.ts";
import { ACTION, type FilledSpec } from "./spec.ts";

/** A range of query rows that is computed at once, numbered as `numRows` says. */
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

/**
 * Cuts the rows of each part at tiles, into blocks as long as memory and the grid allow; scores take at most `scratchBytes`.
 *
 * @throws {RangeError} If the scores of one tile do not fit, or those that are returned do not fit a binding.
 */
export function planRowBlocks(
  { spec, contextLen, headBlocks }: PlanStart,
  { rowTile, scratchBytes }: { rowTile: number; scratchBytes: number },
  limits: PlanLimits,
): RowBlock[] {
  const { outputs, maxScratchBytes } = spec;
  const { maxStorageBufferBindingSize, maxComputeWorkgroupsPerDimension } = limits;
  const rowBytes = contextLen * 4;
  const allBytes = spec.numRows * rowBytes;
  const scratchRows = Math.floor(Math.min(scratchBytes, maxStorageBufferBindingSize) / rowBytes);
  const unit = unitOf(spec, rowTile);
  if (!keepsRows(outputs) && scratchRows < unit.rows) {
    throw new RangeError(
      sentence(ACTION, `scratch must hold the scores of one ${unit.name} (raise maxScratchBytes)`, {
        bytes: unit.rows * rowBytes,
        maxScratchBytes,
        maxStorageBufferBindingSize,
      }),
    );
  }
  if (stagesOf(outputs).length > 0 && allBytes > maxStorageBufferBindingSize) {
    throw new RangeError(
      sentence(ACTION, "returned scores or weights must fit one binding (attend to fewer rows)", {
        outputs,
        bytes: allBytes,
        maxStorageBufferBindingSize,
      }),
    );
  }
  const mostRows = keepsRows(outputs) ? spec.numRows : scratchRows;
  if (maxComputeWorkgroupsPerDimension < Math.max(unit.rows, unit.tiles)) {
    throw new RangeError(
      sentence(ACTION, `a grid must hold one ${unit.name} (use fewer tokens at once)`, {
        ...{ rows: unit.rows, tiles: unit.tiles },
        maxComputeWorkgroupsPerDimension,
      }),
    );
  }
  const mostOfGrid = Math.min(
    maxComputeWorkgroupsPerDimension,
    Math.floor(maxComputeWorkgroupsPerDimension / unit.tiles) * unit.rows,
  );
  const blocks: RowBlock[] = [];
  for (const { firstHead, numHeads, part } of headBlocks) {
    const rows = { first: firstHead * unit.rowsPerKvHead, count: numHeads * unit.rowsPerKvHead };
    for (const block of cut(rows, unit, Math.min(mostRows, mostOfGrid))) {
      blocks.push({ ...block, part });
      checkBlocks(blocks.length);
    }
  }
  return blocks;
}

/** The rows that blocks do not cut. */
interface Unit {
  /** Its name in messages. */
  name: string;
  /** Rows of it, but for the last of a KV head. */
  rows: number;
  /** Tiles that compute them. */
  tiles: number;
  /** Rows of a KV head. */
  rowsPerKvHead: number;
}

/** A tile; or a KV head, as the tiles of tokens that lie end to end have their rows here and there. */
function unitOf(spec: FilledSpec, rowTile: number): Unit {
  if (spec.tokens === undefined) {
    return { name: "tile of rows", rows: rowTile, tiles: 1, rowsPerKvHead: rowsPerKvHead(spec) };
  }
  const rows = spec.numRows / spec.numKvHeads;
  return { name: "KV head", rows, tiles: tilesPerKvHead(spec, rowTile), rowsPerKvHead: rows };
}

/** Cuts `count` rows from `first` on, at units of the rows of a KV head, into blocks of at most `mostRows`. */
function* cut(
  { first, count }: { first: number; count: number },
  { rows, tiles, rowsPerKvHead }: Unit,
  mostRows: number,
): Generator<Omit<RowBlock, "part">> {
  const unitsPerKvHead = Math.ceil(rowsPerKvHead / rows);
  const unitAt = (row: number) =>
    Math.floor(row / rowsPerKvHead) * unitsPerKvHead + Math.floor(row % rowsPerKvHead / rows);
  const firstRowOf = (unit: number) =>
    Math.floor(unit / unitsPerKvHead) * rowsPerKvHead + unit % unitsPerKvHead * rows;
  const end = first + count;
  for (let firstRow = first; firstRow < end;) {
    const firstUnit = unitAt(firstRow);
    const endUnit = unitAt(Math.min(end, firstRow + mostRows));
    const endRow = firstRowOf(endUnit);
    yield {
      firstTile: firstUnit * tiles,
      numTiles: (endUnit - firstUnit) * tiles,
      firstRow,
      numRows: endRow - firstRow,
    };
    firstRow = endRow;
  }
}
