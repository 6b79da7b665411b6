/** Figures of a system from its rounds. */
import { median } from "../statistics.ts";
import { type GpuWork, workBetween } from "./gpu_work.ts";
import type { KernelTime } from "./kernel_clock.ts";
import type { Ready } from "./message.ts";
import type { KernelFigures, ModelFigures, ModelResult } from "./result.ts";

/** What was measured in a round. */
export interface Round {
  /** Milliseconds until the first new token of each sequence. */
  firstMs: number;
  /** Milliseconds until all new tokens, from other prompts of the same length. */
  allMs: number;
  /** The work that the GPU was given for these. */
  firstWork: GpuWork;
  allWork: GpuWork;
  /** Memory of the process afterwards. */
  residentBytes: number;
}

/** The kernels of a round that was measured for their sake. */
export interface KernelRound {
  first: readonly KernelTime[];
  all: readonly KernelTime[];
}

/** The figures of rounds, beside those of ours where these are right. */
export function figuresOf(
  { sequences, promptTokens, newTokens }: Pick<
    ModelResult,
    "sequences" | "promptTokens" | "newTokens"
  >,
  { cacheBytes, loadMs }: Ready,
  rounds: readonly Round[],
  { ours, kernelRounds }: { ours?: readonly Round[]; kernelRounds: readonly KernelRound[] | null },
): ModelFigures {
  const firsts = (of: readonly Round[]) => of.map(({ firstMs }) => firstMs);
  const steps = (of: readonly Round[]) =>
    of.map(({ firstMs, allMs }) => (allMs - firstMs) / (newTokens - 1));
  const [firstTokenMs, stepMs] = [median(firsts(rounds)), median(steps(rounds))];
  const last = rounds.at(-1)!;
  const more = workBetween(last.firstWork, last.allWork);
  const isClear = stepMs > 0;
  return {
    ...{ rounds: rounds.length, loadMs, firstTokenMs, stepMs: isClear ? stepMs : null },
    prefillPerSecond: sequences * promptTokens / firstTokenMs * 1e3,
    decodePerSecond: isClear ? sequences / stepMs * 1e3 : null,
    prefillTimesOurs: ours ? timesOurs(firsts(rounds), firsts(ours)) : null,
    decodeTimesOurs: ours ? timesOurs(steps(rounds), steps(ours)) : null,
    cacheBytes,
    residentBytes: last.residentBytes,
    promptWork: last.firstWork,
    stepWork: {
      dispatches: more.dispatches / (newTokens - 1),
      submits: more.submits / (newTokens - 1),
      waits: more.waits / (newTokens - 1),
    },
    kernels: kernelRounds && kernelFiguresOf(kernelRounds, newTokens),
  };
}

/** Medians over rounds of each kernel, the longest in a step first. */
function kernelFiguresOf(rounds: readonly KernelRound[], newTokens: number): KernelFigures[] {
  const names = new Set(rounds.flatMap(({ all }) => all.map(({ name }) => name)));
  return [...names].map((name) => {
    const [first, all] = (["first", "all"] as const).map((part) =>
      rounds.map((round) =>
        round[part].find((kernel) => kernel.name === name) ?? { milliseconds: 0, dispatches: 0 }
      )
    );
    const figures = (of: "milliseconds" | "dispatches") => ({
      prompt: median(first.map((kernel) => kernel[of])),
      step: median(all.map((kernel, i) => (kernel[of] - first[i][of]) / (newTokens - 1))),
    });
    const [milliseconds, dispatches] = [figures("milliseconds"), figures("dispatches")];
    return {
      name,
      prompt: { milliseconds: milliseconds.prompt, dispatches: dispatches.prompt },
      // A difference: where other work slowed the prompts of a kernel that takes next to nothing, it is below that.
      step: { milliseconds: Math.max(0, milliseconds.step), dispatches: dispatches.step },
    };
  }).sort((a, b) => b.step.milliseconds - a.step.milliseconds);
}

/**
 * The median ratio of times of the same rounds. A step is a difference, and where the machine was busy it may be less than
 * nothing: such rounds are left out, and where they are half of all there is no ratio.
 */
function timesOurs(times: readonly number[], ours: readonly number[]): number | null {
  const ratios = times.flatMap((time, round) =>
    time > 0 && ours[round] > 0 ? [time / ours[round]] : []
  );
  return 2 * ratios.length > times.length ? median(ratios) : null;
}
