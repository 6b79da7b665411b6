import type { Gpu } from "../../mod.ts";
import { randomWeights } from "../../src/model/random_weights.ts";
import { Trainer, TrainingDivergedError } from "../../src/train/mod.ts";
import {
  type CurvePoint,
  learn,
  trainerOptions,
  type TrainingSizes,
} from "../../cli/shared/training/learn.ts";
import type { Texts } from "../../cli/shared/training/texts.ts";
import type { Run } from "./result.ts";
import type { DecoderVariant } from "./variants.ts";

/** Points of the curve at which held-out texts are predicted. */
const MEASURED_POINTS = 10;

/** A training from scratch. */
export interface FromScratch {
  texts: Texts;
  sizes: TrainingSizes;
  /** Repeats the random weights and the order of the texts. */
  seed: number;
  /** Whether the model has a weight that not every model has. */
  has(name: string): boolean;
  /** Aborted where training is to stop. */
  signal: AbortSignal;
}

/**
 * Trains a version from random weights.
 *
 * @param progress Called after each step.
 * @returns The training; undefined where it was stopped.
 * @throws {RangeError} If a loss or a gradient is not finite.
 */
export async function trainVariant(
  gpu: Gpu,
  { numKvHeads, hiddenDim, spec }: DecoderVariant,
  { texts, sizes, seed, has, signal }: FromScratch,
  progress: (curve: readonly CurvePoint[]) => void,
): Promise<Run | undefined> {
  const weights = randomWeights(spec, { seed, has });
  const trainer = await Trainer.create(gpu, spec, weights, trainerOptions(sizes, texts));
  const start = performance.now();
  const curve: CurvePoint[] = [];
  try {
    for await (const point of learn(trainer, texts, { seed, points: MEASURED_POINTS, signal })) {
      curve.push(point);
      progress(curve);
    }
    if (trainer.step < trainer.steps) return undefined;
    const measured = curve.filter(({ heldOut }) => heldOut !== undefined);
    const seconds = (performance.now() - start) / 1000;
    return { numKvHeads, hiddenDim, seed, curve: measured, seconds };
  } catch (error) {
    if (!(error instanceof TrainingDivergedError)) throw error;
    throw new RangeError(
      `${error.message}; ${numKvHeads} KV heads, seed ${seed} (begin anew with a lower --rate)`,
    );
  } finally {
    trainer.destroy();
  }
}
