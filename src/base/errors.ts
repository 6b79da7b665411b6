/**
 * No WebGPU adapter or device could be had; the message says what to install.
 *
 * @example
 * ```ts
 * import { Gpu, GpuUnavailableError } from "@onehead/attention";
 *
 * const gpu = await Gpu.open().catch((error) => {
 *   if (error instanceof GpuUnavailableError) console.error(error.message); // what to install
 *   throw error;
 * });
 * gpu.destroy();
 * ```
 */
export class GpuUnavailableError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "GpuUnavailableError";
}

/**
 * The device was lost: nothing that was pending on it will come, and everything on it is gone.
 *
 * @example Who waits is told
 * ```ts
 * import { DeviceLostError, Gpu, Tensor } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const tensor = await Tensor.upload(gpu, { data: [1, 2], shape: [2] });
 * gpu.destroy();
 * try {
 *   await tensor.download();
 * } catch (error) {
 *   console.log(error instanceof DeviceLostError); // true
 * }
 * ```
 */
export class DeviceLostError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "DeviceLostError";
}

/**
 * The GPU refused some work (validation, out of memory, internal), so that its results must not be used.
 *
 * @example
 * ```ts
 * import { Gpu, GpuWorkError } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * try {
 *   await gpu.guard("make a buffer", () => gpu.device.createBuffer({ size: 4, usage: 0 }));
 * } catch (error) {
 *   console.log(error instanceof GpuWorkError); // true
 * }
 * gpu.destroy();
 * ```
 */
export class GpuWorkError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "GpuWorkError";
}

/**
 * The bytes are no snapshot of a cache, or a damaged one, or of a cache of another shape; nothing was restored.
 *
 * @example
 * ```ts
 * import { Gpu, RingKvCache, SnapshotError } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * try {
 *   await RingKvCache.restore(gpu, new Uint8Array(100));
 * } catch (error) {
 *   console.log(error instanceof SnapshotError); // true
 * }
 * gpu.destroy();
 * ```
 */
export class SnapshotError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "SnapshotError";
}

/**
 * A checkpoint cannot be read: a file that is damaged, cut short or of another format, a tensor of another shape, or a
 * configuration that the decoder does not have. The message names the file, the tensor or field, and the values.
 *
 * @example
 * ```ts
 * import { CheckpointError } from "@onehead/attention";
 * import { bytesInMemory, openLlama2c } from "@onehead/attention/checkpoints";
 *
 * try {
 *   await openLlama2c(bytesInMemory("short.bin", new Uint8Array(10)));
 * } catch (error) {
 *   console.log(error instanceof CheckpointError); // true
 * }
 * ```
 */
export class CheckpointError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "CheckpointError";
}

/**
 * A pool has fewer pages left than a call needs: nothing was taken and nothing overwritten. Free sequences, wait for some to
 * end, or make a larger pool.
 *
 * @example
 * ```ts
 * import { Gpu, PagedKvCache, PagePool, PoolExhaustedError } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const pool = await PagePool.create(gpu, { numKvHeads: 1, headDim: 4, numPages: 1 });
 * const cache = await PagedKvCache.create(pool, { capacity: 64 });
 * try {
 *   cache.extend(gpu.device.createCommandEncoder(), [33]); // pages have 32 tokens
 * } catch (error) {
 *   console.log(error instanceof PoolExhaustedError); // true
 * }
 * gpu.destroy();
 * ```
 */
export class PoolExhaustedError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "PoolExhaustedError";
}

/**
 * A function of yours in WGSL does not compile. The message names it, the line of your text, and what the compiler says.
 *
 * @example
 * ```ts
 * import { Attention, Gpu, WgslError } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const wgsl = "fn halved(score: f32, at: ScoreAt) -> f32 {\n  return score / two;\n}";
 * try {
 *   await Attention.create(gpu, {
 *     ...{ numHeads: 2, headDim: 4, capacity: 8 },
 *     scoreMod: { name: "halved", wgsl },
 *   });
 * } catch (error) {
 *   if (!(error instanceof WgslError)) throw error;
 *   console.log(error.line, error.message); // 2 Cannot compile scoreMod "halved" as WGSL refuses line 2 ...
 * }
 * gpu.destroy();
 * ```
 */
export class WgslError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "WgslError";
  /** The line of the text, from 1; absent where the compiler says none. */
  readonly line?: number;

  /**
   * Names a function and its line.
   *
   * @param message The function, the line and what the compiler says.
   * @param line The line of the text, from 1.
   */
  constructor(message: string, line?: number) {
    super(message);
    this.line = line;
  }
}
