/** Copying pages on the device, for a sequence that writes into one that others hold too. */
import type { Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import { Kernel } from "../gpu/kernel.ts";
import type { Owned } from "../gpu/owned.ts";
import { storedElements } from "../tensor/pieces.ts";
import { copyGrid, forkModules } from "./fork.ts";
import { storedRows } from "./kv_shape.ts";
import type { PagePool } from "./page_pool.ts";

/** The kernel that copies rows within a buffer. */
export class PageCopy {
  readonly #pool: PagePool;
  readonly #kernel: Kernel;
  readonly #params: KeptBuffers;

  private constructor(pool: PagePool, kernel: Kernel, params: KeptBuffers) {
    this.#pool = pool;
    this.#kernel = kernel;
    this.#params = params;
  }

  /** Compiles the kernel; `owned` keeps its parameters. */
  static async compile(gpu: Gpu, owned: Owned, pool: PagePool): Promise<PageCopy> {
    const { within } = forkModules(pool.shape.kvDtype);
    const kernel = await Kernel.compile(gpu, within);
    return new PageCopy(pool, kernel, owned.keep(new KeptBuffers()));
  }

  /** Copies a page over another, in all layers. */
  encode(pass: GPUComputePassEncoder, lengths: GPUBuffer, from: number, to: number): void {
    const { kvDtype, pages } = this.#pool.shape;
    for (const { numHeads, ...tensors } of this.#pool.layers.flat()) {
      for (const [name, size] of storedRows(this.#pool.shape)) {
        const rows = tensors[name]!;
        const count = pages.size * storedElements(size, kvDtype);
        for (let head = 0; head < numHeads; head++) {
          const [source, destination] = [from, to].map((page) =>
            (head * pages.count + page) * count
          );
          // The kernel copies a length as well: here a sequence's own.
          const params = this.#params.get(
            `${source} to ${destination} of ${count}`,
            () =>
              this.#kernel.uniform({ source, destination, count, fromSequence: 0, toSequence: 0 }),
          );
          this.#kernel.bind({ params, lengths, rows: rows.buffer }, copyGrid(count)).encode(pass);
        }
      }
    }
  }
}
