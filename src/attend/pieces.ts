/** Pieces that the kernels of attention have in common. */
import * as wgsl from "../../kernels/mod.ts";
import { isAsymmetric, isTransformed } from "../cache/kv_transform.ts";
import { slotsPiece } from "../cache/slots.ts";
import { renamed, type WgslPiece } from "../gpu/compose.ts";
import { isPerHead, MASK_COLUMNS, MASK_TOKENS } from "../plan/mask_blocks.ts";
import { exchangeOf, type FusedTile } from "../plan/fused_tile.ts";
import { spareTiles } from "../plan/plan_base.ts";
import type { FilledSpec } from "../plan/spec.ts";
import { TEXELS_WIDE } from "../plan/texels.ts";
import type { Dtype, KvDtype } from "../tensor/dtype.ts";
import { loadPacks, type Loads } from "../tensor/loads.ts";
import { isQuantized } from "../tensor/quantized.ts";
import { loadPieces, packPiece, packType } from "../tensor/pieces.ts";

/** The packs that a load of keys or values brings. */
export interface Loaded {
  packSize: 1 | 4;
  loads: Loads;
  /** Rows of keys and values that are bound as uniforms; absent where all of them are bound. */
  boundRows?: number;
  /** Whether keys and values have been brought to textures. */
  areTexels?: boolean;
}

/**
 * Declares `params`, and the context that each query sees; the length of one is given in a buffer, with the rows, or with where
 * the new tokens lie.
 */
export function contextPieces(
  spec: FilledSpec,
  lengths: keyof typeof wgsl.lengths = "given",
): WgslPiece[] {
  const { sinks, capacity, tokens } = spec;
  // A contiguous K/V may have fewer tokens than there could be sinks.
  const constants = { SINKS: Math.min(sinks, capacity) };
  const ofSequences = tokens === undefined
    ? [wgsl.lengths[lengths], wgsl.sequences.padded]
    : [wgsl.newTokens, wgsl.sequences.ragged];
  return [{ constants, fragments: [wgsl.params, wgsl.context, ...ofSequences] }];
}

/** Declares `params`, and which rows there are. */
export function rowsPiece(spec: FilledSpec): WgslPiece {
  const rows = spec.tokens === undefined ? [wgsl.rows.padded] : [wgsl.newTokens, wgsl.rows.ragged];
  return { fragments: [wgsl.params, ...rows] };
}

/** Declares tiles of `rows` rows that read the same KV head, in an order of their own where there is no ragged one. */
export function rowTilePiece(
  spec: FilledSpec,
  rows: number,
  order: "byHead" | "byToken" = "byHead",
): WgslPiece {
  const constants = { TILE_ROWS: rows };
  if (spec.tokens === undefined) {
    return { constants, fragments: [wgsl.rowTile.padded, wgsl.rowOrder[order]] };
  }
  return {
    constants: { ...constants, SPARE_TILES: spareTiles(spec, rows) },
    fragments: [wgsl.rowTile.ragged, wgsl.rowOrder.ragged],
  };
}

/** Declares where a texture has its texels. */
export const TEXELS_PIECE: WgslPiece = {
  constants: { TEXELS_WIDE },
  fragments: [wgsl.texels],
};

/** Declares the rows of a tensor in loads, `loads` of them where they are bound as a uniform. */
export function storedPiece(name: "q" | "k" | "v", loads?: number): WgslPiece {
  const { storage, uniform } = wgsl.storedKeys;
  if (loads === undefined) return { fragments: [renamed(storage, { k: name })] };
  const constant = `${name.toUpperCase()}_LOADS`;
  const fragments = [renamed(uniform, { k: name, K_LOADS: constant })];
  return { constants: { [constant]: loads }, fragments };
}

/** Declares the states of the blocks of a mask. */
export function blocksPiece(spec: FilledSpec): WgslPiece {
  const constants = { MASK_TOKENS, MASK_COLUMNS, MASK_IS_PER_HEAD: isPerHead(spec) ? 1 : 0 };
  return { constants, fragments: [wgsl.blocks] };
}

/** Declares `seenTile`: the tiles of columns that a tile of rows looks at. */
export function seenTilesPieces(spec: FilledSpec): WgslPiece[] {
  return spec.blockMask
    ? [blocksPiece(spec), { fragments: [wgsl.seenTiles.inBlocks] }]
    : [{ fragments: [wgsl.seenTiles.every] }];
}

/** The names that words of values have where those of keys have others. */
const VALUE_WORDS = { k: "v", keyWord: "valueWord", keyIntegers: "valueIntegers" };

/** Declares how the words of integer rows are read; nothing where rows are numbers. */
function wordsPiece(
  kvDtype: KvDtype,
  loads: Loads,
  names: Readonly<Record<string, string>> = {},
): WgslPiece {
  if (!isQuantized(kvDtype)) return {};
  const { single, long } = wgsl.keyWords;
  return { fragments: [renamed(loads === "words" ? long : single, names)] };
}

