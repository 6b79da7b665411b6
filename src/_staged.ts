/** Attention in three kernels: scores, softmax, weighted sum. */
import { fragments, kernels } from "../kernels/mod.ts";
import { type Executor, firstKvRow, paramsOf, scratchBuffer } from "./_executor.ts";
import { Kernel } from "./_kernel.ts";
import { packSize } from "./_plan.ts";
import type { Gpu } from "./device.ts";
import { columnBlocks, type StagedPlan, valueBlocks } from "./plan_staged.ts";

/** Compiles the kernels of a plan and allocates its scratch. */
export async function createStaged(gpu: Gpu, plan: StagedPlan): Promise<Executor> {
  const { scores, softmax, weightedSum } = await compile(gpu, plan);
  const isKept = plan.spec.outputs.length > 0;
  const { params, scratch } = await gpu.guard("allocate attention", () => ({
    params: plan.blocks.map(({ firstTile, firstRow, part }) =>
      scores.uniform({
        ...paramsOf(plan),
        filledLen: isKept ? plan.contextLen : 0,
        firstTile,
        firstRow,
        scratchRow: isKept ? 0 : firstRow,
        firstKvRow: firstKvRow(plan, { part }),
      })
    ),
    scratch: scratchBuffer(gpu.device, plan.scratchBytes),
  }));
  return {
    encode(pass, given, kv, columns) {
      const weights = given.weights ?? scratch!;
      const buffers = { ...given, weights, scores: given.scores ?? weights };
      plan.blocks.forEach(({ numTiles, numRows, part }, i) => {
        const bind = (kernel: Kernel) =>
          kernel.bind({ ...buffers, ...kv[part], params: params[i] });
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
  const { headDim: HEAD_DIM, valueDim: VALUE_DIM, dtype, outputs } = plan.spec;
  const types = { T: dtype };
  const tile = { ROWS, TILE_ROWS: ROWS };
  const pack = (size: number) => packSize(size) === 4 ? fragments.packVec4 : fragments.packScalar;
  const base = [fragments.params, fragments.context];
  const source = outputs.includes("scores") ? fragments.scoresApart : fragments.scoresInPlace;
  const [scores, softmax, weightedSum] = await Promise.all([
    Kernel.compile(gpu, "scores", {
      types,
      constants: { HEAD_DIM, ...tile, WORKGROUP: workgroup.scores },
      fragments: [...base, pack(HEAD_DIM), fragments.rowTile, kernels.scores],
    }),
    Kernel.compile(gpu, "softmax", {
      constants: { WORKGROUP: workgroup.softmax },
      fragments: [...base, fragments.softmaxState, source, kernels.softmax],
    }),
    Kernel.compile(gpu, "weighted sum", {
      types,
      constants: {
        VALUE_DIM,
        ...tile,
        LANES,
        STRIPS: workgroup.weightedSum / LANES,
        WORKGROUP: workgroup.weightedSum,
      },
      fragments: [...base, pack(VALUE_DIM), fragments.rowTile, kernels.weightedSum],
    }),
  ]);
  return { scores, softmax, weightedSum };
}
