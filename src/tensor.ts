import { checkChoice, checkInteger, sentence } from "./_check.ts";
import type { Gpu } from "./device.ts";

/** Element type in storage. Arithmetic accumulates in f32 whatever the storage. */
export type Dtype = "f32" | "f16";

/** Numbers on the host with their shape, row-major. */
export interface HostTensor {
  /** The elements, as many as the product of `shape`. */
  data: ArrayLike<number>;
  /** Size per axis, outermost first; none is zero. */
  shape: readonly number[];
}

/** Options of {@linkcode Tensor.upload} and {@linkcode Tensor.empty}. */
export interface TensorOptions {
  /** Element type in storage. The default is `"f32"`; `"f16"` needs a device with f16. */
  dtype?: Dtype;
  /** Name in messages and captures. */
  label?: string;
}

const BYTES: Readonly<Record<Dtype, number>> = { f32: 4, f16: 2 };
const LARGEST_F16 = 65504;
const USAGE = { storage: 0x80, copySrc: 0x04, copyDst: 0x08, mapRead: 0x01 };

/** Bytes of one element. */
export function elementBytes(dtype: Dtype): number {
  return BYTES[dtype];
}

/** Bytes that `count` elements take in a buffer, which WebGPU wants in multiples of four. */
export function storageBytes(count: number, dtype: Dtype): number {
  return Math.ceil(count * BYTES[dtype] / 4) * 4;
}

/** The product of a shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Throws unless `dtype` is one that the device can store. */
export function checkDtype(gpu: Gpu, action: string, dtype: Dtype): void {
  checkChoice(action, "dtype", dtype, ["f32", "f16"]);
  if (dtype === "f16" && !gpu.features.f16) {
    throw new RangeError(
      sentence(action, 'the device lacks shader-f16 (use dtype "f32")', {
        dtype,
        adapter: gpu.description.description,
      }),
    );
  }
}

/** Throws unless a buffer of `bytes` can be made and bound on the device. */
export function checkBytes(gpu: Gpu, action: string, bytes: number): void {
  const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits;
  const limit = Math.min(maxStorageBufferBindingSize, maxBufferSize);
  if (bytes > limit) {
    throw new RangeError(
      sentence(action, "a tensor must fit one storage binding of the device (split it)", {
        bytes,
        maxStorageBufferBindingSize,
        maxBufferSize,
      }),
    );
  }
}

/** Throws unless a tensor is what a call needs. */
export function checkTensor(
  action: string,
  name: string,
  tensor: Tensor,
  needed: { gpu: Gpu; shape: readonly number[]; dtype: Dtype },
): void {
  if (!(tensor instanceof Tensor)) {
    throw new TypeError(sentence(action, `${name} must be a Tensor`, { [name]: tensor }));
  }
  if (tensor.gpu.device !== needed.gpu.device) {
    throw new TypeError(
      sentence(action, `${name} must live on the same device`, {
        [name]: tensor.gpu.description.description,
        device: needed.gpu.description.description,
      }),
    );
  }
  if (tensor.dtype !== needed.dtype) {
    throw new TypeError(
      sentence(action, `${name} must be ${needed.dtype}`, { [name]: tensor.dtype }),
    );
  }
  const { shape } = needed;
  if (tensor.shape.length !== shape.length || tensor.shape.some((size, i) => size !== shape[i])) {
    throw new RangeError(
      sentence(action, `${name} must have shape [${shape.join(", ")}]`, { [name]: tensor.shape }),
    );
  }
}

function checkShape(action: string, shape: readonly number[]): void {
  if (!Array.isArray(shape) || shape.length === 0) {
    throw new TypeError(sentence(action, "shape must be an array of sizes", { shape }));
  }
  shape.forEach((size, axis) => checkInteger(action, `shape[${axis}]`, size));
}

/**
 * A tensor on the GPU: a buffer, its shape and its element type.
 *
 * @example
 * ```ts
 * import { Gpu, Tensor } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const tensor = await Tensor.upload(gpu, { data: [1, 2, 3, 4], shape: [2, 2] });
 * console.log(await tensor.download()); // Float32Array [1, 2, 3, 4]
 * tensor.destroy();
 * gpu.destroy();
 * ```
 */
export class Tensor {
  /** Where the buffer lives. */
  readonly gpu: Gpu;
  /** The elements, row-major and dense, from the buffer's start. */
  readonly buffer: GPUBuffer;
  /** Size per axis, outermost first. */
  readonly shape: readonly number[];
  /** Element type in storage. */
  readonly dtype: Dtype;

  private constructor(gpu: Gpu, buffer: GPUBuffer, shape: readonly number[], dtype: Dtype) {
    this.gpu = gpu;
    this.buffer = buffer;
    this.shape = [...shape];
    this.dtype = dtype;
  }

  /** Number of elements. */
  get length(): number {
    return elementCount(this.shape);
  }

  /** Bytes of the elements in the buffer. */
  get bytes(): number {
    return storageBytes(this.length, this.dtype);
  }

