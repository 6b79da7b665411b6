/** The modules of the gradients of attention. */
import * as wgsl from "../../kernels/mod.ts";
import { join, renamed, type WgslModule, type WgslPiece } from "../gpu/compose.ts";
import { slotsPiece } from "../cache/slots.ts";
import { exchangeOf, fusedPackSize } from "../plan/fused_tile.ts";
import { type AttentionGradientPlan, HEAD_LANES } from "../plan/backward.ts";
import { perHeadPiece, scorePieces, slopePieces } from "../score/pieces.ts";
import { loadPacks } from "../tensor/loads.ts";
import { packPiece, packType } from "../tensor/pieces.ts";
import type { Dtype } from "../tensor/dtype.ts";
import type { FilledSpec } from "../plan/spec.ts";
import {
  contextPieces,
  keyPieces,
  lanesPiece,
  type Loaded,
  queryPiece,
  rowTilePiece,
  stripsPiece,
  TEXEL_QUERY_PIECE,
  valuePieces,
  weightsPiece,
} from "./pieces.ts";

/** Invocations of a workgroup that works on single rows or packs. */
export const PLAIN_WORKGROUP = 64;

/** Names of a role, by those that it has in attention. */
type Names = Readonly<Record<string, string>>;

/** For dq, queries are held and keys pass by, as in attention; and so are dO and values. */
const DO_AND_VALUES: Names = {
  ...{ scoresOf: "dWeightsOf", largestQueries: "largestDOs", HEAD_LOADS: "VALUE_ROW_LOADS" },
  ...{ Queries: "DOs", queriesOf: "dOsOf", queriesAt: "dOsAt" },
  ...{ startOfQuery: "startOfDO", queryAt: "dOAt" },
  ...{ keyOfColumn: "valueOfColumn", keysAt: "valuesAt", keyStep: "valueStep" },
  ...{ stageKeys: "stageValues", ownKeysAt: "ownValuesAt" },
};
/** For dk, the two sides change places: keys are held and queries pass by. */
const KEYS_AND_QUERIES: Names = {
  ...{ scoresOf: "heldProductsOf", largestQueries: "largestKeys" },
  ...{ Queries: "HeldKeys", queriesOf: "heldKeysOf", queriesAt: "heldKeysAt" },
  ...{ RowTile: "ColumnTile", startOfQuery: "startOfHeldKey", queryAt: "heldKeyAt" },
  ...{ Columns: "PassingRows", keyOfColumn: "startOfPassingQuery", keysAt: "passingQueryAt" },
  ...{ stageKeys: "stageQueries", ownKeysAt: "ownQueriesAt" },
};
/** For dv, values are held and dO passes by. */
const VALUES_AND_DO: Names = {
  ...{ scoresOf: "dWeightsOf", largestQueries: "largestValues", HEAD_LOADS: "VALUE_ROW_LOADS" },
  ...{ Queries: "HeldValues", queriesOf: "heldValuesOf", queriesAt: "heldValuesAt" },
  ...{ RowTile: "ColumnTile", startOfQuery: "startOfHeldValue", queryAt: "heldValueAt" },
  ...{ Columns: "PassingRows", keyOfColumn: "startOfPassingDO", keysAt: "passingDOAt" },
  ...{ stageKeys: "stageDOs", ownKeysAt: "ownDOsAt", keyStep: "valueStep" },
};
/** For the gradient of a bias, the keys of a tile are those of the bias. */
const BIAS_KEYS: Names = { Columns: "BiasKeys", keyOfColumn: "startOfBiasKey" };
const BIAS_VALUES: Names = { Columns: "BiasKeys", keyOfColumn: "startOfBiasValue" };
/** Sums of keys, or of queries, each times its share of the gradient. */
const SUMS_OF_KEYS: Names = {
  ...{ addValues: "addKeys", Sums: "KeySums", VALUE_LOADS: "KEY_LOADS", PACKS: "HEAD_PACKS" },
  ...{ stepOfWeight: "stepOfKey", valueStep: "keyStep" },
};

