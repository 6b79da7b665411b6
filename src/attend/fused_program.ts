/** Attention in one pass over keys and values, for a whole query group; slices of the context are merged. */
import { fusedDispatches } from "../plan/dispatches.ts";
import type { FusedPlan } from "../plan/fused.ts";
import { STATE_BYTES } from "../plan/slices.ts";
import type { FilledSpec } from "../plan/spec.ts";
import type { UniformRanges } from "../plan/uniform_ranges.ts";
import { fusedModules } from "./fused_module.ts";
import { firstKvRow, paramsOf, type Program, uniformsOf } from "./program.ts";

/** The program of a fused plan. */
export function fusedProgram(plan: FusedPlan): Program {
  const { spec, slices, blocks, scratchBytes, transform, uniform } = plan;
  const common = paramsOf(plan);
  const states = slices * spec.numRows * STATE_BYTES;
  const queries = transform?.queryBytes ?? 0;
  return {
    modules: { ...fusedModules(plan) },
    params: blocks.map((block) => ({
      kernel: "attend",
      values: { ...common, firstTile: block.firstTile, firstKvRow: firstKvRow(plan, block) },
    })),
    uniforms: uniformsOf(plan),
    scratch: {
      ...(slices > 1 || transform ? { partials: scratchBytes - queries - states, states } : {}),
      ...(transform ? { queries } : {}),
    },
    dispatches: fusedDispatches(plan).map(({ kernel, block, grid }) => ({
      ...{ kernel, grid, params: block, part: blocks[block].part },
      ...(uniform && { ranges: keyRanges(spec, uniform, blocks[block].firstBound!) }),
      ...(transform && kernel === "attend" ? { renamed: { q: "queries" } } : {}),
    })),
  };
}

/** The bytes of keys and values that a binding of a uniform holds. */
function keyRanges(spec: FilledSpec, { rows }: UniformRanges, firstRow: number) {
  const bytes = (size: number) => ({ offset: 4 * firstRow * size, size: 4 * rows * size });
  return { k: bytes(spec.headDim), v: bytes(spec.valueDim) };
}
