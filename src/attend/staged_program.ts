/** Attention in three kernels: scores, softmax, weighted sum. */
import { stagedDispatches } from "../plan/dispatches.ts";
import { EARLY_STAGES, type EarlyStage, keepsRows } from "../plan/outputs.ts";
import type { StagedPlan } from "../plan/staged.ts";
import { unmasked } from "../score/pieces.ts";
import { firstKvRow, paramsOf, type Program, uniformsOf } from "./program.ts";
import { stagedModules } from "./staged_module.ts";

/** The program of a staged plan. */
export function stagedProgram(plan: StagedPlan): Program {
  const { spec, blocks, contextLen, scratchBytes } = plan;
  const { outputs } = spec;
  const isKept = keepsRows(outputs);
  const weights = outputs.includes("weights") ? "weights" : "scratch";
  const scores = outputs.includes("scores") ? "scores" : weights;
  const [common, early] = [paramsOf(plan), paramsOf({ ...plan, spec: unmasked(spec) })];
  const ofBlocks = blocks.map(({ firstTile, firstRow, part }) => ({
    ...{ firstTile, firstRow, firstKvRow: firstKvRow(plan, { part }) },
    ...{ filledLen: isKept ? contextLen : 0, scratchRow: isKept ? 0 : firstRow },
  }));
  const isEarly = (name: string) => EARLY_STAGES.includes(name as EarlyStage);
  const ofEarly = outputs.some(isEarly)
    ? blocks.map(({ firstTile, part }) => ({
      ...{ firstTile, firstKvRow: firstKvRow(plan, { part }), filledLen: contextLen },
    }))
    : [];
  return {
    modules: { ...stagedModules(plan) },
    params: [
      ...ofBlocks.map((block) => ({ kernel: "scores", values: { ...common, ...block } })),
      ...ofEarly.map((block) => ({ kernel: "scores", values: { ...early, ...block } })),
    ],
    uniforms: uniformsOf(plan),
    scratch: weights === "scratch" ? { scratch: scratchBytes } : {},
    dispatches: stagedDispatches(plan).map(({ kernel, block, grid }) => {
      const { part } = blocks[block];
      const renamed: Record<string, string> = isEarly(kernel)
        ? { scores: kernel }
        : { weights, scores };
      return {
        kernel,
        grid,
        part,
        params: isEarly(kernel) ? blocks.length + block : block,
        renamed,
      };
    }),
  };
}
