/** Attention in one pass over keys and values, for a whole query group; slices of the context are merged. */
import { fusedDispatches } from "../plan/dispatches.ts";
import {
  compileAll,
  type Executor,
  firstKvRow,
  paramsOf,
  perHeadBuffer,
  scratchBuffer,
} from "./executor.ts";
import { numRows } from "../plan/plan_base.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Owned } from "../gpu/owned.ts";
import type { FusedPlan } from "../plan/fused.ts";
import { fusedModules } from "./fused_module.ts";

/** Compiles the kernels of a plan and allocates its scratch, which `owned` keeps. */
export async function createFused(gpu: Gpu, owned: Owned, plan: FusedPlan): Promise<Executor> {
  const { slices } = plan;
  const rows = numRows(plan.spec);
  const kernels = await compileAll(gpu, fusedModules(plan));
  const statesBytes = slices * rows * 8;
  const { params, partials, states, perHead } = await gpu.guard("allocate attention", () => ({
    params: plan.blocks.map((block) =>
      owned.keep(kernels.attend.uniform({
        ...paramsOf(plan),
        firstTile: block.firstTile,
        firstKvRow: firstKvRow(plan, block),
      }))
    ),
    partials: scratchBuffer(gpu, owned, slices === 1 ? 0 : plan.scratchBytes - statesBytes),
    states: scratchBuffer(gpu, owned, slices === 1 ? 0 : statesBytes),
    perHead: perHeadBuffer(gpu, owned, plan.spec),
  }));
  return {
    bind(given, kv) {
      const buffers = {
        ...given,
        ...(partials && states && { partials, states }),
        ...(perHead && { perHead }),
      };
      return fusedDispatches(plan).map(({ kernel, block, grid }) => {
        const { part } = plan.blocks[block];
        return kernels[kernel]!.bind({ ...buffers, ...kv[part], params: params[block] }, grid);
      });
    },
  };
}
