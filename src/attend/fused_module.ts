/** The modules of attention in one pass over keys and values, and of the merge of its slices. */
import * as wgsl from "../../kernels/mod.ts";
import { isAsymmetric } from "../cache/kv_transform.ts";
import { join, type WgslModule, type WgslPiece } from "../gpu/compose.ts";
import { matrixConstants } from "../plan/matrix_tile.ts";
import { loadPacks } from "../tensor/loads.ts";
import { isQuantized } from "../tensor/quantized.ts";
import { rowEndPieces, scorePieces } from "../score/pieces.ts";
import { masksKeys } from "../score/score_spec.ts";
import { packPiece, packType } from "../tensor/pieces.ts";
import type { FillKernel } from "../plan/dispatches.ts";
import { exchangeOf, fusedPackSize, headLoads } from "../plan/fused_tile.ts";
import type { FusedPlan } from "../plan/fused.ts";
import { MERGE_WORKGROUP } from "../plan/slices.ts";
import type { FilledSpec } from "../plan/spec.ts";
import {
  contextPieces,
  keyMiddlePiece,
  keyPieces,
  lanesPiece,
  queryPiece,
  queryRowPiece,
  rowsPiece,
  rowTilePiece,
  seenTilesPieces,
  STATE_PIECE,
  stripsPiece,
  TEXEL_QUERY_PIECE,
  valueMiddlePiece,
  valuePieces,
  weightsPiece,
} from "./pieces.ts";
import { fillModules } from "./texel_fills.ts";
import { transformModules } from "./transform_module.ts";

/**
 * The kernels of a plan; a merge where the context is cut into slices, or a transform, which merges them as well; those that fill
 * textures where it reads these; the same attention of buffers that cannot be uniforms, where it binds such.
 */
export type FusedModules<Module> =
  & { attend: Module; attendStored?: Module; merge?: Module }
  & { transformQueries?: Module; transformOutputs?: Module }
  & Partial<Record<FillKernel, Module>>;

/** The modules of a plan. */
export function fusedModules(plan: FusedPlan): FusedModules<WgslModule> {
  const { spec, transform, uniform } = plan;
  const attend = attendModule(plan, uniform?.rows);
  if (transform) return { attend, ...transformModules({ spec, transform }, rowEndPieces(spec)) };
  return {
    attend,
    ...(uniform && { attendStored: attendModule(plan) }),
    ...(plan.slices > 1 && { merge: mergeModule(plan) }),
    ...(plan.texels && fillModules(spec, plan.texels)),
  };
}

/** The kernel of a plan, which binds `boundRows` rows of keys and values as uniforms, or all of them as storage. */
function attendModule(plan: FusedPlan, boundRows?: number): WgslModule {
  const { spec, rows, rowGroups, lanes, keys, strips, columns, loads, valueLoads } = plan;
  const loaded = {
    packSize: fusedPackSize(spec),
    loads,
    boundRows,
    areTexels: plan.texels !== undefined,
  };
  return join(
    "attend",
    ...contextPieces(spec),
    rowTilePiece(spec, rows * rowGroups, plan.uniform ? "byToken" : "byHead"),
    ...seenTilesPieces(spec),
    ...keyPieces(spec, loaded, spec.arithmetic === "f32" ? "f32" : "f16"),
    ...valuePieces(spec, loaded),
    plan.texels ? TEXEL_QUERY_PIECE : queryPiece(spec, loaded.packSize),
    queryRowPiece(spec),
    keyMiddlePiece(spec),
    valueMiddlePiece(spec),
    { fragments: [isAsymmetric(spec) ? wgsl.middleSums.summed : wgsl.middleSums.none] },
    ...scorePieces(spec),
    STATE_PIECE,
    lanesPiece(lanes, plan),
    weightsPiece(plan),
    stripsPiece(plan),
    ...(lanes === 1 ? [{ fragments: [wgsl.lanes.oneMaximum] }] : []),
    ...keysPieces(plan),
    ...productPieces(plan),
    ...(plan.slices > 1 || plan.transform
      ? [{ fragments: [wgsl.storeRow.partial] }]
      : outputPieces(spec)),
    {
      constants: {
        ...{ ROWS: rows, LANES: lanes, KEYS: keys },
        ...{ WORKGROUP: lanes * rowGroups, STRIPS: strips },
        ...(!plan.ownsColumns && { COLUMNS: columns }),
        VALUE_PACKS: valueLoads * loadPacks(loads),
        MAY_SKIP: maySkip(plan) ? 1 : 0,
        TELLS_WHOLE: plan.tellsWhole ? 1 : 0,
      },
      fragments: [wgsl.tile, wgsl.columns, wgsl.attend],
    },
  );
}

