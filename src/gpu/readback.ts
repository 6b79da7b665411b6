/** Bytes of the device for the host, with a proof that they are those of now. */
import { sentence } from "../base/check.ts";
import { GpuWorkError } from "../base/errors.ts";
import type { Gpu } from "./device.ts";
import { lossOf } from "./loss.ts";
import type { Owned } from "./owned.ts";
import { MAP_READ, USAGE } from "./usage.ts";

/** The number of the last readback. */
let newest = 0;

/**
 * Buffers that one submit fills for the host.
 *
 * A runtime that does not know yet that its device is lost drops the submit and maps the buffers all the same: they hold what
 * their memory held before. The submit copies a number of this readback alone as well, which proves that it was done.
 */
export class Readback {
  readonly #gpu: Gpu;
  readonly #owned: Owned;
  readonly #action: string;
  readonly #buffers: GPUBuffer[] = [];
  readonly #number = newest = (newest + 1) >>> 0;
  #proof: GPUBuffer | undefined;

  /** `owned` keeps the buffers; errors name `action`. */
  constructor(gpu: Gpu, owned: Owned, action: string) {
    this.#gpu = gpu;
    this.#owned = owned;
    this.#action = action;
  }

  /** A buffer of `size` bytes for copies of the submit. */
  stage(label: string, size: number): GPUBuffer {
    const buffer = this.#make(label, size, USAGE.mapRead | USAGE.copyDst);
    this.#buffers.push(buffer);
    return buffer;
  }

  /** Submits the copies. */
  submit(encoder: GPUCommandEncoder): void {
    const { queue } = this.#gpu.device;
    const number = this.#make("readback number", 4, USAGE.copySrc | USAGE.copyDst);
    queue.writeBuffer(number, 0, Uint32Array.of(this.#number));
    this.#proof = this.stage("readback proof", 4);
    encoder.copyBufferToBuffer(number, 0, this.#proof, 0, 4);
    queue.submit([encoder.finish()]);
  }

  /**
   * Waits until the buffers are mapped, which `submit` filled.
   *
   * @throws {DeviceLostError} If the device is lost.
   * @throws {GpuWorkError} If nothing was copied, and the runtime does not say why.
   */
  async mapped(): Promise<void> {
    await this.#gpu.waitFor(Promise.all(this.#buffers.map((buffer) => buffer.mapAsync(MAP_READ))));
    const [number] = new Uint32Array(this.#proof!.getMappedRange());
    if (number === this.#number) return;
    const rule = "the GPU must do what is submitted (it may be lost: open it anew)";
    const error = new GpuWorkError(
      sentence(this.#action, rule, { submitted: this.#number, done: number }),
    );
    throw await lossOf(this.#gpu.device).causeOf(error);
  }

  #make(label: string, size: number, usage: number): GPUBuffer {
    return this.#owned.keep(this.#gpu.device.createBuffer({ label, size, usage }));
  }
}
