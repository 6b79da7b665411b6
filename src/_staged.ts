/** Attention in three kernels: scores, softmax, weighted sum. */
import { fragments, kernels } from "../kernels/mod.ts";
import { constantsOf, type Executor, paramsOf, scratchBuffer } from "./_executor.ts";
import { Kernel } from "./_kernel.ts";
import { packSize } from "./_plan.ts";
import { kvReads } from "./_storage.ts";
import type { Gpu } from "./device.ts";
import { columnBlocks, type StagedPlan, valueBlocks } from "./plan_staged.ts";

/** Compiles the kernels of a plan and allocates its scratch. */
export async function createStaged(gpu: Gpu, plan: StagedPlan): Promise<Executor> {
  const { scores, softmax, weightedSum } = await compile(gpu, plan);
  const isKept = plan.spec.outputs.length > 0;
  const { params, scratch } = await gpu.guard("allocate attention", () => ({
    params: plan.blocks.map(({ firstTile, firstRow }) =>
      scores.uniform({
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
    encode(pass, given, columns) {
      const weights = given.weights ?? scratch!;
      const buffers = { ...given, weights, scores: given.scores ?? weights };
      plan.blocks.forEach(({ numTiles, numRows }, i) => {
        const bind = (kernel: Kernel) => kernel.bind({ ...buffers, params: params[i] });
        scores.dispatch(pass, bind(scores), [columnBlocks(plan, columns), numTiles]);
        softmax.dispatch(pass, bind(softmax), [numRows, 1]);
        weightedSum.dispatch(pass, bind(weightedSum), [numTiles, valueBlocks(plan)]);
      });
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
      fragments: [...keys.fragments, kernels.scores],
    }),
    Kernel.compile(gpu, "softmax", {
      constants: { ...constants, WORKGROUP: workgroup.softmax },
      fragments: [...base, fragments.softmaxState, source, kernels.softmax],
    }),
    Kernel.compile(gpu, "weighted sum", {
      types: values.types,
      constants: {
        ...values.constants,
        LANES,
        STRIPS: workgroup.weightedSum / LANES,
        WORKGROUP: workgroup.weightedSum,
      },
      fragments: [...values.fragments, kernels.weightedSum],
    }),
  ]);
  return { scores, softmax, weightedSum };
}
