import type { Destroyable } from "./owned.ts";

/** Buffers that are kept at once: those of a loop are far fewer. */
const MOST = 256;

/**
 * Small buffers by what they hold: made once, found again while they are in use, and freed with their owner.
 *
 * One that has not been asked for in a long time is let go without being destroyed, as work that is encoded and not yet
 * submitted may still read it: it is freed with that work.
 */
export class KeptBuffers implements Destroyable {
  readonly #buffers = new Map<string, GPUBuffer>();

  /** The buffer of a key, which says all that it holds; made where it is not there. */
  get(key: string, make: () => GPUBuffer): GPUBuffer {
    const buffer = this.#buffers.get(key) ?? make();
    // The map's order is that of use.
    this.#buffers.delete(key);
    this.#buffers.set(key, buffer);
    if (this.#buffers.size > MOST) this.#buffers.delete(this.#buffers.keys().next().value!);
    return buffer;
  }

  destroy(): void {
    for (const buffer of this.#buffers.values()) buffer.destroy();
    this.#buffers.clear();
  }
}
