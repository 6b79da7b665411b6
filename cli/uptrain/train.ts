import type { Gpu } from "../../mod.ts";
import type { Checkpoint } from "../../src/checkpoints/mod.ts";
import { Trainer, TrainingDivergedError } from "../../src/train/mod.ts";
import type { Out } from "../shared/run.ts";
import { learn, paceOf, trainerOptions } from "../shared/training/learn.ts";
import type { UptrainOptions } from "./options.ts";
import type { TrainingFolder, TrainingRun } from "./training_folder.ts";

/** Points of the curve at which held-out texts are predicted. */
const MEASURED_POINTS = 20;

/** A training under way, and where it is kept. */
export interface Training {
  run: TrainingRun;
  folder: TrainingFolder;
  /** Aborted where training is to stop. */
  signal: AbortSignal;
}

/**
 * Trains a converted model, step by step; the state is saved with every point of the curve at which it is measured.
 *
 * @returns The trained model; undefined where it was stopped.
 * @throws {RangeError} If a loss or a gradient is not finite: the state that was saved last stays.
 */
export async function train(
  gpu: Gpu,
  { original, converted }: Record<"original" | "converted", Checkpoint>,
  options: UptrainOptions,
  { run, folder, signal }: Training,
  out: Out,
): Promise<Checkpoint | undefined> {
  const { teacher, seed } = options;
  const { spec, weights } = converted;
  const trainer = await Trainer.create(gpu, spec, weights, {
    ...trainerOptions(options, run.texts),
    ...(teacher === "own" && { teacher: original }),
  });
  const { steps } = trainer;
  let saved = 0;
  try {
    if (options.resume) await trainer.resumeFrom(folder.state);
    // The state may be older than the curve, of a process that ended between the two.
    run.curve = run.curve.filter(({ step }) => step <= trainer.step);
    const first = trainer.step;
    const start = performance.now();
    const before = run.seconds;
    const secondsNow = () => (performance.now() - start) / 1000;
    const save = async () => {
      run.seconds = before + secondsNow();
      await folder.write(run);
      await trainer.saveTo(folder.state);
      saved = trainer.step;
    };
    saved = first;
    if (first === 0) await save();
    using progress = out.progress(steps, first);
    for await (
      const point of learn(trainer, run.texts, { seed, points: MEASURED_POINTS, signal })
    ) {
      run.curve.push(point);
      if (point.heldOut !== undefined) await save();
      const { step, tokens } = point;
      const tokensPerSecond = (step - first) * tokens / step / secondsNow();
      progress.step(lineOf(run, { tokensPerSecond, tokensLeft: (steps - step) * tokens / step }));
    }
    if (trainer.step === steps) return { ...converted, weights: await trainer.weights() };
    await save();
  } catch (error) {
    throw error instanceof TrainingDivergedError ? diverged(error.message, saved) : error;
  } finally {
    trainer.destroy();
  }
}

/** The error of a training that lost its way; what was saved before is left as it is. */
function diverged(message: string, saved: number): RangeError {
  return new RangeError(
    `${message}; the state of step ${saved} is kept (go on with a lower --rate and --resume)`,
  );
}

/** "loss 0.1234, held-out perplexity 4.32 (x 1.203), 1830 tokens/s, 3 min left" */
export function lineOf(
  { curve, stages: [original] }: Pick<TrainingRun, "curve" | "stages">,
  pace: Parameters<typeof paceOf>[0],
): string {
  const heldOut = curve.findLast(({ heldOut }) => heldOut !== undefined)?.heldOut;
  const perplexity = heldOut === undefined ? [] : [
    `held-out perplexity ${Math.exp(heldOut).toFixed(2)} (x ${
      Math.exp(heldOut - original.nll).toFixed(3)
    })`,
  ];
  return [`loss ${curve.at(-1)!.loss.toFixed(4)}`, ...perplexity, paceOf(pace)].join(", ");
}
