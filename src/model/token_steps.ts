/** Decode steps, each of which chooses a token from the logits and feeds it, without leaving the device. */
import { sentence } from "../base/check.ts";
import { GpuWorkError } from "../base/errors.ts";
import { type BoundWork, inSequence } from "../gpu/bound_work.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { Passes } from "./passes.ts";
import { bindSampler, type Sampling } from "./sampler.ts";

/** Steps with one way of choosing. */
export class TokenSteps {
  readonly #passes: Passes;
  readonly #step: BoundWork;
  /** u32 [1 + most]: the number of chosen tokens, then the tokens. */
  readonly #chosen: Tensor;
  readonly #sampler: { destroy(): void };

  private constructor(
    passes: Passes,
    step: BoundWork,
    chosen: Tensor,
    sampler: { destroy(): void },
  ) {
    this.#passes = passes;
    this.#step = step;
    this.#chosen = chosen;
    this.#sampler = sampler;
  }

  /** Binds a step; `most` is the largest number of steps of one run. */
  static async create(passes: Passes, sampling: Sampling, most: number): Promise<TokenSteps> {
    const { model, tokens } = passes;
    const { gpu } = model;
    const layers = await passes.layers(1);
    const { logits, work: head } = await passes.head(1);
    const chosen = await Tensor.empty(gpu, [1 + most], { dtype: "u32", label: "chosen" });
    try {
      const lengths = model.firstCache.lengthsBuffer;
      const sampler = await bindSampler(gpu, { logits, tokens, chosen, lengths }, sampling);
      const step = inSequence([sampler.work, layers.work, head]);
      return new TokenSteps(passes, step, chosen, sampler);
    } catch (error) {
      chosen.destroy();
      throw error;
    }
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
    this.#sampler.destroy();
    this.#chosen.destroy();
  }
}
