/** The sequences that run together under a budget of memory, as the planner predicts them. */
import { type CacheShape, type KvDtype, largestBatch } from "../../mod.ts";
import type { ServingRequest } from "./requests.ts";

/**
 * Tokens that a running sequence has pages for: the mean over all steps of all requests, each of which holds its prompt and
 * what was generated so far, in whole pages.
 */
export function meanHeldTokens(
  requests: readonly Pick<ServingRequest, "prompt" | "newTokens">[],
  pageSize: number,
): number {
  let [held, steps] = [0, 0];
  for (const { prompt, newTokens } of requests) {
    for (let step = 0; step < newTokens; step++) {
      held += Math.ceil((prompt.length + step) / pageSize) * pageSize;
    }
    steps += newTokens;
  }
  return held / steps;
}

/** The largest batch of sequences of that many tokens, as "What fits" of the planner has it. */
export function predictSequences(
  shape: CacheShape,
  heldTokens: number,
  { budgetBytes, kvDtype }: { budgetBytes: number; kvDtype: KvDtype },
): number {
  const contextLen = Math.max(1, Math.round(heldTokens));
  return largestBatch(shape, { memoryBytes: budgetBytes }, { contextLen, dtype: kvDtype });
}
