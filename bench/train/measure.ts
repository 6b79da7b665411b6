/** The time of a training step, and of its kernels. */
import type { Out } from "../../cli/shared/run.ts";
import type { Gpu } from "../../mod.ts";
import { uniform } from "../../src/base/random.ts";
import type { Checkpoint } from "../../src/checkpoints/mod.ts";
import type { DecoderSpec } from "../../src/model/mod.ts";
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

/** What was measured, of what and where: `tokens` are those of a sequence. */
export interface TrainReport
  extends TrainResult, Pick<TrainBenchOptions, "model" | "batch" | "tokens" | "steps" | "seed"> {
  schema: 1;
  adapter: { description: string; isSoftware: boolean };
  /** The sizes of the model that is trained, and the KV heads of the one that it learns from. */
  architecture:
    & Pick<DecoderSpec, "dim" | "hiddenDim" | "numHeads" | "numKvHeads" | "headDim" | "vocabSize">
    & { numLayers: number; teacherKvHeads: number };
}

/** The sizes of a training's models, for a report. */
export function architectureOf(
  { student, teacher }: Record<"student" | "teacher", Pick<Checkpoint, "spec">>,
): TrainReport["architecture"] {
  const { dim, hiddenDim, numHeads, numKvHeads, headDim, vocabSize, layers } = student.spec;
  return {
    ...{ numLayers: layers.length, dim, hiddenDim, numHeads, numKvHeads, headDim, vocabSize },
    teacherKvHeads: teacher.spec.numKvHeads,
  };
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
  { batch, tokens: seqLen, steps, seed }: Pick<
    TrainBenchOptions,
    "batch" | "tokens" | "steps" | "seed"
  >,
  out: Pick<Out, "progress">,
): Promise<TrainResult> {
  using progress = out.progress(1 + 2 * steps);
  progress.step("loading and compiling");
  const sizes = { batch, seqLen, steps: 1 + 2 * steps };
  const trainer = await Trainer.create(gpu, student.spec, student.weights, { ...sizes, teacher });
  try {
    const { vocabSize } = student.spec;
    const random = uniform(seed);
    const sequences = Array.from(
      { length: batch },
      () => Array.from({ length: seqLen + 1 }, () => Math.floor(random() * vocabSize)),
    );
    // Drivers compile kernels in their first use.
    await trainer.train(sequences);
    const times: number[] = [];
    for (let i = 0; i < steps; i++) {
      progress.step("a step by the clock");
      const start = performance.now();
      await trainer.train(sequences);
      times.push(performance.now() - start);
    }
    clock.start();
    for (let i = 0; i < steps; i++) {
      progress.step("a step kernel by kernel");
      await trainer.train(sequences);
    }
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
