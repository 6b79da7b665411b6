/** Attention in one pass over keys and values, for a whole query group; slices of the context are merged. */
import { fusedDispatches } from "../plan/dispatches.ts";
import type { FusedPlan } from "../plan/fused.ts";
import { numRows } from "../plan/plan_base.ts";
import { fusedModules } from "./fused_module.ts";
import { firstKvRow, paramsOf, type Program, uniformsOf } from "./program.ts";

/** The program of a fused plan. */
export function fusedProgram(plan: FusedPlan): Program {
  const { spec, slices, blocks, scratchBytes } = plan;
  const common = paramsOf(plan);
  const stateBytes = slices * numRows(spec) * 8;
  return {
    modules: { ...fusedModules(plan) },
    params: blocks.map((block) => ({
      kernel: "attend",
      values: { ...common, firstTile: block.firstTile, firstKvRow: firstKvRow(plan, block) },
    })),
    uniforms: uniformsOf(plan),
    scratch: slices === 1 ? {} : { partials: scratchBytes - stateBytes, states: stateBytes },
    dispatches: fusedDispatches(plan).map(({ kernel, block, grid }) => ({
      ...{ kernel, grid, params: block, part: blocks[block].part },
    })),
  };
}
