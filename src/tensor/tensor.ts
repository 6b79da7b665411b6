import {
  checkChoice,
  checkNumbers,
  checkObject,
  checkString,
  copyShape,
  sentence,
} from "../base/check.ts";
import { downloadTogether } from "./download.ts";
import { encodeElements } from "./host_elements.ts";
import { checkGpu, type Gpu } from "../gpu/device.ts";
import { refusalsOf } from "../gpu/refusals.ts";
import { USAGE } from "../gpu/usage.ts";
import { ELEMENT_TYPES, elementCount, type ElementType, storageBytes } from "./dtype.ts";

/** Numbers on the host with their shape, row-major. */
export interface HostTensor {
  /** The elements, as many as the product of `shape`: an array, or a typed array of numbers. */
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

/** Throws unless a tensor of the host has the shape that is needed, and as many elements. */
export function checkHostTensor(
  action: string,
  name: string,
  tensor: HostTensor,
  shape: readonly number[],
): void {
  checkObject(action, name, tensor);
  const actual = tensor.shape;
  const hasShape = Array.isArray(actual) && actual.length === shape.length;
  if (!hasShape || actual.some((size, i) => size !== shape[i])) {
    throw new RangeError(
      sentence(action, `${name} must have shape [${shape.join(", ")}]`, { [name]: actual }),
    );
  }
  const elements = tensor.data?.length;
  if (elements !== elementCount(shape)) {
    throw new RangeError(
      sentence(action, `${name} must have as many elements as its shape`, { elements, shape }),
    );
  }
  checkNumbers(action, `${name}.data`, tensor.data);
}

/** The sizes of a tensor of the host whose axes are those of `"[B, S, dim]"`; throws unless it has them all, and its elements. */
export function checkHostAxes(
  action: string,
  name: string,
  tensor: HostTensor,
  axes: string,
): number[] {
  checkObject(action, name, tensor);
  const { shape } = tensor;
  if (!Array.isArray(shape) || shape.length !== axes.split(",").length) {
    throw new TypeError(sentence(action, `${name} must be ${axes}`, { shape }));
  }
  const sizes = copyShape(action, `${name}.shape`, shape);
  checkHostTensor(action, name, tensor, sizes);
  return sizes;
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
    this.shape = Object.freeze([...shape]);
    this.dtype = dtype;
    refusalsOf(gpu.device).made(buffer);
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
   * @param buffer A buffer with usage `STORAGE`; also `COPY_SRC` if it is to be downloaded. Software adapters read heads of up to
   * 16 elements and weights faster where it has `UNIFORM` too.
   * @param shape Size per axis, outermost first.
   * @param dtype Element type of the buffer's contents. The default is `"f32"`.
   * @returns The tensor. Destroying it destroys the buffer.
   * @throws {TypeError} If the buffer cannot be bound as storage, or the shape is no array of numbers.
   * @throws {RangeError} If the buffer is smaller than the shape, a size is not a positive whole number, the device lacks
   * the element type, or the tensor does not fit one binding.
   * @throws {DeviceLostError} If the device is lost.
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
    checkGpu(action, gpu);
    checkObject(action, "buffer", buffer);
    gpu.throwIfLost();
    const sizes = copyShape(action, "shape", shape);
    checkDtype(gpu, action, dtype);
    const bytes = storageBytes(sizes, dtype);
    checkBytes(gpu, action, bytes);
    if (!(buffer.usage & USAGE.storage)) {
      throw new TypeError(
        sentence(action, "the buffer must have usage STORAGE", { usage: buffer.usage }),
      );
    }
    if (buffer.size < bytes) {
      throw new RangeError(
        sentence(action, "the buffer must hold the shape", { size: buffer.size, shape, bytes }),
      );
    }
    return new Tensor(gpu, buffer, sizes, dtype);
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
    checkGpu("allocate a tensor", gpu);
    checkObject("allocate a tensor", "options", options);
    const { dtype = "f32", label = "tensor" } = options;
    checkString("allocate a tensor", "label", label);
    const action = `allocate ${label}`;
    // A copy: the caller may do with the array as it likes while the device makes the buffer.
    const sizes = copyShape(action, "shape", shape);
    checkDtype(gpu, action, dtype);
    checkBytes(gpu, action, storageBytes(sizes, dtype));
    return await Tensor.#allocate(gpu, action, sizes, { dtype, label });
  }

  /**
   * Copies numbers, or the elements of a mask, from the host to a new tensor.
   *
   * @param gpu Where to allocate.
   * @param source The elements and their shape; read before this returns.
   * @param options Element type and label.
   * @returns The tensor. Destroy it with {@linkcode Tensor.destroy}.
   * @throws {TypeError} If the data is no array, or one of something else than numbers (for `"bool"` also booleans), there is
   * no shape, or the element type is none there is.
   * @throws {RangeError} If the data does not match the shape, a finite number is beyond f32 (3.4e38) or for `"f16"` beyond
   * f16 (65504), not finite for integers, no whole number for `"u32"`, neither 0 nor 1 for `"bool"`, or as
   * {@linkcode Tensor.empty}.
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
    checkGpu("upload a tensor", gpu);
    checkObject("upload a tensor", "options", options);
    const { dtype = "f32", label = "tensor" } = options;
    checkString("upload a tensor", "label", label);
    const action = `upload ${label}`;
    if (!source) {
      throw new TypeError(sentence(action, "there must be data and a shape", { [label]: source }));
    }
    const { data } = source;
    const shape = copyShape(action, "shape", source.shape);
    checkDtype(gpu, action, dtype);
    checkBytes(gpu, action, storageBytes(shape, dtype));
    const bytes = encodeElements(action, data, shape, dtype);
    return await Tensor.#allocate(gpu, action, shape, { dtype, label }, bytes);
  }

  /** Allocates a tensor of zeros, or of the bytes that are given. */
  static async #allocate(
    gpu: Gpu,
    action: string,
    shape: readonly number[],
    { dtype, label }: Required<TensorOptions>,
    bytes?: ReturnType<typeof encodeElements>,
  ): Promise<Tensor> {
    const usage = USAGE.storage | USAGE.uniform | USAGE.copySrc | USAGE.copyDst;
    const size = storageBytes(shape, dtype);
    const buffer = await gpu.guard(action, () => {
      const buffer = gpu.device.createBuffer({ label, size, usage });
      if (bytes) gpu.device.queue.writeBuffer(buffer, 0, bytes);
      return buffer;
    });
    return new Tensor(gpu, buffer, shape, dtype);
  }

  /**
   * Copies the elements back to the host. A readback waits for the GPU: keep it out of loops.
   *
   * @returns The elements as f32, row-major; those of a mask are 0 and 1.
   * @throws {TypeError} If the buffer has no usage `COPY_SRC`.
   * @throws {DeviceLostError} If the device is lost.
   * @throws {GpuWorkError} If the GPU refused work that was to write the tensor, or the copy: {@linkcode Gpu} says whose error
   * is whose.
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
    const [elements] = await downloadTogether(this.gpu, [this]);
    return elements;
  }

  /** Destroys the buffer. */
  destroy(): void {
    this.buffer.destroy();
  }
}
