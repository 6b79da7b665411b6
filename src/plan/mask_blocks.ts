/** The blocks of a mask: which parts of it are computed together, and how many there are. */
import type { DeviceProfile } from "../gpu/profile.ts";
import { readsHead } from "../score/mod_text.ts";
import type { PlanBase } from "./plan_base.ts";
import type { FilledSpec } from "./spec.ts";

/** New tokens of a block. */
export const MASK_TOKENS = 32;
/** Columns of a block. */
export const MASK_COLUMNS = 32;

/** Whether query heads have blocks of their own: where the mask depends on the head. */
export function isPerHead({ maskMod }: FilledSpec): boolean {
  return maskMod !== undefined && readsHead(maskMod);
}

/** The blocks of a mask, [rows, tokens, columns]: a row is a sequence, or one of its query heads. */
export function maskBlocks(
  { spec, contextLen }: Pick<PlanBase, "spec" | "contextLen">,
): { rows: number; tokens: number; columns: number } {
  return {
    rows: spec.batch * (isPerHead(spec) ? spec.numHeads : 1),
    tokens: Math.ceil(spec.seqLen / MASK_TOKENS),
    columns: Math.ceil(contextLen / MASK_COLUMNS),
  };
}

/**
 * Invocations side by side over the columns and the tokens of a block. On a GPU neighbours take neighbouring columns, whose
 * loads it joins; a software device counts loads, and pays for each invocation that waits for others.
 */
const LANES = { gpu: { columns: 32, tokens: 2 }, software: { columns: 8, tokens: 1 } };
/** Most tokens of an invocation between two branches. */
const MOST_LANE_TOKENS = 8;

/** How the invocations of a workgroup share a block, and the columns and tokens that one asks about without a branch. */
export function blockLanes(
  { seqLen }: Pick<FilledSpec, "seqLen">,
  { isSoftware }: DeviceProfile,
): { columnLanes: number; tokenLanes: number; laneColumns: number; laneTokens: number } {
  const { columns, tokens } = isSoftware ? LANES.software : LANES.gpu;
  return {
    columnLanes: columns,
    tokenLanes: tokens,
    laneColumns: MASK_COLUMNS / columns,
    laneTokens: Math.min(MOST_LANE_TOKENS, Math.ceil(seqLen / tokens)),
  };
}

/** Rounds of loops that finding the state of a tile takes, at most; none without blocks. */
export function stateRounds({ blockMask }: FilledSpec, rows: number, columns: number): number {
  // A tile that begins within a block may end within another.
  return blockMask ? 1 + Math.max(rows, 2) * (Math.ceil(columns / MASK_COLUMNS) + 2) : 0;
}
