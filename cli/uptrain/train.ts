import type { Gpu } from "../../mod.ts";
import { sentence } from "../../src/base/check.ts";
import type { Checkpoint } from "../../src/checkpoints/mod.ts";
import { Trainer, TrainingDivergedError } from "../../src/train/mod.ts";
import type { Out } from "../shared/run.ts";
import { lessonsOf } from "./lessons.ts";
import type { UptrainOptions } from "./options.ts";
import type { CurvePoint } from "./result.ts";
import type { TrainingRun, WorkFolder } from "./work_folder.ts";

/** Points of the curve at which held-out texts are predicted. */
const MEASURED_POINTS = 20;
/** The share of the steps in which the rate rises. */
const WARMUP_SHARE = 0.02;

/** A training under way, and where it is kept. */
export interface Training {
  run: TrainingRun;
  folder: WorkFolder;
  /** Aborted where training is to stop. */
  signal: AbortSignal;
}

/**
 * Trains a converted model, step by step; the state is saved with every point of the curve.
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
  const { batch, rate, teacher, seed } = options;
  const { learned, heldOut } = run.texts;
  const seqLen = learned[0].length - 1;
  const steps = stepsOf(options, seqLen);
  const { spec, weights } = converted;
  const trainer = await Trainer.create(gpu, spec, weights, {
    ...{ steps, seqLen, batch, rate, warmup: Math.ceil(WARMUP_SHARE * steps) },
    ...(teacher === "own" && { teacher: original }),
  });
  try {
    if (options.resume) await trainer.resumeFrom(folder.state);
    // The state may be older than the curve, of a process that ended between the two.
    run.curve = run.curve.filter(({ step }) => step <= trainer.step);
    const first = trainer.step;
    const start = performance.now();
    const before = run.seconds;
    const secondsNow = () => (performance.now() - start) / 1000;
    let saved = first;
    const save = async () => {
      run.seconds = before + secondsNow();
      await folder.write(run);
      await trainer.saveTo(folder.state);
      saved = trainer.step;
    };
    if (first === 0) await save();
    const progress = out.progress(steps, first);
    try {
      const stride = Math.ceil(steps / MEASURED_POINTS);
      while (trainer.step < steps) {
        if (signal.aborted) {
          await save();
          return undefined;
        }
        const lessons = lessonsOf(learned, { batch, seed }, trainer.step);
        const { step, loss, tokens } = await trainer.train(lessons).catch((error) => {
          throw error instanceof TrainingDivergedError ? diverged(error.message, saved) : error;
        });
        const point: CurvePoint = { step, tokens: step * tokens, loss };
        const isMeasured = step % stride === 0 || step === steps;
        if (isMeasured) {
          point.heldOut = await trainer.evaluate(heldOut);
          if (!Number.isFinite(point.heldOut)) {
            const rule = "the cross-entropy of held-out texts must be finite";
            throw diverged(sentence("train", rule, { step, heldOut: point.heldOut }), saved);
          }
        }
        run.curve.push(point);
        if (isMeasured) await save();
        const tokensPerSecond = (step - first) * tokens / secondsNow();
        progress.step(lineOf(run, { tokensPerSecond, tokensLeft: (steps - step) * tokens }));
      }
      return { ...converted, weights: await trainer.weights() };
    } finally {
      progress.end();
    }
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

/** Steps of a training. */
export function stepsOf(
  { tokens, batch }: Pick<UptrainOptions, "tokens" | "batch">,
  seqLen: number,
): number {
  return Math.ceil(tokens / (batch * seqLen));
}

/** "loss 0.1234, held-out perplexity 4.32 (x 1.203), 1830 tokens/s, 3 min left" */
export function lineOf(
  { curve, stages: [original] }: Pick<TrainingRun, "curve" | "stages">,
  { tokensPerSecond, tokensLeft }: { tokensPerSecond: number; tokensLeft: number },
): string {
  const heldOut = curve.findLast(({ heldOut }) => heldOut !== undefined)?.heldOut;
  const perplexity = heldOut === undefined ? [] : [
    `held-out perplexity ${Math.exp(heldOut).toFixed(2)} (x ${
      Math.exp(heldOut - original.nll).toFixed(3)
    })`,
  ];
  const minutes = tokensLeft / tokensPerSecond / 60;
  return [
    `loss ${curve.at(-1)!.loss.toFixed(4)}`,
    ...perplexity,
    `${tokensPerSecond.toFixed(0)} tokens/s`,
    minutes < 1 ? `${Math.ceil(60 * minutes)} s left` : `${Math.ceil(minutes)} min left`,
  ].join(", ");
}
