/** Attention in one pass over keys and values, for a whole query group; slices of the context are merged. */
import { fusedDispatches } from "../plan/dispatches.ts";
import type { FusedPlan } from "../plan/fused.ts";
import { STATE_BYTES } from "../plan/slices.ts";
import { fusedModules } from "./fused_module.ts";
import {
  boundRanges,
  firstKvRow,
  paramsOf,
  type Program,
  type ProgramDispatch,
  uniformsOf,
} from "./program.ts";
import { FILL_NAMES, queryFillParams, textureLines, TEXTURES } from "./texel_fills.ts";

/** The program of a fused plan. */
export function fusedProgram(plan: FusedPlan): Program {
  const { spec, slices, blocks, transform, uniform, texels } = plan;
  const common = paramsOf(plan);
  const slicedRows = slices * spec.numRows;
  const kvBytes = { k: 4 * spec.headDim, v: 4 * spec.valueDim };
  const renamed: Readonly<Record<string, ProgramDispatch["renamed"]>> = {
    ...FILL_NAMES,
    attend: { ...(transform && { q: "queries" }), ...(texels && TEXTURES) },
  };
  return {
    modules: { ...fusedModules(plan) },
    params: [
      ...blocks.map((block) => ({
        kernel: "attend",
        values: { ...common, firstTile: block.firstTile, firstKvRow: firstKvRow(plan, block) },
      })),
      ...(texels
        ? [{ kernel: "fillQueries", values: { ...common, ...queryFillParams(spec) } }]
        : []),
    ],
    uniforms: uniformsOf(plan),
    scratch: {
      ...((slices > 1 || transform) && {
        partials: slicedRows * spec.valueDim * 4,
        states: slicedRows * STATE_BYTES,
      }),
      ...(transform && { queries: transform.queryBytes }),
    },
    ...(texels && { textures: textureLines(texels) }),
    dispatches: fusedDispatches(plan).map(({ kernel, block, grid }) => ({
      ...{ kernel, grid, part: blocks[block].part },
      params: kernel === "fillQueries" ? blocks.length : block,
      ...(uniform && {
        ranges: boundRanges(kvBytes, uniform.rows, blocks[block].firstBound!),
        stored: "attendStored",
      }),
      renamed: renamed[kernel],
    })),
  };
}
