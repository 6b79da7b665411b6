/** Decode steps, each of which chooses a token from the logits and feeds it, without leaving the device. */
import { sentence } from "../base/check.ts";
import { GpuWorkError } from "../base/errors.ts";
import { type BoundWork, inSequence } from "../gpu/bound_work.ts";
import { Owned } from "../gpu/owned.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { Passes } from "./passes.ts";
import { bindSampler, type Sampling } from "./sampler.ts";

/** Steps with one way of choosing. */
export class TokenSteps {
  readonly #passes: Passes;
  readonly #step: BoundWork;
  /** u32 [1 + most]: the number of chosen tokens, then the tokens. */
  readonly #chosen: Tensor;
  readonly #owned: Owned;

  private constructor(passes: Passes, step: BoundWork, chosen: Tensor, owned: Owned) {
    this.#passes = passes;
    this.#step = step;
    this.#chosen = chosen;
    this.#owned = owned;
  }

  /** Binds a step; `most` is the largest number of steps of one run. */
  static async create(passes: Passes, sampling: Sampling, most: number): Promise<TokenSteps> {
    const { model, tokens } = passes;
    const { gpu } = model;
    const layers = await passes.layers(1);
    const { logits, work: head } = await passes.head(1);
    return await Owned.make(async (owned) => {
      const options = { dtype: "u32", label: "chosen" } as const;
      const chosen = owned.keep(await Tensor.empty(gpu, [1 + most], options));
      const buffers = { logits, tokens, chosen, lengths: model.firstCache.lengthsBuffer };
      const choose = await bindSampler(gpu, owned, buffers, sampling);
      return new TokenSteps(passes, inSequence([choose, layers.work, head]), chosen, owned);
    });
  }

  /** Runs steps and returns the tokens they choose. */
  async run(action: string, steps: number): Promise<number[]> {
    const { gpu, spec: { vocabSize }, firstCache } = this.#passes.model;
    const { device } = gpu;
    await gpu.guard(action, () => {
      device.queue.writeBuffer(this.#chosen.buffer, 0, new Uint32Array(1));
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (let i = 0; i < steps; i++) this.#step.encode(pass);
      pass.end();
      device.queue.submit([encoder.finish()]);
    });
    const ids = [...await this.#chosen.download()].slice(1, 1 + steps);
    const bad = ids.findIndex((id) => id >= vocabSize);
    if (bad < 0) return ids;
    throw new GpuWorkError(
      sentence(action, "a logit is not a number (check the weights)", {
        position: firstCache.length() - steps + bad,
      }),
    );
  }

  destroy(): void {
    this.#owned.destroy();
  }
}
