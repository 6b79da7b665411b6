import { checkChoice, checkInteger, sentence } from "../base/check.ts";
import { dequantize, isQuantized, quantize } from "./quantized.ts";
import type { Gpu } from "../gpu/device.ts";
import { MAP_READ, USAGE } from "../gpu/usage.ts";
import { ELEMENT_TYPES, elementCount, type ElementType, storageBytes } from "./dtype.ts";
import { float16Array } from "./float16.ts";

/** Numbers on the host with their shape, row-major. */
export interface HostTensor {
  /** The elements, as many as the product of `shape`. */
  data: ArrayLike<number>;
  /** Size per axis, outermost first; none is zero. */
  shape: readonly number[];
}

/** A tensor on the host whose elements are f32. */
export interface HostFloats extends HostTensor {
  /** The elements, as many as the product of `shape`. */
  data: Float32Array;
}

/** A mask on the host with its shape, row-major: whether a query sees a key. */
export interface HostMask {
  /** The elements, as many as the product of `shape`: true or 1 for what is seen, false or 0 for what is not. */
  data: ArrayLike<boolean | number>;
  /** Size per axis, outermost first; none is zero. */
  shape: readonly number[];
}

/** Options of {@linkcode Tensor.upload} and {@linkcode Tensor.empty}. */
export interface TensorOptions {
  /** Element type in storage. The default is `"f32"`; `"f16"` needs a device with f16. */
  dtype?: ElementType;
  /** Name in messages and captures. */
  label?: string;
}

const LARGEST_F16 = 65504;
const LARGEST_F32 = 3.4028234663852886e38;

/** Throws unless `dtype` is one that the device can store. */
export function checkDtype(gpu: Gpu, action: string, dtype: ElementType, name = "dtype"): void {
  checkChoice(action, name, dtype, ELEMENT_TYPES);
  if (dtype === "f16" && !gpu.features.f16) {
    throw new RangeError(
      sentence(action, `the device lacks shader-f16 (use ${name} "f32")`, {
        [name]: dtype,
        adapter: gpu.description.description,
      }),
    );
  }
}

/** Bytes of the largest buffer that the device can make and bind as storage. */
export function mostBytes({ device }: Gpu): number {
  return Math.min(device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize);
}

