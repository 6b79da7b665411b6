/** The dispatches of a plan, in order: executors encode them, and `explain` prints them. */
import type { Grid } from "../gpu/bound_work.ts";
import type { FusedPlan } from "./fused.ts";
import { EARLY_STAGES, type EarlyStage } from "./outputs.ts";
import { mergeWorkgroups } from "./slices.ts";
import type { StagedPlan } from "./staged.ts";
import { valueBlocks } from "./staged_tile.ts";

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
  return [...attends, { kernel: "merge", block: 0, grid: [mergeWorkgroups(spec), 1] }];
}

/** For each block the early stages that are asked for, then scores, softmax and weighted sum. */
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