/** Declares `k` and reads it by `keysAt`, as factors of products in a type of their own. */
export function keyPieces(
  spec: FilledSpec,
  { packSize, loads, boundRows, areTexels = false }: Loaded,
  products: Dtype = "f32",
): WgslPiece[] {
  const { kvDtype, headDim } = spec;
  if (areTexels) {
    return [
      slotsPiece(spec),
      packPiece(packSize),
      TEXELS_PIECE,
      {
        types: { Factor: "Wide" },
        constants: { HEAD_DIM: headDim, LOAD_PACKS: loadPacks(loads) },
        fragments: [wgsl.keys.texels, wgsl.storedKeys.texels],
      },
    ];
  }
  const rows = loadPieces(kvDtype, packSize, loads, isAsymmetric(spec));
  return [
    slotsPiece(spec),
    packPiece(packSize),
    ...rows,
    {
      types: { Factor: products === "f32" ? "Wide" : packType(products, packSize) },
      constants: { HEAD_DIM: headDim },
      fragments: [isQuantized(kvDtype) ? wgsl.keys.quantized : wgsl.keys.numbers],
    },
    wordsPiece(kvDtype, loads),
    storedPiece("k", boundRows && boundRows * headDim / packSize),
  ];
}

/** Declares `v` and reads it by `valuesAt`; or reads `k`, which {@linkcode keyPieces} declares, where values are keys. */
export function valuePieces(
  spec: FilledSpec,
  { packSize, loads, boundRows, areTexels = false }: Loaded,
): WgslPiece[] {
  const { kvDtype, valueDim, valuesAre } = spec;
  if (valuesAre === "keys") {
    return [{ constants: { VALUE_DIM: valueDim }, fragments: [wgsl.values.firstOfKeys] }];
  }
  if (areTexels) {
    const fragments = [wgsl.values.texels, renamed(wgsl.storedKeys.texels, { k: "v" })];
    return [{ constants: { VALUE_DIM: valueDim }, fragments }];
  }
  const rows = loadPieces(kvDtype, packSize, loads, isAsymmetric(spec));
  return [
    slotsPiece(spec),
    packPiece(packSize),
    ...rows,
    {
      constants: { VALUE_DIM: valueDim },
      fragments: [isQuantized(kvDtype) ? wgsl.values.quantized : wgsl.values.numbers],
    },
    wordsPiece(kvDtype, loads, VALUE_WORDS),
    storedPiece("v", boundRows && boundRows * valueDim / packSize),
  ];
}

/**
 * Declares `q` and reads it by `queryAt`, as many packs at a time as a load of keys brings; `boundRows` rows of it where they are
 * bound as a uniform.
 */
export function queryPiece(spec: FilledSpec, packSize: 1 | 4, boundRows?: number): WgslPiece {
  const { dtype, kvDtype } = spec;
  if (isTransformed(spec)) return { fragments: [wgsl.query.transformed] };
  if (dtype !== kvDtype) {
    return { types: { Pack: packType(dtype, packSize) }, fragments: [wgsl.query.packs] };
  }
  const { constants, fragments = [] } = storedPiece(
    "q",
    boundRows && boundRows * spec.headDim / packSize,
  );
  return { constants, fragments: [...fragments, wgsl.query.stored] };
}

/** Declares `queryAt` where queries have been brought to a texture. */
export const TEXEL_QUERY_PIECE: WgslPiece = { fragments: [wgsl.query.texels] };

/** Declares where the query of a row begins, and what is added to its products. */
export function queryRowPiece(spec: FilledSpec): WgslPiece {
  return isTransformed(spec)
    ? { fragments: [wgsl.queryStart.transformed, wgsl.queryShift.transformed] }
    : { fragments: [wgsl.queryStart.stored, wgsl.queryShift.none] };
}

/** Declares `keyMiddle`, which integers of keys are about. */
export function keyMiddlePiece(spec: FilledSpec): WgslPiece {
  return { fragments: [isAsymmetric(spec) ? wgsl.keyMiddle.added : wgsl.keyMiddle.none] };
}

/** Declares `valueMiddle`, which integers of values are about. */
export function valueMiddlePiece(spec: FilledSpec): WgslPiece {
  if (!isAsymmetric(spec)) return { fragments: [wgsl.valueMiddle.none] };
  return spec.valuesAre === "keys"
    ? { fragments: [wgsl.keyMiddle.added, wgsl.valueMiddle.ofKey] }
    : { fragments: [wgsl.valueMiddle.added] };
}

/** Declares `sumOverLanes`, and `maxOverLanes` where lanes are several, for groups of `lanes` lanes, a power of two. */
export function lanesPiece(lanes: number, { shuffles }: { shuffles: boolean }): WgslPiece {
  if (lanes === 1) return { fragments: [wgsl.lanes.one] };
  if (!shuffles) return { fragments: [wgsl.lanes.memory] };
  return { constants: { HALVINGS: Math.log2(lanes) }, fragments: [wgsl.lanes.shuffle] };
}

/** Declares `sumOverStrips`. */
export function stripsPiece(
  { strips, shuffles }: { strips: number; shuffles: boolean },
): WgslPiece {
  const way = strips === 1 ? "one" : shuffles ? "shuffle" : "memory";
  return { fragments: [wgsl.strips[way]] };
}

/** Declares the state of a softmax, with the score of what is masked. */
export const STATE_PIECE: WgslPiece = { fragments: [wgsl.masked, wgsl.state] };

/** Declares where the weights of a tile are, and how lanes wait for those that others share. */
export function weightsPiece(
  tile: Pick<FusedTile, "rowGroups"> & Parameters<typeof exchangeOf>[0],
): WgslPiece {
  const exchange = exchangeOf(tile);
  const isShared = exchange === "shared";
  const fragments = [wgsl.weights[exchange], isShared ? wgsl.meeting.shared : wgsl.meeting.none];
  return { constants: isShared ? { ROW_GROUPS: tile.rowGroups } : {}, fragments };
}
