/** Changes of a cache that its lengths need not show: tokens taken back, sequences copied or cleared. */
import * as wgsl from "../../kernels/mod.ts";
import { sentence } from "../base/check.ts";
import { SnapshotError } from "../base/errors.ts";
import type { Dispatch } from "../gpu/bound_work.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import type { Gpu } from "../gpu/device.ts";
import { Kernel } from "../gpu/kernel.ts";
import type { Owned } from "../gpu/owned.ts";
import { counterBuffer } from "./kv_memory.ts";

/** Changes are counted modulo this: so many that are encoded and not submitted look like none. */
const ROUND = 15;
/** Bytes of the count and of the numbers that it may be. */
export const CHANGE_BYTES = 4 + 4 * ROUND;

/** Lengths of sequences and the count of changes, as the device has them. */
type Counters = readonly Uint32Array[];

/** The module that counts a change on the device. */
export function countChangeModule(): WgslModule {
  const constants = { CHANGES: ROUND, WORKGROUP: 1 };
  return join("count change", { constants, fragments: [wgsl.countChange] });
}

/** Counts changes where they are encoded and where they run, so that a snapshot finds out whether all have run. */
export class Changes {
  /** The changes that have run [1], u32. */
  readonly buffer: GPUBuffer;
  /** Counts a change where the target may be a pass; {@linkcode Changes.encoded} says that it was encoded. */
  readonly dispatch: Dispatch;
  readonly #device: GPUDevice;
  /** The numbers below {@linkcode ROUND}, to be copied to the count. */
  readonly #numbers: GPUBuffer;
  #encoded = 0;

  private constructor(gpu: Gpu, owned: Owned, kernel: Kernel) {
    this.#device = gpu.device;
    this.buffer = owned.keep(counterBuffer(gpu, "cache changes", 1));
    this.#numbers = owned.keep(counterBuffer(gpu, "cache change numbers", ROUND));
    this.#device.queue.writeBuffer(
      this.#numbers,
      0,
      Uint32Array.from({ length: ROUND }, (_, i) => i),
    );
    this.dispatch = kernel.bind({ changes: this.buffer }, [1, 1]);
  }

  /** Compiles the kernel; `owned` keeps the buffers. */
  static async create(gpu: Gpu, owned: Owned): Promise<Changes> {
    const kernel = await Kernel.compile(gpu, countChangeModule());
    return await gpu.guard("allocate cache counters", () => new Changes(gpu, owned, kernel));
  }

  /**
   * What has been encoded by now, to be held against the counters of a cache that are read later.
   *
   * @returns A check of the lengths of sequences and of the changes that have run, in this order: it throws a
   * `SnapshotError` unless they are those that were encoded.
   */
  mark(): (action: string, sequences: readonly { length: number }[], counters: Counters) => void {
    const encodedChanges = this.#encoded;
    return (action, sequences, [run, [runChanges]]) => {
      const encoded = sequences.map(({ length }) => length);
      if (runChanges === encodedChanges && encoded.every((length, b) => length === run[b])) return;
      throw new SnapshotError(
        sentence(action, "encoded work has not run (submit it first)", {
          ...{ encoded, run: [...run] },
          ...(runChanges === encodedChanges ? {} : { encodedChanges, runChanges }),
        }),
      );
    };
  }

  /** Counts a change whose dispatch is encoded. */
  encoded(): void {
    this.#encoded = (this.#encoded + 1) % ROUND;
  }

  /** Encodes and counts a change. The count is absolute: changes that were encoded before and dropped are forgotten. */
  encode(encoder: GPUCommandEncoder): void {
    this.encoded();
    encoder.copyBufferToBuffer(this.#numbers, 4 * this.#encoded, this.buffer, 0, 4);
  }

  /** Makes the device's count the host's, after all work submitted so far. */
  settle(): void {
    this.#device.queue.writeBuffer(this.buffer, 0, Uint32Array.of(this.#encoded));
  }
}
