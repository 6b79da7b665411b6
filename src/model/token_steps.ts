/** Decode steps, each of which chooses a token from the logits and feeds it, without leaving the device. */
import { sentence } from "../base/check.ts";
import { GpuWorkError } from "../base/errors.ts";
import { type BoundWork, inSequence } from "../gpu/bound_work.ts";
import { Owned } from "../gpu/owned.ts";
import type { RingPasses } from "./ring_passes.ts";
import { Sampler } from "./sampler.ts";
import type { Sampling } from "./sampling.ts";

/** Steps with one way of choosing. */
export class TokenSteps {
  readonly #passes: RingPasses;
  readonly #step: BoundWork;
  readonly #sampler: Sampler;
  readonly #sampling: Sampling;
  readonly #owned: Owned;

  private constructor(
    passes: RingPasses,
    step: BoundWork,
    { sampler, sampling, owned }: { sampler: Sampler; sampling: Sampling; owned: Owned },
  ) {
    this.#passes = passes;
    this.#step = step;
    this.#sampler = sampler;
    this.#sampling = sampling;
    this.#owned = owned;
  }

  /** Binds a step; `most` is the largest number of steps of one run. */
  static async create(passes: RingPasses, sampling: Sampling, most: number): Promise<TokenSteps> {
    const { model, rings, tokens } = passes;
    const layers = await passes.layers(1);
    const { logits, work: head } = await passes.head(1);
    return await Owned.make(async (owned) => {
      const tensors = { logits, tokens, lengths: rings.first.lengthsBuffer };
      const shape = { sequences: 1, kept: most };
      const sampler = await Sampler.create(model.gpu, owned, tensors, shape);
      sampler.setRows([0]);
      await sampler.set(0, sampling, { prompt: [], generated: [] });
      const choose = await sampler.bind([0]);
      const step = inSequence([choose, layers.work, head]);
      return new TokenSteps(passes, step, { sampler, sampling, owned });
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
    const { model: { gpu, spec: { vocabSize } }, rings } = this.#passes;
    const { device } = gpu;
    await this.#sampler.set(0, this.#sampling, tokens);
    await gpu.guard(action, () => {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (let i = 0; i < steps; i++) this.#step.encode(pass);
      pass.end();
      device.queue.submit([encoder.finish()]);
    });
    const chosen = await this.#sampler.read();
    const first = rings.first.length() - steps;
    const ids = Array.from({ length: steps }, (_, i) => chosen.token(0, first + i));
    const bad = ids.findIndex((id) => id >= vocabSize);
    if (bad < 0) return ids;
    throw new GpuWorkError(
      sentence(action, "a logit is not a number (check the weights)", {
        position: first + bad,
      }),
    );
  }

  destroy(): void {
    this.#owned.destroy();
  }
}
