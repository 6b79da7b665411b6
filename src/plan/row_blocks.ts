/** The blocks of rows of a staged attention: as many rows at a time as scratch, bindings and grids have room for. */
import { sentence } from "../base/check.ts";
import type { PlanLimits } from "../gpu/limits.ts";
import { keepsRows, stagesOf } from "./outputs.ts";
import { checkBlocks, numRows, type PlanStart, rowsPerKvHead } from "./plan_base.ts";
import { ACTION } from "./spec.ts";

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
  const allBytes = numRows(spec) * rowBytes;
  const scratchRows = Math.floor(Math.min(scratchBytes, maxStorageBufferBindingSize) / rowBytes);
  if (!keepsRows(outputs) && scratchRows < rowTile) {
    throw new RangeError(
      sentence(ACTION, "scratch must hold the scores of one tile of rows (raise maxScratchBytes)", {
        tileBytes: rowTile * rowBytes,
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
  const mostRows = keepsRows(outputs) ? numRows(spec) : scratchRows;
  if (maxComputeWorkgroupsPerDimension < rowTile) {
    throw new RangeError(
      sentence(ACTION, "a grid must hold one tile of rows (use another device)", {
        rowTile,
        maxComputeWorkgroupsPerDimension,
      }),
    );
  }
  const blocks: RowBlock[] = [];
  for (const { firstHead, numHeads, part } of headBlocks) {
    const rows = { first: firstHead * rowsPerKvHead(spec), count: numHeads * rowsPerKvHead(spec) };
    const tiles = { rowTile, rowsPerKvHead: rowsPerKvHead(spec) };
    for (const block of cut(rows, tiles, Math.min(mostRows, maxComputeWorkgroupsPerDimension))) {
      blocks.push({ ...block, part });
      checkBlocks(blocks.length);
    }
  }
  return blocks;
}

/** Cuts `count` rows from `first` on, at tiles of the rows of a KV head, into blocks of at most `mostRows`. */
function* cut(
  { first, count }: { first: number; count: number },
  { rowTile, rowsPerKvHead }: { rowTile: number; rowsPerKvHead: number },
  mostRows: number,
): Generator<Omit<RowBlock, "part">> {
  const tilesPerKvHead = Math.ceil(rowsPerKvHead / rowTile);
  const tileAt = (row: number) =>
    Math.floor(row / rowsPerKvHead) * tilesPerKvHead + Math.floor(row % rowsPerKvHead / rowTile);
  const firstRowOf = (tile: number) =>
    Math.floor(tile / tilesPerKvHead) * rowsPerKvHead + tile % tilesPerKvHead * rowTile;
  const end = first + count;
  for (let firstRow = first; firstRow < end;) {
    const firstTile = tileAt(firstRow);
    const endTile = tileAt(Math.min(end, firstRow + mostRows));
    const endRow = firstRowOf(endTile);
    const [numTiles, numRows] = [endTile - firstTile, endRow - firstRow];
    yield { firstTile, numTiles, firstRow, numRows };
    firstRow = endRow;
  }
}
