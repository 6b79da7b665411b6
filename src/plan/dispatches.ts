/** The dispatches of a plan, in order: executors encode them, and `explain` prints them. */
import type { Grid } from "../gpu/bound_work.ts";
import type { FusedPlan } from "./fused.ts";
import { EARLY_STAGES, type EarlyStage } from "./outputs.ts";
import { mergeWorkgroups } from "./slices.ts";
import type { StagedPlan } from "./staged.ts";
import type { TransformPlan } from "./transform.ts";
import { valueBlocks } from "./staged_tile.ts";

/** One run of a kernel over a block of the plan. */
export interface PlannedDispatch<Name extends string> {
  kernel: Name;
  /** Index into the blocks of the plan. */
  block: number;
  grid: Grid;
}

/** The kernel that fills the texture of a tensor. */
export const FILL_KERNELS = {
  q: "fillQueries",
  k: "fillKeys",
  v: "fillValues",
  dO: "fillDOs",
} as const;

/** The kernels that bring tensors to textures. */
export type FillKernel = (typeof FILL_KERNELS)[keyof typeof FILL_KERNELS];

/** The kernels on the way into the transform of keys and values, and out of it. */
type TransformKernel = "transformQueries" | "transformOutputs";

/** Dispatches between those that transform queries and outputs, where a plan has these. */
function transformed<Name extends string>(
  { transform }: { transform?: TransformPlan },
  dispatches: readonly PlannedDispatch<Name>[],
): PlannedDispatch<Name | TransformKernel>[] {
  if (!transform) return [...dispatches];
  const { grid } = transform;
  const own = (kernel: TransformKernel) => ({ kernel, block: 0, grid });
  return [own("transformQueries"), ...dispatches, own("transformOutputs")];
}

/**
 * Textures are filled, where there are some; then one pass over each slice, and a merge where there are several: the transform of
 * outputs, where there is one.
 */
export function fusedDispatches(
  plan: FusedPlan,
): PlannedDispatch<"attend" | "merge" | FillKernel | TransformKernel>[] {
  const { spec, slices, blocks, transform, texels = [] } = plan;
  const fills = texels.map(({ name, grid }) => ({ kernel: FILL_KERNELS[name], block: 0, grid }));
  const attends = blocks.map(({ numTiles }, block) => {
    const grid: Grid = [slices, numTiles];
    return { kernel: "attend" as const, block, grid };
  });
  if (slices === 1 || transform) return transformed(plan, [...fills, ...attends]);
  return [...fills, ...attends, { kernel: "merge", block: 0, grid: [mergeWorkgroups(spec), 1] }];
}

/** For each block the early stages that are asked for, then scores, softmax and weighted sum. */
export function stagedDispatches(
  plan: StagedPlan,
): PlannedDispatch<EarlyStage | "scores" | "softmax" | "weightedSum" | TransformKernel>[] {
  const { columnGroups } = plan;
  const early = EARLY_STAGES.filter((stage) => plan.spec.outputs.includes(stage));
  const ofBlocks = plan.blocks.flatMap(({ numTiles, numRows }, block) => [
    ...early.map((kernel) => ({ kernel, block, grid: [columnGroups, numTiles] as const })),
    { kernel: "scores" as const, block, grid: [columnGroups, numTiles] as const },
    { kernel: "softmax" as const, block, grid: [numRows, 1] as const },
    { kernel: "weightedSum" as const, block, grid: [numTiles, valueBlocks(plan)] as const },
  ]);
  return transformed(plan, ofBlocks);
}
