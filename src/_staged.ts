/** Attention in three kernels: scores, softmax, weighted sum. */
import { fragments, kernels as texts } from "../kernels/mod.ts";
import { stagedDispatches } from "./_dispatches.ts";
import { constantsOf, type Executor, paramsOf, scratchBuffer } from "./_executor.ts";
import { Kernel } from "./_kernel.ts";
import { packSize } from "./_plan.ts";
import { kvReads } from "./_storage.ts";
import type { Gpu } from "./device.ts";
import type { StagedPlan } from "./plan_staged.ts";

/** Compiles the kernels of a plan and allocates its scratch. */
export async function createStaged(gpu: Gpu, plan: StagedPlan): Promise<Executor> {
  const kernels = await compile(gpu, plan);
  const isKept = plan.spec.outputs.length > 0;
  const { params, scratch } = await gpu.guard("allocate attention", () => ({
    params: plan.blocks.map(({ firstTile, firstRow }) =>
      kernels.scores.uniform({
        ...paramsOf(plan),
        filledLen: isKept ? plan.contextLen : 0,
        firstTile,
        firstRow,
        scratchRow: isKept ? 0 : firstRow,
      })
    ),
    scratch: scratchBuffer(gpu.device, plan.scratchBytes),
  }));
  return {
    bind(given) {
      const weights = given.weights ?? scratch!;
      const buffers = { ...given, weights, scores: given.scores ?? weights };
      return stagedDispatches(plan).map(({ kernel, block, grid }) =>
        kernels[kernel].bind({ ...buffers, params: params[block] }, grid)
      );
    },
    destroy() {
      scratch?.destroy();
      for (const buffer of params) buffer.destroy();
    },
  };
}

async function compile(gpu: Gpu, plan: StagedPlan) {
  const { workgroup, rowTile: ROWS, valueLanes: LANES } = plan;
  const { dtype, kvDtype, outputs } = plan.spec;
  const constants = constantsOf(plan);
  const tile = { ...constants, ROWS, TILE_ROWS: ROWS };
  const base = [fragments.params, fragments.context];
  /** What reads keys or values of a head of this size. */
  const kv = (size: number) => {
    const reads = kvReads(kvDtype, packSize(size));
    const pack = packSize(size) === 4 ? fragments.packVec4 : fragments.packScalar;
    return {
      types: { T: dtype, ...reads.types },
      constants: { ...tile, ...reads.constants },
      fragments: [...base, pack, fragments.rowTile, ...reads.fragments],
    };
  };
  const [keys, values] = [kv(plan.spec.headDim), kv(plan.spec.valueDim)];
  const source = outputs.includes("scores") ? fragments.scoresApart : fragments.scoresInPlace;
  const [scores, softmax, weightedSum] = await Promise.all([
    Kernel.compile(gpu, "scores", {
      types: keys.types,
      constants: { ...keys.constants, WORKGROUP: workgroup.scores },
      fragments: [...keys.fragments, texts.scores],
    }),
    Kernel.compile(gpu, "softmax", {
      constants: { ...constants, WORKGROUP: workgroup.softmax },
      fragments: [...base, fragments.softmaxState, source, texts.softmax],
    }),
    Kernel.compile(gpu, "weighted sum", {
      types: values.types,
      constants: {
        ...values.constants,
        LANES,
        STRIPS: workgroup.weightedSum / LANES,
        WORKGROUP: workgroup.weightedSum,
      },
      fragments: [...values.fragments, texts.weightedSum],
    }),
  ]);
  return { scores, softmax, weightedSum };
}
