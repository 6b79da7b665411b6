/** Attention in three kernels: scores, softmax, weighted sum. */
import { fragments, kernels } from "../kernels/mod.ts";
import { type Executor, paramsOf, perHeadBuffer, scratchBuffer } from "./_executor.ts";
import { Kernel } from "./_kernel.ts";
import { packSize } from "./_plan.ts";
import { perHeadConstants, rowEnd, scoreOf, unmasked } from "./_score.ts";
import type { Gpu } from "./device.ts";
import { columnBlocks, keepsRows, type StagedPlan, valueBlocks } from "./plan_staged.ts";

/** Stages before the scores, each written by a scores kernel of its own that stops there. */
const EARLY_STAGES = ["products", "softcapped"] as const;

/** Compiles the kernels of a plan and allocates its scratch. */
export async function createStaged(gpu: Gpu, plan: StagedPlan): Promise<Executor> {
  const { spec } = plan;
  const { scores, softmax, weightedSum, early } = await compile(gpu, plan);
  const isKept = keepsRows(spec);
  const { params, earlyParams, scratch, perHead } = await gpu.guard("allocate attention", () => ({
    params: plan.blocks.map(({ firstTile, firstRow }) =>
      scores.uniform({
        ...paramsOf(plan),
        filledLen: isKept ? plan.contextLen : 0,
        firstTile,
        firstRow,
        scratchRow: isKept ? 0 : firstRow,
      })
    ),
    earlyParams: early.length === 0 ? [] : plan.blocks.map(({ firstTile }) =>
      scores.uniform({
        ...paramsOf({ ...plan, spec: unmasked(spec) }),
        filledLen: plan.contextLen,
        firstTile,
      })
    ),
    scratch: scratchBuffer(gpu.device, plan.scratchBytes),
    perHead: perHeadBuffer(gpu.device, spec),
  }));
  return {
    encode(pass, given, columns) {
      const weights = given.weights ?? scratch!;
      const buffers = {
        ...given,
        ...{ weights, scores: given.scores ?? weights },
        ...(perHead && { perHead }),
      };
      for (const { stage, kernel } of early) {
        plan.blocks.forEach(({ numTiles }, i) => {
          const bindings = kernel.bind({ ...given, scores: given[stage], params: earlyParams[i] });
          kernel.dispatch(pass, bindings, [columnBlocks(plan, plan.contextLen), numTiles]);
        });
      }
      plan.blocks.forEach(({ numTiles, numRows }, i) => {
        const bind = (kernel: Kernel) => kernel.bind({ ...buffers, params: params[i] });
        scores.dispatch(pass, bind(scores), [columnBlocks(plan, columns), numTiles]);
        softmax.dispatch(pass, bind(softmax), [numRows, 1]);
        weightedSum.dispatch(pass, bind(weightedSum), [numTiles, valueBlocks(plan)]);
      });
    },
    destroy() {
      scratch?.destroy();
      perHead?.destroy();
      for (const buffer of [...params, ...earlyParams]) buffer.destroy();
    },
  };
}

async function compile(gpu: Gpu, plan: StagedPlan) {
  const { workgroup, rowTile: ROWS, valueLanes: LANES } = plan;
  const { headDim: HEAD_DIM, valueDim: VALUE_DIM, dtype, outputs } = plan.spec;
  const types = { T: dtype };
  const tile = { ROWS, TILE_ROWS: ROWS };
  const heads = perHeadConstants(plan.spec);
  const pack = (size: number) => packSize(size) === 4 ? fragments.packVec4 : fragments.packScalar;
  const base = [fragments.params, fragments.masked, fragments.context];
  const source = outputs.includes("scores") ? fragments.scoresApart : fragments.scoresInPlace;
  const compileScores = (steps: readonly string[]) =>
    Kernel.compile(gpu, "scores", {
      types,
      constants: { HEAD_DIM, ...tile, ...heads, WORKGROUP: workgroup.scores },
      fragments: [...base, pack(HEAD_DIM), fragments.rowTile, ...steps, kernels.scores],
    });
  const early = EARLY_STAGES.filter((stage) => outputs.includes(stage)).map(async (stage) => ({
    stage,
    kernel: await compileScores(scoreOf(plan.spec, stage)),
  }));
  const [scores, softmax, weightedSum] = await Promise.all([
    compileScores(scoreOf(plan.spec)),
    Kernel.compile(gpu, "softmax", {
      constants: { ...heads, WORKGROUP: workgroup.softmax },
      fragments: [
        ...base,
        fragments.softmaxState,
        ...rowEnd(plan.spec),
        source,
        kernels.softmax,
      ],
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
  return { scores, softmax, weightedSum, early: await Promise.all(early) };
}