/** The output of each query row times its gradient. */
export function rowDotsModule({ spec }: AttentionGradientPlan): WgslModule {
  const size = fusedPackSize(spec);
  return join("row dots", packPiece(size), {
    types: { Pack: packType(spec.dtype, size) },
    constants: { VALUE_DIM: spec.valueDim, WORKGROUP: PLAIN_WORKGROUP },
    fragments: [wgsl.params, wgsl.lengths.given, wgsl.rowState, wgsl.rowDots],
  });
}

/** The sum of all slices of a gradient, packs of `size` elements at a time. */
export function sumSlicesModule(dtype: Dtype, size: 1 | 4): WgslModule {
  return join(`sum of ${size} ${dtype}`, packPiece(size), {
    types: { Gradient: packType(dtype, size) },
    constants: { WORKGROUP: PLAIN_WORKGROUP },
    fragments: [wgsl.sumSlices],
  });
}

/** The gradient of queries, whose kernel binds `boundRows` rows of keys and values as uniforms, or all of them as storage. */
export function queryGradientsModule(
  plan: AttentionGradientPlan,
  boundRows?: number,
): WgslModule {
  const { spec, tile, slices, uniform } = plan;
  const { rows, rowGroups } = tile;
  const dtype = slices.queries > 1 ? "f32" : spec.dtype;
  const pieces = [
    ...tilePieces(plan, { keys: boundRows }),
    ...[...sumPieces(plan), ...distancePieces(plan, tile.lanes)],
    rowTilePiece(spec, rows * rowGroups, uniform ? "byToken" : "byHead"),
  ];
  return join("query gradients", ...pieces, {
    types: { Gradient: packType(dtype, fusedPackSize(spec)) },
    constants: keySumConstants(plan),
    fragments: [
      ...[wgsl.columns, wgsl.queryStart.stored, wgsl.products.f32],
      ...products(plan),
      renamed(wgsl.queryStart.stored, DO_AND_VALUES),
      ...products(plan, DO_AND_VALUES),
      renamed(wgsl.sumValues.lanes, {
        ...{ ...SUMS_OF_KEYS, valueOfColumn: "keyOfColumn", valuesAt: "keysAt" },
      }),
      wgsl.queryGradients,
    ],
  });
}

/** The gradient of a bias. */
export function biasGradientsModule(plan: AttentionGradientPlan): WgslModule {
  const { spec, tile, slices } = plan;
  return join("bias gradients", ...tilePieces(plan), rowTilePiece(plan.spec, tile.rows), {
    types: { Gradient: slices.bias > 1 ? "f32" : spec.dtype },
    constants: { WORKGROUP: tile.lanes },
    fragments: [
      ...[wgsl.queryStart.stored, wgsl.products.f32],
      ...products(plan, BIAS_KEYS),
      renamed(wgsl.queryStart.stored, DO_AND_VALUES),
      ...products(plan, { ...DO_AND_VALUES, ...BIAS_VALUES }),
      ...[wgsl.biasTile, wgsl.biasGradients],
    ],
  });
}

/** The gradient of a number of each query head. */
export function headGradientsModule(
  { spec }: AttentionGradientPlan,
  of: "dSinkLogits" | "dAlibiSlopes",
): WgslModule {
  const term = of === "dSinkLogits"
    ? { fragments: [wgsl.rowTerm.sink, ...rowStatesPiece().fragments!, wgsl.masked] }
    : { fragments: [wgsl.rowTerm.slope] };
  const perHead = of === "dSinkLogits" ? [perHeadPiece(spec)] : [];
  return join(`sum of ${of}`, lanesPiece(HEAD_LANES, { shuffles: false }), term, ...perHead, {
    constants: { LANES: HEAD_LANES, ROWS: 1, WORKGROUP: HEAD_LANES },
    fragments: [wgsl.params, wgsl.headGradients],
  });
}

