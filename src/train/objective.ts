/** What is made small: cross-entropy to the text, divergence from a teacher, or some of both. */
import { type BoundWork, inSequence } from "../gpu/bound_work.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Owned } from "../gpu/owned.ts";
import { Tensor } from "../tensor/tensor.ts";
import { Loss, type LossBuffers } from "./losses.ts";

/** Options of {@linkcode Objective.create}. */
export interface ObjectiveOptions {
  /** f32 [tokens, vocabSize] */
  logits: Tensor;
  /** Written: their gradient, of the mean over all tokens of all micro-batches. */
  dLogits: Tensor;
  /** Micro-batches of a step. */
  accumulate: number;
  /** A teacher's logits, shaped as the others; temperature 1 and a share of 1 are the defaults. */
  teacher?: { logits: Tensor; temperature?: number; share?: number };
}

/** A part of the loss. */
interface Term {
  share: number;
  /** Those of a micro-batch f32 [tokens]. */
  losses: Tensor;
  /** Those of a step f32 [accumulate, tokens]. */
  kept: Tensor;
}

/** The loss of a step over tokens that others predict. */
export class Objective {
  /** For others to write: u32 [tokens]. */
  readonly labels: Tensor;
  /** Cross-entropy of each token, which `evaluation` writes: f32 [tokens]. */
  readonly entropies: Tensor;
  /** From logits to the losses of a micro-batch and their gradient. */
  readonly work: BoundWork;
  /** From logits to `entropies`. */
  readonly evaluation: BoundWork;
  readonly #terms: readonly Term[];

  private constructor(made: {
    labels: Tensor;
    entropies: Tensor;
    work: BoundWork;
    evaluation: BoundWork;
    terms: readonly Term[];
  }) {
    this.labels = made.labels;
    this.entropies = made.entropies;
    this.work = made.work;
    this.evaluation = made.evaluation;
    this.#terms = made.terms;
  }

  /** Binds the losses; `owned` keeps what it makes. */
  static async create(
    gpu: Gpu,
    owned: Owned,
    { logits, dLogits, accumulate, teacher }: ObjectiveOptions,
  ): Promise<Objective> {
    const [numTokens, vocabSize] = logits.shape;
    const loss = owned.keep(new Loss(gpu, vocabSize));
    const empty = async (label: string, ...shape: number[]) =>
      owned.keep(await Tensor.empty(gpu, shape, { label }));
    const labels = owned.keep(
      await Tensor.empty(gpu, [numTokens], { dtype: "u32", label: "labels" }),
    );
    const ofLabels = { labels: labels.buffer };
    const { share: ofTeacher = 1, temperature } = teacher ?? { share: 0 };
    const targets = [
      { share: ofTeacher, target: { teacher: teacher?.logits.buffer }, options: { temperature } },
      { share: 1 - ofTeacher, target: ofLabels, options: {} },
    ].filter(({ share }) => share > 0);
    const bind = (target: Partial<LossBuffers>, losses: Tensor, options: object) =>
      loss.bind(
        {
          ...{ logits: logits.buffer, dLogits: dLogits.buffer, losses: losses.buffer },
          ...target,
        },
        numTokens,
        options,
      );
    const terms: Term[] = [];
    const works: BoundWork[] = [];
    for (const { share, target, options } of targets) {
      const losses = await empty("losses", numTokens);
      const weight = share / (numTokens * accumulate);
      const to = terms.length === 0 ? "y" : "sum";
      works.push(await bind(target, losses, { ...options, weight, to }));
      terms.push({ share, losses, kept: await empty("losses of a step", accumulate, numTokens) });
    }
    const entropies = await empty("entropies", numTokens);
    const evaluation = await bind(ofLabels, entropies, {});
    return new Objective({ labels, entropies, work: inSequence(works), evaluation, terms });
  }

  /** Encodes the copy of a micro-batch's losses, which the next one overwrites. */
  keepLosses(encoder: GPUCommandEncoder, micro: number): void {
    for (const { losses, kept } of this.#terms) {
      encoder.copyBufferToBuffer(losses.buffer, 0, kept.buffer, micro * losses.bytes, losses.bytes);
    }
  }

  /** The mean loss of a token, summed in float64. */
  async loss(): Promise<number> {
    const parts = await Promise.all(this.#terms.map(async ({ share, kept }) => {
      const losses = await kept.download();
      return share * losses.reduce((sum, value) => sum + value, 0) / losses.length;
    }));
    return parts.reduce((sum, part) => sum + part, 0);
  }
}
