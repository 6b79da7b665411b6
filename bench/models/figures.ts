/** Figures of a system from its rounds. */
import { median, speedup } from "../statistics.ts";
import type { Ready } from "./message.ts";
import type { ModelFigures, ModelResult } from "./result.ts";

/** What was measured in a round. */
export interface Round {
  /** Milliseconds until the first new token of each sequence. */
  firstMs: number;
  /** Milliseconds until all new tokens, from other prompts of the same length. */
  allMs: number;
  /** Memory of the process afterwards. */
  residentBytes: number;
}

/** The figures of rounds, beside those of ours where these are right. */
export function figuresOf(
  { sequences, promptTokens, newTokens }: Pick<
    ModelResult,
    "sequences" | "promptTokens" | "newTokens"
  >,
  { cacheBytes, loadMs }: Ready,
  rounds: readonly Round[],
  ours: readonly Round[] | undefined,
): ModelFigures {
  const firsts = (of: readonly Round[]) => of.map(({ firstMs }) => firstMs);
  const steps = (of: readonly Round[]) =>
    of.map(({ firstMs, allMs }) => (allMs - firstMs) / (newTokens - 1));
  const [firstTokenMs, stepMs] = [median(firsts(rounds)), median(steps(rounds))];
  return {
    ...{ rounds: rounds.length, loadMs, firstTokenMs, stepMs },
    prefillPerSecond: sequences * promptTokens / firstTokenMs * 1e3,
    decodePerSecond: sequences / stepMs * 1e3,
    prefillTimesOurs: ours ? speedup(firsts(ours), firsts(rounds)) : null,
    decodeTimesOurs: ours ? speedup(steps(ours), steps(rounds)) : null,
    cacheBytes,
    residentBytes: rounds.at(-1)!.residentBytes,
  };
}
