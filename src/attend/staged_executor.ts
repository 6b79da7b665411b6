/** Attention in three kernels: scores, softmax, weighted sum. */
import { stagedDispatches } from "../plan/dispatches.ts";
import {
  compileAll,
  type Executor,
  firstKvRow,
  paramsOf,
  perHeadBuffer,
  scratchBuffer,
} from "./executor.ts";
import { unmasked } from "../score/pieces.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Owned } from "../gpu/owned.ts";
import { EARLY_STAGES, keepsRows } from "../plan/outputs.ts";
import type { StagedPlan } from "../plan/staged.ts";
import { stagedModules } from "./staged_module.ts";

/** Compiles the kernels of a plan and allocates its scratch, which `owned` keeps. */
export async function createStaged(gpu: Gpu, owned: Owned, plan: StagedPlan): Promise<Executor> {
  const { spec } = plan;
  const kernels = await compileAll(gpu, stagedModules(plan));
  const isKept = keepsRows(spec.outputs);
  const hasEarly = EARLY_STAGES.some((stage) => spec.outputs.includes(stage));
  const { params, earlyParams, scratch, perHead } = await gpu.guard("allocate attention", () => ({
    params: plan.blocks.map(({ firstTile, firstRow, part }) =>
      owned.keep(kernels.scores.uniform({
        ...paramsOf(plan),
        filledLen: isKept ? plan.contextLen : 0,
        firstTile,
        firstRow,
        scratchRow: isKept ? 0 : firstRow,
        firstKvRow: firstKvRow(plan, { part }),
      }))
    ),
    earlyParams: !hasEarly
      ? []
      : plan.blocks.map(({ firstTile, part }) =>
        owned.keep(kernels.scores.uniform({
          ...paramsOf({ ...plan, spec: unmasked(spec) }),
          filledLen: plan.contextLen,
          firstTile,
          firstKvRow: firstKvRow(plan, { part }),
        }))
      ),
    scratch: scratchBuffer(gpu, owned, plan.scratchBytes),
    perHead: perHeadBuffer(gpu, owned, spec),
  }));
  return {
    bind(given, kv) {
      const weights = given.weights ?? scratch!;
      const buffers = {
        ...given,
        ...{ weights, scores: given.scores ?? weights },
        ...(perHead && { perHead }),
      };
      return stagedDispatches(plan).map(({ kernel, block, grid }) => {
        const early = EARLY_STAGES.find((stage) => stage === kernel);
        const bound = early
          ? { ...given, scores: given[early], params: earlyParams[block] }
          : { ...buffers, params: params[block] };
        return kernels[kernel]!.bind({ ...bound, ...kv[plan.blocks[block].part] }, grid);
      });
    },
  };
}
