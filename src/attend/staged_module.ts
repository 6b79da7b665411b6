/** The modules of attention in three kernels: scores, softmax, weighted sum. */
import * as wgsl from "../../kernels/mod.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import { EARLY_STAGES, type EarlyStage } from "../plan/outputs.ts";
import type { StagedPlan } from "../plan/staged.ts";
import { valuePackSize } from "../plan/staged_tile.ts";
import { rowEndPieces, scorePieces } from "../score/pieces.ts";
import { packSize } from "../tensor/loads.ts";
import { packType } from "../tensor/pieces.ts";
import {
  contextPieces,
  keyMiddlePiece,
  keyPieces,
  queryPiece,
  queryRowPiece,
  rowsPiece,
  rowTilePiece,
  seenTilesPieces,
  STATE_PIECE,
  valueMiddlePiece,
  valuePieces,
} from "./pieces.ts";
import { transformModules } from "./transform_module.ts";

/** The kernels of a plan; those of early stages where someone reads these. */
export type StagedModules<Module> =
  & Record<"scores" | "softmax" | "weightedSum", Module>
  & Partial<Record<EarlyStage | "transformQueries" | "transformOutputs", Module>>;

/** The modules of a plan. */
export function stagedModules(plan: StagedPlan): StagedModules<WgslModule> {
  const { spec, transform } = plan;
  const early = EARLY_STAGES.filter((stage) => spec.outputs.includes(stage));
  return {
    scores: scoresModule(plan, "scores"),
    softmax: softmaxModule(plan),
    weightedSum: weightedSumModule(plan),
    ...Object.fromEntries(early.map((stage) => [stage, scoresModule(plan, stage)])),
    ...(transform && transformModules({ spec, transform }, WEIGHTED_ENDS)),
  };
}

/** Softmax has stored the log-sum-exp, and weights have the share of a sink. */
const WEIGHTED_ENDS = [{ fragments: [wgsl.sink.inWeights, wgsl.lse.none] }];

function scoresModule(
  { spec, rowTile, workgroup, loads }: StagedPlan,
  stage: EarlyStage | "scores",
): WgslModule {
  const pack = packSize(spec.headDim);
  return join(
    "scores",
    ...contextPieces(spec),
    rowTilePiece(spec, rowTile),
    // Stages before the mask are of every key.
    ...seenTilesPieces({ ...spec, blockMask: spec.blockMask && stage === "scores" }),
    ...keyPieces(spec, { packSize: pack, loads: loads.keys }),
    queryPiece(spec, pack),
    queryRowPiece(spec),
    keyMiddlePiece(spec),
    ...scorePieces(spec, stage),
    {
      constants: { ROWS: rowTile, WORKGROUP: workgroup.scores },
      fragments: [wgsl.masked, wgsl.scores],
    },
  );
}

function softmaxModule({ spec, workgroup, transform }: StagedPlan): WgslModule {
  const isKept = spec.outputs.includes("scores");
  const keyShare = transform ? wgsl.keyShare.stored : wgsl.keyShare.none;
  return join(
    "softmax",
    ...contextPieces(spec),
    rowsPiece(spec),
    STATE_PIECE,
    ...rowEndPieces(spec),
    {
      constants: { WORKGROUP: workgroup.softmax },
      fragments: [
        ...[isKept ? wgsl.softmaxInput.apart : wgsl.softmaxInput.inPlace, keyShare, wgsl.softmax],
      ],
    },
  );
}

function weightedSumModule(
  { spec, rowTile, workgroup, valueLanes, loads, transform }: StagedPlan,
): WgslModule {
  const loaded = { packSize: valuePackSize(spec), loads: loads.values };
  return join(
    "weighted sum",
    ...contextPieces(spec),
    rowTilePiece(spec, rowTile),
    ...seenTilesPieces(spec),
    ...(spec.valuesAre === "keys" ? keyPieces(spec, loaded) : []),
    ...valuePieces(spec, loaded),
    valueMiddlePiece(spec),
    {
      types: { Pack: packType(transform ? "f32" : spec.dtype, loaded.packSize) },
      constants: {
        ROWS: rowTile,
        LANES: valueLanes,
        STRIPS: workgroup.weightedSum / valueLanes,
        WORKGROUP: workgroup.weightedSum,
      },
      fragments: [wgsl.weightedSum],
    },
  );
}
