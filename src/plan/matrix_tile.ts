/** The tile of a fused attention whose products are computed on matrix units. */
import { sentence } from "../base/check.ts";
import type { MatrixBlock } from "../gpu/profile.ts";
import type { Loads } from "../tensor/loads.ts";
import { type FusedTile, headLoads, leastLanes, ROUNDS_BESIDE, valueLoads } from "./fused_tile.ts";
import { stateRounds } from "./mask_blocks.ts";
import { type PlanDevice, rowsPerKvHead } from "./plan_base.ts";
import { ACTION, type FilledSpec } from "./spec.ts";

/** A workgroup of one subgroup: its rows, its lanes, and the keys that each lane scores at a time. */
export interface MatrixTile extends Pick<FusedTile, "rows" | "lanes" | "keys"> {
  matrix: MatrixBlock;
}

/** Rows of a tile, where a block of the matrix units has no more. */
const MAX_ROWS = 16;
/** Columns of a tile, where a subgroup has no more lanes. */
const TILE_COLUMNS = 32;
/** Elements that are staged together, and aligned alike: two packs of four. */
const ALIGNMENT = 8;

/**
 * The tile with the most rows that fits the device; undefined if none fits, or blocks do not divide tiles. A workgroup is one
 * subgroup, whose lanes stage their loads for each other.
 *
 * @throws {RangeError} If the device has no matrix units.
 */
export function planMatrixTile(
  spec: FilledSpec,
  loads: Loads,
  { limits, profile }: PlanDevice,
): FusedTile | undefined {
  const tile = matrixTile(spec, { limits, profile });
  if (!tile || tile.lanes < leastLanes(spec)) return undefined;
  const { lanes, keys } = tile;
  return {
    ...tile,
    ...{
      rowGroups: 1,
      wantedLanes: lanes,
      strips: 1,
      columns: 1,
      ownsColumns: false,
      shuffles: true,
    },
    ...{ sharers: 0, partners: 1, keyChunk: 0, tellsWhole: false },
    loads,
    valueLoads: Math.ceil(valueLoads({ spec, loads }) / lanes),
    rounds: headLoads({ spec, loads }) + lanes * keys + matrixRounds(spec, tile) + ROUNDS_BESIDE +
      stateRounds(spec, tile.rows, lanes * keys),
  };
}

function matrixTile(
  spec: FilledSpec,
  { limits, profile: { matrix, subgroupSize: lanes } }: PlanDevice,
): MatrixTile | undefined {
  const { arithmetic } = spec;
  if (!matrix) {
    const rule = "a device must grant matrix units of f16 with sums in f32, and subgroups of one " +
      'size (use arithmetic "f32" or "f16"; Chrome grants them with --enable-unsafe-webgpu, Node ' +
      'with create(["enable-dawn-features=allow_unsafe_apis"]), Deno not yet)';
    throw new RangeError(sentence(ACTION, rule, { arithmetic, matrix, subgroupSize: lanes }));
  }
  const { m, n, k } = matrix;
  const keys = Math.max(1, TILE_COLUMNS / lanes);
  const divides = [n, k].every((size) => lanes * keys % size === 0 && size % ALIGNMENT === 0);
  if (!divides || lanes > limits.maxComputeInvocationsPerWorkgroup) return undefined;
  for (let rows = upTo(Math.min(rowsPerKvHead(spec), MAX_ROWS), m); rows > 0; rows -= m) {
    const tile = { rows, lanes, keys, matrix };
    if (matrixWorkgroupBytes(spec, tile) <= limits.maxComputeWorkgroupStorageSize) return tile;
  }
}

/** Constants of the kernel beyond those of every tile. */
export function matrixConstants(spec: FilledSpec, tile: MatrixTile): Record<string, number> {
  const { headWidth, valueWidth } = widths(spec, tile);
  const { m: BLOCK_ROWS, n: BLOCK_COLUMNS, k: BLOCK_INNER } = tile.matrix;
  return {
    ...{ BLOCK_ROWS, BLOCK_COLUMNS, BLOCK_INNER, HEAD_WIDTH: headWidth, VALUE_WIDTH: valueWidth },
    MOST_WIDTH: Math.max(headWidth, valueWidth),
    MOST_COLUMNS: Math.max(tile.lanes * tile.keys, valueWidth),
  };
}

/** Bytes of workgroup memory: factors in f16, their products, and the weights of the tile. */
export function matrixWorkgroupBytes(spec: FilledSpec, tile: MatrixTile): number {
  const { HEAD_WIDTH, MOST_WIDTH, MOST_COLUMNS } = matrixConstants(spec, tile);
  const { rows, lanes, keys } = tile;
  const columns = lanes * keys;
  const factors = rows * HEAD_WIDTH + columns * MOST_WIDTH + rows * columns;
  return 2 * factors + 4 * rows * (MOST_COLUMNS + columns);
}

/** Rounds of loops beyond those of every tile: staging, and blocks. */
function matrixRounds(spec: FilledSpec, tile: MatrixTile): number {
  const { headWidth, valueWidth } = widths(spec, tile);
  const { rows, lanes, keys, matrix: { m, n, k } } = tile;
  const blocks = (rows / m) * (lanes * keys / n) * (headWidth / k) +
    (rows / m) * (valueWidth / n) * (lanes * keys / k);
  return keys * (headWidth + valueWidth) + 2 * blocks;
}

/** Sizes of a key and of a value, filled up to whole blocks. */
function widths({ headDim, valueDim }: FilledSpec, { matrix: { n, k } }: MatrixTile) {
  return { headWidth: upTo(headDim, k), valueWidth: upTo(valueDim, n) };
}

function upTo(size: number, multiple: number): number {
  return Math.ceil(size / multiple) * multiple;
}