/** The gradients of keys and values, whose kernel binds `boundRows` rows of queries and dO likewise. */
export function keyValueGradientsModule(
  plan: AttentionGradientPlan,
  boundRows?: number,
): WgslModule {
  const shares: Names = {
    ...{ weights: "dProducts", putWeights: "putProducts", weightsAt: "productsAt" },
    ...{ weightsFrom: "dProductsFrom", stripOf: "stripOfProducts" },
  };
  const exchange = exchangeOf(plan.tile);
  const bound = { queries: boundRows };
  return join("key and value gradients", ...tilePieces(plan, bound), ...sumPieces(plan), {
    constants: {
      ...{ ...keySumConstants(plan), ...valueSumConstants(plan) },
      ...{ ROW_GROUPS: plan.tile.rowGroups, SLICES: plan.slices.keys },
    },
    fragments: [
      ...[wgsl.columnTile, wgsl.passingRows, renamed(wgsl.products.f32, KEYS_AND_QUERIES)],
      ...products(plan, KEYS_AND_QUERIES),
      ...products(plan, VALUES_AND_DO),
      renamed(wgsl.weights[exchange], shares),
      renamed(wgsl.columnWeights[weightsOf(plan)], shares),
      wgsl.places[exchange],
      renamed(wgsl.sumValues.lanes, {
        ...{ Columns: "PassingRows", valueOfColumn: "startOfPassingDO", valuesAt: "passingDOAt" },
      }),
      renamed(wgsl.sumValues.lanes, {
        ...{ ...SUMS_OF_KEYS, ...shares, Columns: "PassingRows" },
        ...{ valueOfColumn: "startOfPassingQuery", valuesAt: "passingQueryAt" },
      }),
      wgsl.keyValueGradients,
    ],
  });
}

/** The plain twins of both: all pairs of a block of rows, then their sums. */
export function stagedGradientModules(
  plan: AttentionGradientPlan,
): Record<"pairs" | "queries" | "keysAndValues", WgslModule> {
  const { spec } = plan;
  const loaded: Loaded = { packSize: fusedPackSize(spec), loads: "packs" };
  const ofAll = [
    ...contextPieces(spec, "ofRows"),
    { constants: { WORKGROUP: PLAIN_WORKGROUP }, fragments: [] },
    rowStatesPiece(),
  ];
  return {
    pairs: join("all pairs", ...ofAll, ...pairPieces(spec, loaded), {
      fragments: [wgsl.allPairs],
    }),
    queries: join(
      "query sums",
      ...[...ofAll, ...keyPieces(spec, loaded), ...distancePieces(plan, 1)],
      {
        types: { Gradient: packType(spec.dtype, loaded.packSize) },
        fragments: [wgsl.pair, wgsl.querySums],
      },
    ),
    keysAndValues: join(
      "key and value sums",
      ...[...ofAll, slotsPiece(spec), packPiece(loaded.packSize)],
      ...withDO({
        types: { Pack: packType(spec.dtype, loaded.packSize) },
        constants: { LOAD_PACKS: 1 },
        fragments: [wgsl.query.packs],
      }),
      {
        constants: { HEAD_DIM: spec.headDim, VALUE_DIM: spec.valueDim },
        fragments: [wgsl.pair, wgsl.keyValueSums],
      },
    ),
  };
}

/**
 * Keys, values, queries and dO, and what becomes of a pair of them; `boundQueries` rows of the latter two where they are bound as
 * uniforms.
 */
function pairPieces(spec: FilledSpec, loaded: Loaded, boundQueries?: number): WgslPiece[] {
  const { packSize, areTexels } = loaded;
  const doLoads = boundQueries && boundQueries * spec.valueDim / packSize;
  const query = areTexels ? TEXEL_QUERY_PIECE : queryPiece(spec, packSize, boundQueries);
  return [
    ...keyPieces(spec, loaded),
    ...valuePieces(spec, loaded),
    ...withDO(query, doLoads),
    ...scorePieces(spec),
    ...slopePieces(spec),
    { fragments: [wgsl.masked, wgsl.pair, wgsl.pairGradient] },
  ];
}

/** Declares `q` and `dO`, which lies as q does, and reads them by `queryAt` and `dOAt`; `doLoads` of dO as a uniform. */
function withDO(query: WgslPiece, doLoads?: number): WgslPiece[] {
  const names = { q: "dO", queryAt: "dOAt", Q_LOADS: "DO_LOADS" };
  const ofDO = query.fragments!.map((text) => renamed(text, names));
  return [query, { constants: doLoads ? { DO_LOADS: doLoads } : {}, fragments: ofDO }];
}

/** Rows that a kernel binds as uniforms. */
interface BoundRows {
  keys?: number;
  queries?: number;
}

