/** A cache counts on the host the tokens that its work will have written on the device. */
import type { Gpu } from "../gpu/device.ts";
import { refusalsOf } from "../gpu/refusals.ts";

/** The work of one cache, known by the buffers of its lengths: whether the host's counts still hold. */
export class CountedWork {
  readonly #gpu: Gpu;
  readonly #counters: readonly GPUBuffer[];

  constructor(gpu: Gpu, counters: readonly GPUBuffer[]) {
    this.#gpu = gpu;
    this.#counters = counters;
  }

  /**
   * Throws if the device is lost, or has refused work on the cache: then it holds other tokens than are counted here, until it
   * is cleared or restored.
   */
  check(action: string): void {
    this.#gpu.throwIfLost();
    const rule = "the GPU refused work on the cache (clear or restore it)";
    refusalsOf(this.#gpu.device).throwIfRefused(action, rule, this.#counters);
  }

  /** Remembers that work was encoded which the host has counted; after a clearing, that alone. */
  encoded(): void {
    refusalsOf(this.#gpu.device).wrote(this.#counters);
  }
}
