/** Tensors back to the host, with one wait for all of them. */
import { sentence } from "../base/check.ts";
import type { Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import { Readback } from "../gpu/readback.ts";
import { refusalsOf } from "../gpu/refusals.ts";
import { USAGE } from "../gpu/usage.ts";
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

/** Tensors in the fewest groups that buffers of at most `most` bytes hold, in their order. */
function groupsOf(tensors: readonly Stored[], most: number): Stored[][] {
  const groups: Stored[][] = [];
  let left = 0;
  for (const tensor of tensors) {
    if (groups.length === 0 || tensor.bytes > left) {
      groups.push([]);
      left = most;
    }
    groups.at(-1)!.push(tensor);
    left -= tensor.bytes;
  }
  return groups;
}

/** The elements of tensors that lie one after the other. */
function elementsOf(bytes: ArrayBuffer, tensors: readonly Stored[]): Float32Array[] {
  let at = 0;
  return tensors.map((tensor) =>
    decodeElements(bytes.slice(at, at += tensor.bytes), tensor.shape, tensor.dtype)
  );
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
    const readback = new Readback(gpu, owned, action);
    const stagings = await gpu.guard(action, () => {
      const encoder = gpu.device.createCommandEncoder();
      before(encoder);
      const stagings = groupsOf(tensors, gpu.device.limits.maxBufferSize).map((group) => {
        const size = group.reduce((sum, { bytes }) => sum + bytes, 0);
        const staging = readback.stage("download", size);
        let at = 0;
        for (const { buffer, bytes } of group) {
          encoder.copyBufferToBuffer(buffer, 0, staging, at, bytes);
          at += bytes;
        }
        return { staging, group };
      });
      readback.submit(encoder);
      return stagings;
    });
    await readback.mapped();
    waited();
    for (const { buffer } of tensors) refusals.throwIfStale(action, buffer);
    return stagings.flatMap(({ staging, group }) => elementsOf(staging.getMappedRange(), group));
  });
}
