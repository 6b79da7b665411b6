/** Attention in three kernels: scores, softmax, weighted sum. */
import * as wgsl from "../../kernels/mod.ts";
import { stagedDispatches } from "../plan/dispatches.ts";
import {
  constantsOf,
  type Executor,
  firstKvRow,
  paramsOf,
  perHeadBuffer,
  scratchBuffer,
} from "./executor.ts";
import type { Owned } from "../gpu/owned.ts";
import { Kernel } from "../gpu/kernel.ts";
import { type Loads, packSize } from "../tensor/loads.ts";
import { perHeadConstants, rowEnd, scoreOf, unmasked } from "../score/pieces.ts";
import { kvReads, packFragment, queryReads } from "../tensor/wgsl_reads.ts";
import type { Gpu } from "../gpu/device.ts";
import type { StagedPlan } from "../plan/staged.ts";
import { EARLY_STAGES, keepsRows } from "../plan/outputs.ts";

/** Compiles the kernels of a plan and allocates its scratch, which `owned` keeps. */
export async function createStaged(gpu: Gpu, owned: Owned, plan: StagedPlan): Promise<Executor> {
  const { spec } = plan;
  const kernels = await compile(gpu, plan);
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

async function compile(gpu: Gpu, plan: StagedPlan) {
  const { workgroup, rowTile: ROWS, valueLanes: LANES } = plan;
  const { dtype, kvDtype, outputs } = plan.spec;
  const constants = constantsOf(plan);
  const heads = perHeadConstants(plan.spec);
  const tile = { ...constants, ROWS, TILE_ROWS: ROWS };
  const base = [wgsl.params, wgsl.masked, wgsl.context];
  /** What reads keys or values of a head of this size. */
  const kv = (size: number, loads: Loads) => {
    const reads = kvReads(kvDtype, packSize(size), loads);
    return {
      types: { T: dtype, ...reads.types },
      constants: { ...tile, ...reads.constants },
      fragments: [...base, packFragment(packSize(size)), wgsl.rowTile, ...reads.fragments],
    };
  };
  const keys = kv(plan.spec.headDim, plan.loads.keys);
  const values = kv(plan.spec.valueDim, plan.loads.values);
  const source = outputs.includes("scores") ? wgsl.scoresApart : wgsl.scoresInPlace;
  const compileScores = (steps: readonly string[]) =>
    Kernel.compile(gpu, "scores", {
      types: keys.types,
      constants: { ...keys.constants, ...heads, WORKGROUP: workgroup.scores },
      fragments: [...keys.fragments, queryReads(dtype, kvDtype), ...steps, wgsl.scores],
    });
  const compileEarly = (stage: typeof EARLY_STAGES[number]) =>
    outputs.includes(stage) ? compileScores(scoreOf(plan.spec, stage)) : undefined;
  const [scores, softmax, weightedSum, products, softcapped] = await Promise.all([
    compileScores(scoreOf(plan.spec)),
    Kernel.compile(gpu, "softmax", {
      constants: { ...constants, ...heads, WORKGROUP: workgroup.softmax },
      fragments: [...base, wgsl.state, ...rowEnd(plan.spec), source, wgsl.softmax],
    }),
    Kernel.compile(gpu, "weighted sum", {
      types: values.types,
      constants: {
        ...values.constants,
        LANES,
        STRIPS: workgroup.weightedSum / LANES,
        WORKGROUP: workgroup.weightedSum,
      },
      fragments: [...values.fragments, wgsl.weightedSum],
    }),
    compileEarly("products"),
    compileEarly("softcapped"),
  ]);
  return { scores, softmax, weightedSum, products, softcapped };
}
