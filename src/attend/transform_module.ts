/** The modules that take queries into the transform of keys and values, and outputs out of it. */
import * as wgsl from "../../kernels/mod.ts";
import { rotationBlock, transformPieces } from "../cache/kv_transform.ts";
import { join, type WgslModule, type WgslPiece } from "../gpu/compose.ts";
import type { FilledSpec } from "../plan/spec.ts";
import { TRANSFORM_WORKGROUP, type TransformPlan } from "../plan/transform.ts";
import { rowsPiece, STATE_PIECE } from "./pieces.ts";

/** The modules of a transform; `rowEnds` say what becomes of the softmax state of a whole row. */
export function transformModules(
  { spec, transform }: { spec: FilledSpec; transform: TransformPlan },
  rowEnds: readonly WgslPiece[],
): Record<"transformQueries" | "transformOutputs", WgslModule> {
  const { headDim, valueDim, dtype } = spec;
  const common: WgslPiece = {
    types: { T: dtype },
    constants: { WORKGROUP: TRANSFORM_WORKGROUP },
  };
  const rows = rowsPiece(spec);
  return {
    transformQueries: join("transform queries", common, rows, ...transformPieces(spec), {
      constants: {
        ...{ HEAD_DIM: headDim, KEY_BLOCK: rotationBlock(spec, headDim) },
        QUERY_WIDTH: transform.queryWidth,
      },
      fragments: [wgsl.transformQueries],
    }),
    transformOutputs: join(
      "transform outputs",
      common,
      rows,
      ...transformPieces(spec),
      STATE_PIECE,
      {
        constants: { VALUE_DIM: valueDim, VALUE_BLOCK: rotationBlock(spec, valueDim) },
        fragments: [wgsl.transformOutputs],
      },
      ...rowEnds,
    ),
  };
}
