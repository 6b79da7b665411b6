import { sharedGpu } from "./gpu.ts";

type CreateBuffer = GPUDevice["createBuffer"];

/** Runs `work` with another `createBuffer` on the shared device. */
async function withCreateBuffer<Value>(
  replace: (device: GPUDevice, createBuffer: CreateBuffer) => CreateBuffer,
  work: () => Promise<Value>,
): Promise<Value> {
  const { device } = await sharedGpu();
  const { createBuffer } = device;
  device.createBuffer = replace(device, createBuffer.bind(device));
  try {
    return await work();
  } finally {
    device.createBuffer = createBuffer;
  }
}

/** Runs `work` on a device whose new buffers start as NaN instead of zeros. */
export function withPoisonedBuffers<Value>(work: () => Promise<Value>): Promise<Value> {
  return withCreateBuffer((device, createBuffer) => (descriptor) => {
    if (descriptor.mappedAtCreation || !(descriptor.usage & GPUBufferUsage.STORAGE)) {
      return createBuffer(descriptor);
    }
    const usage = descriptor.usage | GPUBufferUsage.COPY_DST;
    const buffer = createBuffer({ ...descriptor, usage });
    device.queue.writeBuffer(buffer, 0, new Uint8Array(buffer.size).fill(0xff));
    return buffer;
  }, work);
}

/** What no WebGPU takes. */
const UNKNOWN_USAGE = 0x4000_0000;

/** Runs `work` on a device that refuses every new buffer, although its limits allow them. */
export function withRefusedBuffers<Value>(work: () => Promise<Value>): Promise<Value> {
  return withCreateBuffer(
    (_, createBuffer) => (descriptor) => createBuffer({ ...descriptor, usage: UNKNOWN_USAGE }),
    work,
  );
}

/**
 * Labels and sizes of the buffers that `work` made, and labels of those of them that it did not destroy; on a device that
 * refuses the buffer of this index, where one is given.
 */
export async function buffersOf(
  work: () => Promise<void>,
  refused?: number,
): Promise<{ made: string[]; sizes: number[]; alive: string[] }> {
  const made: GPUBuffer[] = [];
  const alive = new Set<GPUBuffer>();
  await withCreateBuffer((_, createBuffer) => (descriptor) => {
    const isRefused = made.length === refused;
    const usage = isRefused ? UNKNOWN_USAGE : descriptor.usage;
    const buffer = createBuffer({
      ...descriptor,
      usage,
      ...(isRefused && { mappedAtCreation: false }),
    });
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      alive.delete(buffer);
      destroy();
    };
    made.push(buffer);
    alive.add(buffer);
    return buffer;
  }, work);
  const labels = (buffers: Iterable<GPUBuffer>) => [...buffers].map(({ label }) => label);
  return { made: labels(made), sizes: made.map(({ size }) => size), alive: labels(alive) };
}

/** Runs `work` on a device that says it has other limits: lower ones than it has. */
export async function withLimits<Value>(
  lower: Partial<Record<keyof GPUSupportedLimits, number>>,
  work: () => Promise<Value>,
): Promise<Value> {
  const { device } = await sharedGpu();
  const limits = new Proxy(device.limits, {
    get: (target, name: keyof GPUSupportedLimits) => lower[name] ?? target[name],
  });
  Object.defineProperty(device, "limits", { value: limits, configurable: true });
  try {
    return await work();
  } finally {
    delete (device as { limits?: unknown }).limits;
  }
}
