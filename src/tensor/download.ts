/** Tensors back to the host, with one wait for all of them. */
import { sentence } from "../base/check.ts";
import type { Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import { refusalsOf } from "../gpu/refusals.ts";
import { MAP_READ, USAGE } from "../gpu/usage.ts";
import type { ElementType } from "./dtype.ts";
import { decodeElements } from "./host_elements.ts";

/** A tensor as it is stored. */
interface Stored {
  buffer: GPUBuffer;
  bytes: number;
  shape: readonly number[];
  dtype: ElementType;
}

/** What a download does besides. */
interface DownloadOptions {
  /** The action that errors name. */
  action?: string;
  /** Encodes work in front of the copies. */
  before?: (encoder: GPUCommandEncoder) => void;
}

/**
 * Copies the elements of tensors to the host. A wait costs milliseconds however much comes with it.
 *
 * @throws {TypeError} If a buffer has no usage `COPY_SRC`.
 * @throws {DeviceLostError} If the device is lost.
 * @throws {GpuWorkError} If the GPU refused work that was to write a tensor, or the copy.
 */
export async function downloadTogether(
  gpu: Gpu,
  tensors: readonly Stored[],
  { action = "download a tensor", before = () => {} }: DownloadOptions = {},
): Promise<Float32Array[]> {
  for (const { buffer: { usage } } of tensors) {
    if (usage & USAGE.copySrc) continue;
    throw new TypeError(sentence(action, "its buffer must have usage COPY_SRC", { usage }));
  }
  return await Owned.use(async (owned) => {
    const refusals = refusalsOf(gpu.device);
    const waited = refusals.beforeWait();
    const staging = await gpu.guard(action, () => {
      const size = tensors.reduce((sum, { bytes }) => sum + bytes, 0);
      const usage = USAGE.mapRead | USAGE.copyDst;
      const staging = owned.keep(gpu.device.createBuffer({ label: "download", size, usage }));
      const encoder = gpu.device.createCommandEncoder();
      before(encoder);
      let at = 0;
      for (const { buffer, bytes } of tensors) {
        encoder.copyBufferToBuffer(buffer, 0, staging, at, bytes);
        at += bytes;
      }
      gpu.device.queue.submit([encoder.finish()]);
      return staging;
    });
    await gpu.waitFor(staging.mapAsync(MAP_READ));
    waited();
    for (const { buffer } of tensors) refusals.throwIfStale(action, buffer);
    const mapped = staging.getMappedRange();
    let at = 0;
    return tensors.map(({ bytes, shape, dtype }) =>
      decodeElements(mapped.slice(at, at += bytes), shape, dtype)
    );
  });
}
