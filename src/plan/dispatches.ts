/** The dispatches of a plan, in order: what executors encode and what `explain` prints. */
import { EARLY_STAGES, type EarlyStage, type StagedPlan, valueBlocks } from "./staged.ts";
import { numRows } from "./plan_base.ts";
import type { Grid } from "../gpu/bound_work.ts";
import { fusedPacks } from "./fused_tile.ts";
import { type FusedPlan, MERGE_WORKGROUP } from "./fused.ts";

/** One run of a kernel over a block of the plan. */
export interface PlannedDispatch<Name extends string> {
  kernel: Name;
  /** Index into the blocks of the plan. */
  block: number;
  grid: Grid;
}

/** One pass over each slice, and a merge where there are several. */
export function fusedDispatches(plan: FusedPlan): PlannedDispatch<"attend" | "merge">[] {
  const { spec, slices, blocks } = plan;
  const attends = blocks.map(({ numTiles }, block) => {
    const grid: Grid = [slices, numTiles];
    return { kernel: "attend" as const, block, grid };
  });
  if (slices === 1) return attends;
  const mergeGroups = Math.ceil(numRows(spec) * fusedPacks(spec) / MERGE_WORKGROUP);
  return [...attends, { kernel: "merge", block: 0, grid: [mergeGroups, 1] }];
}

/** Stages that someone reads; then scores, softmax and weighted sum, block by block. */
export function stagedDispatches(
  plan: StagedPlan,
): PlannedDispatch<EarlyStage | "scores" | "softmax" | "weightedSum">[] {
  const { columnGroups } = plan;
  const early = EARLY_STAGES.filter((stage) => plan.spec.outputs.includes(stage));
  return plan.blocks.flatMap(({ numTiles, numRows }, block) => [
    ...early.map((kernel) => ({ kernel, block, grid: [columnGroups, numTiles] as const })),
    { kernel: "scores", block, grid: [columnGroups, numTiles] },
    { kernel: "softmax", block, grid: [numRows, 1] },
    { kernel: "weightedSum", block, grid: [numTiles, valueBlocks(plan)] },
  ]);
}
