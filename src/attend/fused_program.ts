/** Attention in one pass over keys and values, for a whole query group; slices of the context are merged. */
import { fusedDispatches } from "../plan/dispatches.ts";
import type { FusedPlan } from "../plan/fused.ts";
import { STATE_BYTES } from "../plan/slices.ts";
import { fusedModules } from "./fused_module.ts";
import { boundRanges, firstKvRow, paramsOf, type Program, uniformsOf } from "./program.ts";

/** The program of a fused plan. */
export function fusedProgram(plan: FusedPlan): Program {
  const { spec, slices, blocks, transform, uniform } = plan;
  const common = paramsOf(plan);
  const slicedRows = slices * spec.numRows;
  const kvBytes = { k: 4 * spec.headDim, v: 4 * spec.valueDim };
  return {
    modules: { ...fusedModules(plan) },
    params: blocks.map((block) => ({
      kernel: "attend",
      values: { ...common, firstTile: block.firstTile, firstKvRow: firstKvRow(plan, block) },
    })),
    uniforms: uniformsOf(plan),
    scratch: {
      ...((slices > 1 || transform) && {
        partials: slicedRows * spec.valueDim * 4,
        states: slicedRows * STATE_BYTES,
      }),
      ...(transform && { queries: transform.queryBytes }),
    },
    dispatches: fusedDispatches(plan).map(({ kernel, block, grid }) => ({
      ...{ kernel, grid, params: block, part: blocks[block].part },
      ...(uniform && { ranges: boundRanges(kvBytes, uniform.rows, blocks[block].firstBound!) }),
      ...(transform && kernel === "attend" ? { renamed: { q: "queries" } } : {}),
    })),
  };
}