/** Throws unless a buffer of `bytes` can be made and bound on the device. */
export function checkBytes(gpu: Gpu, action: string, bytes: number): void {
  const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits;
  if (bytes > mostBytes(gpu)) {
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
  needed: { gpu: Gpu; shape: readonly number[]; dtype: ElementType },
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
  /** The elements, row-major and dense, from the buffer's start; see {@linkcode KvDtype} for rows of integers. */
  readonly buffer: GPUBuffer;
  /** Size per axis, outermost first. */
  readonly shape: readonly number[];
  /** Element type in storage. */
  readonly dtype: ElementType;

  private constructor(gpu: Gpu, buffer: GPUBuffer, shape: readonly number[], dtype: ElementType) {
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
    return storageBytes(this.shape, this.dtype);
  }

  /**
   * Takes a buffer that the caller owns.
   *
   * @param gpu Where the buffer lives.
   * @param buffer A buffer with usage `STORAGE`; also `COPY_SRC` if it is to be downloaded.
   * @param shape Size per axis, outermost first.
   * @param dtype Element type of the buffer's contents. The default is `"f32"`.
   * @returns The tensor. Destroying it destroys the buffer.
   * @throws {TypeError} If the buffer cannot be bound as storage, or the shape is no array of numbers.
   * @throws {RangeError} If the buffer is smaller than the shape, a size is not a positive whole number, the device lacks
   * the element type, or the tensor does not fit one binding.
   *
   * @example What another library computed, read without a copy
   * ```ts
   * import { Gpu, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
   * const buffer = gpu.device.createBuffer({ size: 16, usage: STORAGE | COPY_SRC | COPY_DST });
   * gpu.device.queue.writeBuffer(buffer, 0, new Float32Array([1, 2, 3, 4]));
   * const tensor = Tensor.wrap(gpu, buffer, [1, 1, 2, 2]);
   * console.log(await tensor.download()); // Float32Array [1, 2, 3, 4]
   * gpu.destroy();
   * ```
   */
  static wrap(
    gpu: Gpu,
    buffer: GPUBuffer,
    shape: readonly number[],
    dtype: ElementType = "f32",
  ): Tensor {
    const action = "wrap a buffer as a tensor";
    checkShape(action, shape);
    checkDtype(gpu, action, dtype);
    const bytes = storageBytes(shape, dtype);
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
   * @returns The tensor. Destroy it with {@linkcode Tensor.destroy}.
   * @throws {TypeError} If the shape is no array of numbers, or the element type none there is.
   * @throws {RangeError} If a size is not a positive whole number, the device lacks the element type, or the tensor
   * does not fit one binding.
   * @throws {GpuWorkError} If the device refuses the memory.
   *
   * @example
   * ```ts
   * import { Gpu, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const o = await Tensor.empty(gpu, [1, 1, 8, 64], { label: "o" });
   * console.log(o.length, o.bytes); // 512 2048
   * gpu.destroy();
   * ```
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
    const size = storageBytes(shape, dtype);
    checkBytes(gpu, action, size);
    const usage = USAGE.storage | USAGE.copySrc | USAGE.copyDst;
    const buffer = await gpu.guard(
      action,
      () => gpu.device.createBuffer({ label, size, usage }),
    );
    return new Tensor(gpu, buffer, shape, dtype);
  }

  /**
   * Copies numbers, or the elements of a mask, from the host to a new tensor.
   *
   * @param gpu Where to allocate.
   * @param source The elements and their shape.
   * @param options Element type and label.
   * @returns The tensor. Destroy it with {@linkcode Tensor.destroy}.
   * @throws {TypeError} If there is no data or no shape, or the element type is none there is.
   * @throws {RangeError} If the data does not match the shape, a number is beyond f16 (65504) for `"f16"` or not finite for
   * integers, no whole number for `"u32"`, neither 0 nor 1 for `"bool"`, or as {@linkcode Tensor.empty}.
   * @throws {GpuWorkError} If the device refuses the memory.
   *
   * @example Numbers, keys in int8, and a mask
   * ```ts
   * import { Gpu, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const numbers = await Tensor.upload(gpu, { data: [1, 2, 3, 4], shape: [2, 2] });
   * const keys = await Tensor.upload(gpu, { data: [127, -64, 0, 1], shape: [1, 4] }, { dtype: "int8" });
   * const mask = await Tensor.upload(gpu, { data: [true, false], shape: [1, 2] }, { dtype: "bool" });
   * console.log(numbers.bytes, keys.bytes, mask.bytes); // 16 8 4
   * console.log(await keys.download()); // Float32Array [127, -64, 0, 1]
   * gpu.destroy();
   * ```
   */
  static async upload(
    gpu: Gpu,
    source: HostTensor | HostMask,
    options: TensorOptions = {},
  ): Promise<Tensor> {
    const { dtype = "f32", label = "tensor" } = options;
    const action = `upload ${label}`;
    if (!source) {
      throw new TypeError(sentence(action, "there must be data and a shape", { [label]: source }));
    }
    const { data, shape } = source;
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
    const bytes = encode(action, source, dtype);
    const tensor = await Tensor.empty(gpu, shape, options);
    gpu.device.queue.writeBuffer(tensor.buffer, 0, bytes);
    return tensor;
  }

  /**
   * Copies the elements back to the host. A readback waits for the GPU: keep it out of loops.
   *
   * @returns The elements as f32, row-major; those of a mask are 0 and 1.
   * @throws {TypeError} If the buffer has no usage `COPY_SRC`.
   * @throws {DeviceLostError} If the device is lost.
   * @throws {GpuWorkError} If the GPU refused some work since it was last asked.
   *
   * @example
   * ```ts
   * import { Gpu, Tensor } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const tensor = await Tensor.upload(gpu, { data: [0.5, 2], shape: [2] });
   * console.log(await tensor.download()); // Float32Array [0.5, 2]
   * gpu.destroy();
   * ```
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
      await gpu.waitFor(staging.mapAsync(MAP_READ));
      const mapped = staging.getMappedRange().slice(0);
      return decode(mapped, this.shape, this.dtype);
    } finally {
      staging.destroy();
    }
  }

  /** Destroys the buffer. */
  destroy(): void {
    this.buffer.destroy();
  }
}

function encode(
  action: string,
  { data, shape }: HostTensor | HostMask,
  dtype: ElementType,
): ArrayBuffer | Uint32Array<ArrayBuffer> {
  checkElements(action, data, dtype);
  const numbers = data as ArrayLike<number>;
  if (isQuantized(dtype)) return quantize(numbers, shape.at(-1)!, dtype);
  const bytes = new ArrayBuffer(storageBytes(shape, dtype));
  if (dtype === "f32") new Float32Array(bytes).set(numbers);
  if (dtype === "f16") new (float16Array(action))(bytes).set(numbers);
  if (dtype === "u32") new Uint32Array(bytes).set(numbers);
  if (dtype === "bool") {
    const words = new Uint32Array(bytes);
    for (let i = 0; i < data.length; i++) words[i >>> 5] |= Number(data[i]) << (i & 31);
  }
  return bytes;
}

/** What an element type holds, where it does not hold every number. */
const WITHIN_F32 = {
  rule: `integers hold numbers up to ${LARGEST_F32} (use dtype "f32")`,
  holds: (value: number) => Math.abs(value) <= LARGEST_F32,
};
const HELD: Partial<Record<ElementType, { rule: string; holds(value: number): boolean }>> = {
  f16: {
    rule: `f16 holds numbers up to ${LARGEST_F16} (use dtype "f32")`,
    holds: (value) => Math.abs(value) <= LARGEST_F16 || !Number.isFinite(value),
  },
  int8: WITHIN_F32,
  int4: WITHIN_F32,
  u32: {
    rule: "u32 holds whole numbers from 0 to 4294967295",
    holds: (value) => value >>> 0 === value,
  },
  bool: {
    rule: "a mask holds true or 1, and false or 0",
    holds: (value) => value === 0 || value === 1,
  },
};

function checkElements(
  action: string,
  data: ArrayLike<number | boolean>,
  dtype: ElementType,
): void {
  const held = HELD[dtype];
  if (!held) return;
  for (let index = 0; index < data.length; index++) {
    const value = data[index];
    if (!held.holds(Number(value))) {
      throw new RangeError(sentence(action, held.rule, { index, value }));
    }
  }
}

function decode(bytes: ArrayBuffer, shape: readonly number[], dtype: ElementType): Float32Array {
  const length = elementCount(shape);
  if (isQuantized(dtype)) return dequantize(new Uint32Array(bytes), shape.at(-1)!, dtype);
  if (dtype === "bool") {
    const words = new Uint32Array(bytes);
    return Float32Array.from({ length }, (_, i) => words[i >>> 5] >>> (i & 31) & 1);
  }
  if (dtype === "f32") return new Float32Array(bytes, 0, length);
  const View = dtype === "u32" ? Uint32Array : float16Array("download a tensor");
  return Float32Array.from(new View(bytes, 0, length));
}
