/** An engine over a batch: sequences run together, and come and go at any step. */
import type { Batch } from "../../../src/model/batch.ts";
import type { Engine, EngineStats, Generation, SequenceRequest } from "./engine.ts";

/** Generates the tokens of many sequences at once. */
export class BatchEngine implements Engine {
  readonly #batch: Batch;

  /** @param batch Used by the engine alone, and destroyed by it. */
  constructor(batch: Batch) {
    this.#batch = batch;
  }

  get contextLen(): number {
    return this.#batch.maxTokens;
  }

  submit(request: SequenceRequest): Generation {
    return this.#batch.add(request);
  }

  stats(): EngineStats {
    const { running, waiting, pages, prompt, generated, milliseconds } = this.#batch.stats;
    return {
      ...{ places: this.#batch.maxSequences, running, waiting, pages },
      tokens: { prompt, generated },
      seconds: milliseconds / 1000,
    };
  }

  destroy(): void {
    this.#batch.destroy();
  }
}