function mergeModule({ spec }: FusedPlan): WgslModule {
  return join(
    "merge slices",
    packPiece(fusedPackSize(spec)),
    STATE_PIECE,
    ...outputPieces(spec),
    rowsPiece(spec),
    {
      constants: { VALUE_DIM: spec.valueDim, WORKGROUP: MERGE_WORKGROUP },
      fragments: [wgsl.mergeSlices],
    },
  );
}

/** Stores what the state of a whole context gives. */
function outputPieces(spec: FilledSpec): WgslPiece[] {
  const types = { Pack: packType(spec.dtype, fusedPackSize(spec)) };
  return [...rowEndPieces(spec), { types, fragments: [wgsl.storeRow.output] }];
}

/** Quantized values are finite, so weight 0 suffices; floats may be Inf or NaN, and 0 x Inf is NaN. */
function maySkip({ spec, columns, ownsColumns }: FusedPlan): boolean {
  const meetsPadding = ownsColumns || columns > 1;
  return !isQuantized(spec.kvDtype) && (meetsPadding || spec.seqLen > 1 || masksKeys(spec));
}

/** The arithmetic of products, and the sums of values. */
function productPieces({ spec, matrix, valueLoads, ownsColumns }: FusedPlan): WgslPiece[] {
  const constants = { VALUE_LOADS: valueLoads };
  if (matrix) return [{ constants, fragments: [wgsl.sumValues.matrixUnits] }];
  const half = fusedPackSize(spec) === 4 ? wgsl.innerHalf.vec4 : wgsl.innerHalf.scalar;
  const products = spec.arithmetic === "f32" ? [wgsl.products.f32] : [wgsl.products.f16, half];
  const { lanes, own } = wgsl.sumValues;
  return [{ constants, fragments: [...products, ownsColumns ? own : lanes] }];
}

/** The way lanes load queries and weights, and the keys that they score. */
function keysPieces(plan: FusedPlan): WgslPiece[] {
  const { spec, rows, rowGroups, keys, sharers, partners, keyChunk, columns, loads, matrix } = plan;
  if (matrix) {
    const pack = fusedPackSize(spec) === 4 ? wgsl.matrixPack.vec4 : wgsl.matrixPack.scalar;
    return [{
      constants: matrixConstants(spec, { ...plan, matrix }),
      fragments: [wgsl.matrixTile, pack, wgsl.matrixBlock, wgsl.scoreKeys.matrixUnits],
    }];
  }
  if (partners > 1) {
    const PARTNER_LOADS = headLoads(plan) / partners;
    return [{
      constants: {
        ...{ PARTNERS: partners, HALF_PARTNERS: partners / 2, EXCHANGES: Math.log2(partners) },
        ...{ PARTNER_LOADS, PARTNER_PACKS: PARTNER_LOADS * loadPacks(loads) },
      },
      fragments: [wgsl.scoreKeys.partners, wgsl.columnWeights.own],
    }];
  }
  if (sharers > 0) {
    const scores = [wgsl.scoreKeys.lanes, wgsl.ownKeys.direct, wgsl.queries.sharers];
    const held = { SHARERS: sharers, ROW_LOADS: Math.ceil(rows / sharers) };
    if (plan.ownsColumns) return [{ constants: held, fragments: scores }];
    const broadcasts = exchangeOf(plan) === "broadcast";
    return [{
      constants: {
        ...held,
        ...(!broadcasts && { WEIGHT_LOADS: Math.ceil(rows * columns / sharers) }),
      },
      fragments: [
        ...scores,
        broadcasts ? wgsl.columnWeights.broadcast : wgsl.columnWeights.sharers,
      ],
    }];
  }
  if (plan.uniform) {
    const { scoreKeys, ownKeys, queries, columnWeights } = wgsl;
    const [held, own] = [[scoreKeys.lanes, ownKeys.direct], [queries.held, columnWeights.own]];
    return [{ fragments: [...held, ...own] }];
  }
  const apart = { fragments: [wgsl.scoreKeys.lanes, wgsl.queries.own, wgsl.columnWeights.own] };
  if (keyChunk === 0) return [apart, { fragments: [wgsl.ownKeys.direct] }];
  const constants = { CHUNK: keyChunk, STAGED_LOADS: stagedLoads(keyChunk * keys / rowGroups) };
  return [apart, { constants, fragments: [wgsl.ownKeys.staged] }];
}

/** As many of an invocation's loads at once as divide them: up to 4, as more would take the registers of queries. */
function stagedLoads(loads: number): number {
  return [4, 2].find((atOnce) => loads % atOnce === 0) ?? 1;
}
