/** The time of a training step, and of its kernels. */
import type { Gpu } from "../../mod.ts";
import type { Checkpoint } from "../../src/checkpoints/mod.ts";
import { Trainer } from "../../src/train/mod.ts";
import type { KernelClock, KernelTime } from "../models/kernel_clock.ts";
import { median } from "../statistics.ts";
import type { TrainBenchOptions } from "./options.ts";

/** What was measured. */
export interface TrainResult {
  /** Predicted tokens of a step, over the median time of steps by the clock. */
  tokensPerSecond: number;
  /** The kernels of a step, those of all layers as one, the longest first; null where the device has no timestamps. */
  kernels: KernelTime[] | null;
}

/**
 * Times steps by the clock, then as many kernel by kernel, which takes longer: each dispatch has a pass of its own there.
 *
 * @param models The model that is trained, and the one that it learns from.
 */
export async function measureTraining(
  gpu: Gpu,
  clock: Pick<KernelClock, "start" | "stop">,
  { student, teacher }: Record<"student" | "teacher", Pick<Checkpoint, "spec" | "weights">>,
  { batch, tokens: seqLen, steps }: Pick<TrainBenchOptions, "batch" | "tokens" | "steps">,
): Promise<TrainResult> {
  const sizes = { batch, seqLen, steps: 1 + 2 * steps };
  const trainer = await Trainer.create(gpu, student.spec, student.weights, { ...sizes, teacher });
  try {
    const { vocabSize } = student.spec;
    const sequences = Array.from(
      { length: batch },
      () => Array.from({ length: seqLen + 1 }, () => Math.floor(Math.random() * vocabSize)),
    );
    // Drivers compile kernels in their first use.
    await trainer.train(sequences);
    const times: number[] = [];
    for (let i = 0; i < steps; i++) {
      const start = performance.now();
      await trainer.train(sequences);
      times.push(performance.now() - start);
    }
    clock.start();
    for (let i = 0; i < steps; i++) await trainer.train(sequences);
    const kernels = await clock.stop();
    return {
      tokensPerSecond: batch * seqLen / (median(times) / 1000),
      kernels: kernels && ofStep(kernels, steps),
    };
  } finally {
    trainer.destroy();
  }
}

/** The kernels of one of `steps` steps, where those of all layers are one. */
export function ofStep(kernels: readonly KernelTime[], steps: number): KernelTime[] {
  const byName = Map.groupBy(kernels, ({ name }) => name.replace(/^layers\.\d+\./, ""));
  const sum = (all: readonly KernelTime[], of: (kernel: KernelTime) => number) =>
    all.reduce((sum, kernel) => sum + of(kernel), 0) / steps;
  return [...byName].map(([name, all]) => ({
    name,
    milliseconds: sum(all, ({ milliseconds }) => milliseconds),
    dispatches: sum(all, ({ dispatches }) => dispatches),
  })).sort((a, b) => b.milliseconds - a.milliseconds);
}
