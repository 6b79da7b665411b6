/** Trainings from scratch, and what they say of a number of KV heads. */
import type { CurvePoint, TrainingSizes } from "../../cli/shared/training/learn.ts";
import { deviation, mean } from "../statistics.ts";

/** A version of an architecture. */
export interface Variant {
  numKvHeads: number;
  /** Width of the feed-forward layers. */
  hiddenDim: number;
  /** Numbers in all weights. */
  parameters: number;
  /** Bytes of keys and values of a token, in f32. */
  kvBytesPerToken: number;
}

/** A training that is done. */
export interface Run extends Pick<Variant, "numKvHeads" | "hiddenDim"> {
  seed: number;
  /** Its points at which held-out texts were predicted, the end among them. */
  curve: CurvePoint[];
  seconds: number;
}

/** What the trainings of a version came to. */
export interface Row extends Variant {
  /** Mean cross-entropy of a held-out token after each training, in nats: the logarithm of the perplexity. */
  losses: number[];
  mean: number;
  /** Standard deviation of the losses; null of a single one. */
  deviation: number | null;
  /** Difference of the loss from that of the most KV heads by the same seed; null of those themselves. */
  difference: { mean: number; least: number; greatest: number } | null;
}

/** All that was done and measured. */
export interface HeadsReport {
  schema: 1;
  model: string;
  adapter: { description: string; isSoftware: boolean };
  architecture: {
    numLayers: number;
    dim: number;
    numHeads: number;
    headDim: number;
    vocabSize: number;
  };
  /** Where the texts are from, and their tokens. */
  text: { source: string; learned: number; heldOut: number; seqLen: number };
  training: TrainingSizes;
  rows: Row[];
  runs: Run[];
}

/** The run of a version by a seed, if it is done. */
export function runOf(
  runs: readonly Run[],
  { numKvHeads, hiddenDim }: Pick<Variant, "numKvHeads" | "hiddenDim">,
  seed: number,
): Run | undefined {
  return runs.find((run) =>
    run.numKvHeads === numKvHeads && run.hiddenDim === hiddenDim && run.seed === seed
  );
}

/**
 * A row for each version. Versions are compared seed by seed, as seeds decide on the texts' order and on the weights that all
 * versions share.
 *
 * @param variants The versions, those with the most KV heads first.
 * @param runs At least the trainings of all versions by all seeds.
 */
export function rowsOf(
  variants: readonly Variant[],
  runs: readonly Run[],
  seeds: readonly number[],
): Row[] {
  const lossesOf = (variant: Variant) =>
    seeds.map((seed) => runOf(runs, variant, seed)!.curve.at(-1)!.heldOut!);
  const base = lossesOf(variants[0]);
  return variants.map(({ numKvHeads, hiddenDim, parameters, kvBytesPerToken }, i) => {
    const variant = { numKvHeads, hiddenDim, parameters, kvBytesPerToken };
    const losses = lossesOf(variant);
    const differences = losses.map((loss, seed) => loss - base[seed]);
    return {
      ...{ ...variant, losses, mean: mean(losses) },
      deviation: losses.length > 1 ? deviation(losses) : null,
      difference: i === 0 ? null : {
        mean: mean(differences),
        least: Math.min(...differences),
        greatest: Math.max(...differences),
      },
    };
  });
}
