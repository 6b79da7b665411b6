/** Attention in three kernels: scores, softmax, weighted sum. */
import { stagedDispatches } from "../plan/dispatches.ts";
import { EARLY_STAGES, type EarlyStage, keepsRows } from "../plan/outputs.ts";
import type { StagedPlan } from "../plan/staged.ts";
import { unmasked } from "../score/pieces.ts";
import { STATE_BYTES, stateBytes } from "../plan/slices.ts";
import { rowStrides } from "../tensor/layout.ts";
import type { FilledSpec } from "../plan/spec.ts";
import { firstKvRow, paramsOf, type Program, uniformsOf } from "./program.ts";
import { stagedModules } from "./staged_module.ts";

/** The program of a staged plan. */
export function stagedProgram(plan: StagedPlan): Program {
  const { spec, blocks, contextLen, scratchBytes, transform } = plan;
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
  const readsQueries = (name: string) => name === "scores" || isEarly(name);
  const ofEarly = outputs.some(isEarly)
    ? blocks.map(({ firstTile, part }) => ({
      ...{ firstTile, firstKvRow: firstKvRow(plan, { part }), filledLen: contextLen },
    }))
    : [];
  // Sums of values that a kernel is to take out of their transform lie by rows, whatever the layout of o.
  const ofSums = transform
    ? ofBlocks.map((block) => ({ ...block, qStride: numberStrides(spec) }))
    : [];
  const scoreBytes = scratchBytes - (transform ? transform.queryBytes + stateBytes(spec) : 0);
  const scratch = {
    ...(weights === "scratch" ? { scratch: scoreBytes } : {}),
    ...(transform && {
      queries: transform.queryBytes,
      partials: spec.numRows * spec.valueDim * 4,
      states: spec.numRows * STATE_BYTES,
    }),
  };
  /** The place of the parameters of a kernel's first block. */
  const firstParams = (kernel: string) => {
    if (isEarly(kernel)) return blocks.length;
    return transform && kernel === "weightedSum" ? blocks.length + ofEarly.length : 0;
  };
  return {
    modules: { ...stagedModules(plan) },
    params: [
      ...ofBlocks.map((block) => ({ kernel: "scores", values: { ...common, ...block } })),
      ...ofEarly.map((block) => ({ kernel: "scores", values: { ...early, ...block } })),
      ...ofSums.map((block) => ({ kernel: "scores", values: { ...common, ...block } })),
    ],
    uniforms: uniformsOf(plan),
    scratch,
    dispatches: stagedDispatches(plan).map(({ kernel, block, grid }) => ({
      kernel,
      grid,
      part: blocks[block].part,
      params: firstParams(kernel) + block,
      renamed: {
        ...(isEarly(kernel) ? { scores: kernel } : { weights, scores }),
        ...(transform && readsQueries(kernel) ? { q: "queries" } : {}),
        ...(transform && kernel === "weightedSum" ? { o: "partials" } : {}),
      },
    })),
  };
}

/** Rows by their numbers from one batch, head and token to the next; tokens that lie end to end are one batch. */
function numberStrides({ queries: { arrangement, seqLen }, numHeads }: FilledSpec): number[] {
  const [ofBatch, ofHead, ofToken] = rowStrides("BNSH", numHeads, seqLen);
  return [arrangement === "ragged" ? 0 : ofBatch, ofHead, ofToken];
}