  /**
   * Takes a buffer that the caller owns.
   *
   * @param gpu Where the buffer lives.
   * @param buffer A buffer with usage `STORAGE`; also `COPY_SRC` if it is to be downloaded.
   * @param shape Size per axis, outermost first.
   * @param dtype Element type of the buffer's contents. The default is `"f32"`.
   * @returns The tensor. Destroying it destroys the buffer.
   * @throws {RangeError} If the buffer is smaller than the shape, or a size is not a positive whole number.
   * @throws {TypeError} If the buffer cannot be bound as storage.
   */
  static wrap(
    gpu: Gpu,
    buffer: GPUBuffer,
    shape: readonly number[],
    dtype: Dtype = "f32",
  ): Tensor {
    const action = "wrap a buffer as a tensor";
    checkShape(action, shape);
    checkDtype(gpu, action, dtype);
    const bytes = storageBytes(elementCount(shape), dtype);
    checkBytes(gpu, action, bytes);
    if (buffer.size < bytes) {
      throw new RangeError(
        sentence(action, "the buffer must hold the shape", { size: buffer.size, shape, bytes }),
      );
    }
    if (!(buffer.usage & USAGE.storage)) {
      throw new TypeError(
        sentence(action, "the buffer must have usage STORAGE", { usage: buffer.usage }),
      );
    }
    return new Tensor(gpu, buffer, shape, dtype);
  }

  /**
   * Allocates a tensor of zeros.
   *
   * @param gpu Where to allocate.
   * @param shape Size per axis, outermost first.
   * @param options Element type and label.
   * @returns The tensor.
   * @throws {RangeError} If a size is not a positive whole number, the device lacks the element type, or the tensor
   * does not fit one binding.
   * @throws {GpuWorkError} If the device refuses the memory.
   */
  static async empty(
    gpu: Gpu,
    shape: readonly number[],
    options: TensorOptions = {},
  ): Promise<Tensor> {
    const { dtype = "f32", label = "tensor" } = options;
    const action = `allocate ${label}`;
    checkShape(action, shape);
    checkDtype(gpu, action, dtype);
    const size = storageBytes(elementCount(shape), dtype);
    checkBytes(gpu, action, size);
    const usage = USAGE.storage | USAGE.copySrc | USAGE.copyDst;
    const buffer = await gpu.guard(
      action,
      () => gpu.device.createBuffer({ label, size, usage }),
    );
    return new Tensor(gpu, buffer, shape, dtype);
  }

  /**
   * Copies numbers from the host to a new tensor.
   *
   * @param gpu Where to allocate.
   * @param source The numbers and their shape.
   * @param options Element type and label.
   * @returns The tensor.
   * @throws {RangeError} If the data does not match the shape, a number is beyond f16 (65504) for `"f16"`, or as
   * {@linkcode Tensor.empty}.
   * @throws {GpuWorkError} If the device refuses the memory.
   */
  static async upload(
    gpu: Gpu,
    source: HostTensor,
    options: TensorOptions = {},
  ): Promise<Tensor> {
    const { data, shape } = source;
    const { dtype = "f32", label = "tensor" } = options;
    const action = `upload ${label}`;
    checkShape(action, shape);
    checkDtype(gpu, action, dtype);
    if (typeof data !== "object" || typeof data?.length !== "number") {
      throw new TypeError(sentence(action, "data must be an array of numbers", { data }));
    }
    if (data.length !== elementCount(shape)) {
      throw new RangeError(
        sentence(action, "the data must have as many elements as the shape", {
          elements: data.length,
          shape,
        }),
      );
    }
    const bytes = encode(action, data, dtype);
    const tensor = await Tensor.empty(gpu, shape, options);
    gpu.device.queue.writeBuffer(tensor.buffer, 0, bytes);
    return tensor;
  }

  /**
   * Copies the elements back to the host. A readback waits for the GPU: keep it out of loops.
   *
   * @returns The elements as f32, row-major.
   * @throws {TypeError} If the buffer has no usage `COPY_SRC`.
   * @throws {DeviceLostError} If the device is lost.
   * @throws {GpuWorkError} If the GPU refused some work since it was last asked.
   */
  async download(): Promise<Float32Array> {
    const { gpu, buffer, bytes } = this;
    if (!(buffer.usage & USAGE.copySrc)) {
      throw new TypeError(
        sentence("download a tensor", "its buffer must have usage COPY_SRC", {
          usage: buffer.usage,
        }),
      );
    }
    gpu.throwIfFailed();
    const staging = gpu.device.createBuffer({
      label: "download",
      size: bytes,
      usage: USAGE.mapRead | USAGE.copyDst,
    });
    try {
      const encoder = gpu.device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, 0, staging, 0, bytes);
      gpu.device.queue.submit([encoder.finish()]);
      await gpu.waitFor(staging.mapAsync(1));
      const mapped = staging.getMappedRange().slice(0);
      const elements = this.dtype === "f16" ? new Float16Array(mapped) : new Float32Array(mapped);
      return Float32Array.from(elements.subarray(0, this.length));
    } finally {
      staging.destroy();
    }
  }

  /** Destroys the buffer. */
  destroy(): void {
    this.buffer.destroy();
  }
}

function encode(action: string, data: ArrayLike<number>, dtype: Dtype): ArrayBuffer {
  const bytes = new ArrayBuffer(storageBytes(data.length, dtype));
  if (dtype === "f32") {
    new Float32Array(bytes).set(data);
    return bytes;
  }
  for (let i = 0; i < data.length; i++) {
    if (Math.abs(data[i]) > LARGEST_F16 && Number.isFinite(data[i])) {
      throw new RangeError(
        sentence(action, `f16 holds numbers up to ${LARGEST_F16} (use dtype "f32")`, {
          index: i,
          value: data[i],
        }),
      );
    }
  }
  new Float16Array(bytes).set(data);
  return bytes;
}
