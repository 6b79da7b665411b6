/** The steps of a training over texts, and the curve that they give. */
import { sentence } from "../../../src/base/check.ts";
import {
  type Trainer,
  type TrainerOptions,
  TrainingDivergedError,
} from "../../../src/train/mod.ts";
import { lessonsOf } from "./lessons.ts";
import type { Texts } from "./texts.ts";

/** The share of the steps in which the rate rises. */
const WARMUP_SHARE = 0.02;

/** The sizes of a training. */
export interface TrainingSizes {
  /** Tokens to learn from; texts come again where there are fewer. */
  tokens: number;
  /** Sequences of a step. */
  batch: number;
  /** Largest learning rate. */
  rate: number;
}

/** A point of the curve of a training. */
export interface CurvePoint {
  step: number;
  /** Tokens that were learned from so far. */
  tokens: number;
  /** Mean loss of a token in the step: the divergence from the teacher, or else the cross-entropy. */
  loss: number;
  /** Mean cross-entropy of a held-out token, in nats, where it was measured. */
  heldOut?: number;
}

/** The options of a trainer that learns from these texts, the whole of a text but its last token being read. */
export function trainerOptions(
  { tokens, batch, rate }: TrainingSizes,
  { learned }: Pick<Texts, "learned">,
): Pick<TrainerOptions, "steps" | "seqLen" | "batch" | "rate" | "warmup"> {
  const seqLen = learned[0].length - 1;
  const steps = Math.ceil(tokens / (batch * seqLen));
  return { steps, seqLen, batch, rate, warmup: Math.ceil(WARMUP_SHARE * steps) };
}

/**
 * Trains step by step, from the step at which the trainer is to its last one, or until the signal is aborted. Held-out texts
 * are predicted at equal distances, and after the last step.
 *
 * @param points How often they are predicted, at most.
 *
 * @throws {TrainingDivergedError} If a loss or a gradient is not finite.
 */
export async function* learn(
  trainer: Trainer,
  { learned, heldOut }: Texts,
  { seed, points, signal }: { seed: number; points: number; signal: AbortSignal },
): AsyncGenerator<CurvePoint, void> {
  const { steps, sequencesPerStep: batch } = trainer;
  const stride = Math.ceil(steps / points);
  while (trainer.step < steps && !signal.aborted) {
    const lessons = lessonsOf(learned, { batch, seed }, trainer.step);
    const { step, loss, tokens } = await trainer.train(lessons);
    const point: CurvePoint = { step, tokens: step * tokens, loss };
    if (step % stride === 0 || step === steps) {
      point.heldOut = await trainer.evaluate(heldOut);
      if (!Number.isFinite(point.heldOut)) {
        const rule = "the cross-entropy of held-out texts must be finite";
        const values = { step, heldOut: point.heldOut };
        throw new TrainingDivergedError(sentence("train", rule, values));
      }
    }
    yield point;
  }
}

/** "1830 tokens/s, 3 min left" */
export function paceOf(
  { tokensPerSecond, tokensLeft }: { tokensPerSecond: number; tokensLeft: number },
): string {
  const minutes = tokensLeft / tokensPerSecond / 60;
  return [
    `${tokensPerSecond.toFixed(0)} tokens/s`,
    minutes < 1 ? `${Math.ceil(60 * minutes)} s left` : `${Math.ceil(minutes)} min left`,
  ].join(", ");
}
