/** Decode steps, each of which chooses a token from the logits and feeds it. */
import { Owned } from "../gpu/owned.ts";
import { checkChosen } from "./check_chosen.ts";
import { Sampler } from "./sampler.ts";
import type { Sampling } from "./sampling.ts";
import type { RunSteps, SequencePasses } from "./sequence_passes.ts";

/** Steps with one way of choosing. */
export class TokenSteps {
  readonly #passes: SequencePasses;
  readonly #run: RunSteps;
  readonly #sampler: Sampler;
  readonly #sampling: Sampling;
  readonly #owned: Owned;

  private constructor(
    passes: SequencePasses,
    run: RunSteps,
    { sampler, sampling, owned }: { sampler: Sampler; sampling: Sampling; owned: Owned },
  ) {
    this.#passes = passes;
    this.#run = run;
    this.#sampler = sampler;
    this.#sampling = sampling;
    this.#owned = owned;
  }

  /** Binds a step; `most` is the largest number of steps of one run. */
  static async create(
    passes: SequencePasses,
    sampling: Sampling,
    most: number,
  ): Promise<TokenSteps> {
    const { model, logits, tokens, lengths } = passes;
    return await Owned.make(async (owned) => {
      const tensors = { logits, tokens, lengths };
      const shape = { sequences: 1, kept: most };
      const sampler = await Sampler.create(model.gpu, owned, tensors, shape);
      sampler.setRows([0]);
      await sampler.set(0, sampling, { prompt: [], generated: [] });
      const choose = await sampler.bind([0]);
      return new TokenSteps(passes, await passes.bindSteps(choose), { sampler, sampling, owned });
    });
  }

  /**
   * Runs steps and returns the tokens they choose.
   *
   * @param tokens The sequence's tokens so far.
   */
  async run(
    action: string,
    steps: number,
    tokens: { prompt: readonly number[]; generated: readonly number[] },
  ): Promise<number[]> {
    const { spec: { vocabSize } } = this.#passes.model;
    await this.#sampler.set(0, this.#sampling, tokens);
    await this.#run(action, steps);
    const chosen = await this.#sampler.read();
    const first = this.#passes.length - steps;
    const ids = Array.from({ length: steps }, (_, i) => chosen.token(0, first + i));
    checkChosen(action, ids, { first, vocabSize });
    return ids;
  }

  destroy(): void {
    this.#owned.destroy();
  }
}
