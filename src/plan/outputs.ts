/** The outputs of attention beside o. */
import type { ScoreStage } from "../score/score_spec.ts";

/**
 * An output of attention beside o, in the order of computing:
 *
 * - `"products"`: `scale q . k` of every key, visible or not
 * - `"softcapped"`: after the softcap, of every key
 * - `"scores"`: after bias and masks, about -3.4e38 where masked: the input of softmax
 * - `"weights"`: softmax of the scores
 * - `"lse"`: natural logarithm of the sum of the scores' exponentials, one number per query row
 *
 * `"lse"` costs nothing; the others exist in the staged implementation alone.
 */
export type AttentionOutput = "products" | "softcapped" | "scores" | "weights" | "lse";

/** The outputs that are matrices, [B, N, S, contextLen]. */
export type StageOutput = Exclude<AttentionOutput, "lse">;

/** The stages before the scores: a scores kernel of its own stops at each that is asked for. */
export type EarlyStage = Exclude<ScoreStage, "scores">;

/** In the order of computing. */
export const EARLY_STAGES: readonly EarlyStage[] = ["products", "softcapped"];

const STAGES: readonly StageOutput[] = [...EARLY_STAGES, "scores", "weights"];

/** All of them. */
export const OUTPUTS: readonly AttentionOutput[] = [...STAGES, "lse"];

/** The outputs that are matrices, in the order of computing. */
export function stagesOf(outputs: readonly AttentionOutput[]): StageOutput[] {
  return STAGES.filter((stage) => outputs.includes(stage));
}

/** Whether scores or weights of all rows are kept: otherwise each block of rows overwrites those of the last. */
export function keepsRows(outputs: readonly AttentionOutput[]): boolean {
  return outputs.includes("scores") || outputs.includes("weights");
}