/** The roles of a tile that all kernels have. */
function tilePieces(plan: AttentionGradientPlan, bound: BoundRows = {}): WgslPiece[] {
  const { spec, tile } = plan;
  const { rows, lanes, keys, sharers, strips, loads } = tile;
  const loaded = {
    ...{ packSize: fusedPackSize(spec), loads, boundRows: bound.keys },
    areTexels: plan.texels !== undefined,
  };
  return [
    ...contextPieces(spec, "ofRows"),
    ...pairPieces(spec, loaded, bound.queries),
    rowStatesPiece(bound.queries),
    {
      constants: {
        ...{ ROWS: rows, LANES: lanes, KEYS: keys, STRIPS: strips },
        ...(sharers > 0 && { SHARERS: sharers, ROW_LOADS: Math.ceil(rows / sharers) }),
      },
      fragments: [wgsl.tile],
    },
  ];
}

/** Declares the states of query rows, `boundRows` of them where they are bound as a uniform. */
function rowStatesPiece(boundRows?: number): WgslPiece {
  return boundRows === undefined
    ? { fragments: [wgsl.rowState, wgsl.rowStates.storage] }
    : { constants: { Q_ROWS: boundRows }, fragments: [wgsl.rowState, wgsl.rowStates.uniform] };
}

/** Sums over what passes by, for all row groups of a workgroup, by the weights of a tile. */
function sumPieces(plan: AttentionGradientPlan): WgslPiece[] {
  const { rows, rowGroups, lanes, sharers, columns } = plan.tile;
  const isShared = exchangeOf(plan.tile) === "shared";
  return [weightsPiece(plan.tile), stripsPiece(plan.tile), {
    constants: {
      ...{ COLUMNS: columns, WORKGROUP: lanes * rowGroups },
      ...(sharers > 0 && isShared && { WEIGHT_LOADS: Math.ceil(rows * columns / sharers) }),
    },
    fragments: [wgsl.columnWeights[weightsOf(plan)]],
  }];
}

/** Sums of a row by the distances of its keys, where slopes of ALiBi have a gradient, over `lanes` lanes. */
function distancePieces(plan: AttentionGradientPlan, lanes: number): WgslPiece[] {
  if (!plan.gradients.includes("dAlibiSlopes")) return [{ fragments: [wgsl.distances.none] }];
  return [lanesPiece(lanes, plan.tile), { fragments: [wgsl.distance, wgsl.distances.summed] }];
}

/** Products of what a workgroup holds with what passes by. */
function products(plan: AttentionGradientPlan, names: Names = {}): string[] {
  const held = wgsl.queries[plan.uniform ? "held" : lanesOf(plan)];
  const roles = [wgsl.scoreKeys.lanes, wgsl.ownKeys.direct, held];
  return roles.map((role) => renamed(role, names));
}

/** How lanes come by the weights of a tile. */
function weightsOf(plan: AttentionGradientPlan): "own" | "sharers" | "broadcast" {
  return exchangeOf(plan.tile) === "broadcast" ? "broadcast" : lanesOf(plan);
}

/** Whether lanes load what is held for themselves or for each other. */
function lanesOf({ tile }: AttentionGradientPlan): "own" | "sharers" {
  return tile.sharers > 0 ? "sharers" : "own";
}

function keySumConstants(plan: AttentionGradientPlan): Record<string, number> {
  const KEY_LOADS = laneLoads(plan, plan.spec.headDim);
  return { KEY_LOADS, KEY_PACKS: KEY_LOADS * loadPacks(plan.tile.loads) };
}

function valueSumConstants(plan: AttentionGradientPlan): Record<string, number> {
  const VALUE_LOADS = laneLoads(plan, plan.spec.valueDim);
  return { VALUE_LOADS, VALUE_PACKS: VALUE_LOADS * loadPacks(plan.tile.loads) };
}

/** Loads of a row of `size` elements that a lane sums up. */
function laneLoads({ spec, tile }: AttentionGradientPlan, size: number): number {
  const { strips, lanes, loads } = tile;
  return Math.ceil(size * strips / (fusedPackSize(spec) * loadPacks(loads) * lanes));
}
