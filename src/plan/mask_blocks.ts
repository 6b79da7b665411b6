/** The blocks of a mask: which parts of it are computed together, and how many there are. */
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

/** Rounds of loops that finding the state of a tile takes, at most; none without blocks. */
export function stateRounds({ blockMask }: FilledSpec, rows: number, columns: number): number {
  // A tile that begins within a block may end within another.
  return blockMask ? 1 + Math.max(rows, 2) * (Math.ceil(columns / MASK_COLUMNS) + 2) : 0;
}
