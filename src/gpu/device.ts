import { cutMessage } from "../base/excerpt.ts";
import { MATRIX_FEATURE, matrixBlockOf } from "./matrix_units.ts";
import { probe, type Probed } from "./probe.ts";
import { checkChoice, checkFunction, checkObject, checkString, sentence } from "../base/check.ts";
import { GpuUnavailableError, GpuWorkError } from "../base/errors.ts";
import { forgetKernels } from "./kernel_cache.ts";
import { lossOf } from "./loss.ts";
import type { DeviceProfile } from "./profile.ts";
import { refusalsOf } from "./refusals.ts";
import { textureBytesOf } from "./shared_textures.ts";

/** What a {@linkcode Gpu} can do beyond plain WebGPU. */
export interface GpuFeatures {
  /** f16 storage and arithmetic (`shader-f16`). */
  f16: boolean;
  /** Subgroup operations, whether the runtime lists them or not. */
  subgroups: boolean;
  /** Timestamps written by the GPU (`timestamp-query`). */
  timestamps: boolean;
  /**
   * Matrix units (tensor cores) that `arithmetic: "matrix"` can use: of f16 with sums in f32, on a device whose subgroups are
   * all of one size. An experiment of Dawn (`chromium-experimental-subgroup-matrix`): Chrome grants it with
   * `--enable-unsafe-webgpu`, Node with `create(["enable-dawn-features=allow_unsafe_apis"])`, Deno not yet.
   */
  matrixUnits: boolean;
}

/** The WGSL that a runtime's compiler takes, where compilers differ. */
export interface WgslDialect {
  /** Whether a module must declare `enable subgroups;` (Dawn) or must not (naga). */
  enableSubgroups: boolean;
}

/** What the device calls itself. */
export interface GpuDescription {
  /** Name of the adapter, e.g. "NVIDIA H200" or "llvmpipe (LLVM 15.0.6, 256 bits)". */
  description: string;
  /** Who made it, as the driver says. */
  vendor: string;
  /** Its family, as the driver says; often empty. */
  architecture: string;
  /** Whether the adapter is a program on the CPU, whose speed says little about GPUs. */
  isSoftware: boolean;
}

/** Options of {@linkcode Gpu.open}. */
export interface GpuOptions {
  /** Which of several adapters to prefer. The default is `"high-performance"`. */
  powerPreference?: GPUPowerPreference;
  /**
   * Where adapters come from, such as what `create([])` of npm's `webgpu` returns; it is kept for as long as the device. The
   * default is `navigator.gpu`.
   */
  gpu?: GPU;
}

const OPEN = "open a GPU";
const INSTALL_HINT =
  "on Linux install a Vulkan driver for your GPU, or without a GPU the software driver: apt-get install mesa-vulkan-drivers libvulkan1";
// WebGPU does not tell a driver that it refuses from one that is missing.
const REFUSED_HINT =
  "where a driver is installed, the runtime refuses it (as Dawn, in Node and Bun, refuses the software driver of Debian 12): set VK_DRIVER_FILES to the file of another, such as vk_swiftshader_icd.json of the package chromium";

/** Integers of 64 bits in kernels: a feature of wgpu, and so of Deno, that WebGPU does not have. */
const LONG_INTEGERS = "wgpu-shader-int64" as GPUFeatureName;

/** Throws a `TypeError` unless a value is a {@linkcode Gpu}. */
export function checkGpu(action: string, gpu: unknown): void {
  if (gpu instanceof Gpu) return;
  // A package that is loaded twice, as from two versions, has two classes.
  const isOther = typeof (gpu as Partial<Gpu> | undefined | null)?.device?.createCommandEncoder ===
    "function";
  const rule = isOther
    ? "gpu must be a Gpu of the same copy of the package (load it once, or Gpu.from(gpu.device))"
    : "gpu must be a Gpu (of Gpu.open, or of Gpu.from for a device of your own)";
  throw new TypeError(sentence(action, rule, { gpu }));
}

/**
 * A GPU device and what it can do: limits, features and WGSL dialect, decided once.
 *
 * Runtimes drop errors silently that no error scope catches. Here each is printed once, and has an owner:
 *
 * - What a call of the library submits (`attend`, `forward`, {@linkcode Gpu.guard}) is watched: an error in it rejects that call
 *   and no other.
 * - What you encode by the library and submit yourself is not: WebGPU does not say which work an error outside of scopes comes
 *   from. It reaches downloads of what such work writes, and work that reads that, if the work was encoded since the last
 *   wait, be it theirs or another caller's. An error scope around the encoding would hear nothing, as WebGPU tells what it
 *   refuses of it no earlier than in `finish` and `submit`; so submit within {@linkcode Gpu.guard} where several callers share
 *   a device.
 * - An error of your own calls to WebGPU, while there is no such work, reaches the next download of each tensor but those that
 *   watched work wrote last.
 * - {@linkcode Gpu.settled} and {@linkcode Gpu.throwIfFailed} ask for the device as a whole: they throw what no call has thrown.
 *
 * Once the device is lost, by `destroy()` or by itself, every call throws a `DeviceLostError`, and whoever waits gets it.
 *
 * @example
 * ```ts
 * import { Gpu } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * console.log(gpu.description.description, gpu.features);
 * gpu.destroy();
 * ```
 */
export class Gpu {
  static readonly #known = new WeakMap<GPUDevice, Promise<Gpu>>();
  /** Kept from being collected: npm's `webgpu` crashes where its GPU object goes before a device does. */
  static readonly #sources = new WeakMap<GPUDevice, GPU>();

  /** The WebGPU device: yours to use for everything else. */
  readonly device: GPUDevice;
  /** What it can do beyond plain WebGPU. */
  readonly features: Readonly<GpuFeatures>;
  /** The WGSL its compiler takes. */
  readonly dialect: Readonly<WgslDialect>;
  /** What it calls itself. */
  readonly description: Readonly<GpuDescription>;
  /** What planning for it needs to know beside its limits. */
  readonly profile: Readonly<DeviceProfile>;

  private constructor(
    device: GPUDevice,
    info: GPUAdapterInfo,
    { mustEnable, subgroupSize }: Probed,
  ) {
    this.device = device;
    this.dialect = { enableSubgroups: mustEnable };
    const matrix = matrixBlockOf(device, info, subgroupSize);
    this.features = {
      f16: device.features.has("shader-f16"),
      subgroups: subgroupSize > 0,
      timestamps: device.features.has("timestamp-query"),
      matrixUnits: matrix !== undefined,
    };
    this.description = describe(device.adapterInfo);
    const { isSoftware } = this.description;
    const longLoads = isSoftware && device.features.has(LONG_INTEGERS);
    this.profile = { isSoftware, subgroupSize, longLoads, ...(matrix && { matrix }) };
    // From here on it hears of errors.
    refusalsOf(device);
  }

  /**
   * Opens a device with the adapter's own limits, and with f16, subgroups, timestamps and matrix units where they can be had.
   *
   * @param options Which adapter to prefer, and where adapters come from.
   * @returns The opened device. Destroy it with {@linkcode Gpu.destroy}.
   * @throws {TypeError} If `gpu` has no adapters to give, or an option is of the wrong kind.
   * @throws {GpuUnavailableError} If there is no WebGPU, no adapter, the adapter gives no device, or the device does not
   * compute.
   *
   * @example A small GPU beside a large one
   * ```ts
   * import { Gpu, GpuUnavailableError } from "@onehead/attention";
   *
   * try {
   *   const gpu = await Gpu.open({ powerPreference: "low-power" });
   *   console.log(gpu.device.limits.maxStorageBufferBindingSize); // bytes
   *   gpu.destroy();
   * } catch (error) {
   *   if (!(error instanceof GpuUnavailableError)) throw error;
   *   console.log(error.message); // what to install
   * }
   * ```
   *
   * @example In Node, with the npm package webgpu
   * ```ts ignore
   * import { create } from "webgpu";
   * import { Gpu } from "@onehead/attention";
   *
   * const gpu = await Gpu.open({ gpu: create([]) });
   * ```
   */
  static async open(options: GpuOptions = {}): Promise<Gpu> {
    checkObject(OPEN, "options", options);
    const { powerPreference = "high-performance", gpu = globalThis.navigator?.gpu } = options;
    checkChoice(OPEN, "powerPreference", powerPreference, ["high-performance", "low-power"]);
    if (gpu === undefined) {
      throw new GpuUnavailableError(
        "Cannot open a GPU as this runtime has no WebGPU (navigator.gpu): use Deno 2, a current browser, or Node with the npm package webgpu (Gpu.open({ gpu: create([]) }))",
      );
    }
    if (typeof gpu?.requestAdapter !== "function") {
      throw new TypeError(sentence(OPEN, "gpu must be a GPU object of WebGPU", { gpu }));
    }
    const adapter = await gpu.requestAdapter({ powerPreference });
    if (!adapter) {
      throw new GpuUnavailableError(
        `Cannot open a GPU as there is no adapter: ${INSTALL_HINT}; ${REFUSED_HINT}`,
      );
    }
    const device = await requestDevice(adapter);
    Gpu.#sources.set(device, gpu);
    try {
      return await Gpu.#of(device, adapter.info);
    } catch (error) {
      device.destroy();
      throw error;
    }
  }

  /**
   * Takes a device that the caller brings. It stays the caller's: all that is added is that its `destroy` tells this `Gpu`.
   *
   * @param device Any WebGPU device; what was not requested with it is not used.
   * @returns The same `Gpu` for the same device, so that pipelines are compiled once per device.
   * @throws {TypeError} If it is no device of WebGPU.
   * @throws {GpuUnavailableError} If the device takes work and does nothing, as the null backend of Dawn does.
   * @throws {DeviceLostError} If the device is lost.
   *
   * @example A device of your own
   * ```ts
   * import { Gpu } from "@onehead/attention";
   *
   * const adapter = await navigator.gpu.requestAdapter();
   * const device = await adapter!.requestDevice();
   * const gpu = await Gpu.from(device);
   * console.log(gpu === await Gpu.from(device), gpu.features); // true { f16: false, ... }: nothing was requested
   * gpu.destroy();
   * ```
   */
  static async from(device: GPUDevice): Promise<Gpu> {
    checkObject("use a GPU device", "device", device);
    if (typeof device.createCommandEncoder !== "function") {
      const rule = "device must be a GPUDevice of WebGPU";
      throw new TypeError(sentence("use a GPU device", rule, { device }));
    }
    const gpu = await Gpu.#of(device, device.adapterInfo);
    gpu.throwIfLost();
    return gpu;
  }

  /** Of the adapter, as npm's `webgpu` lists matrix units there alone. */
  static #of(device: GPUDevice, info: GPUAdapterInfo): Promise<Gpu> {
    let gpu = Gpu.#known.get(device);
    if (gpu === undefined) {
      gpu = Gpu.#probed(device, info);
      Gpu.#known.set(device, gpu);
    }
    return gpu;
  }

  static async #probed(device: GPUDevice, info: GPUAdapterInfo): Promise<Gpu> {
    const probed = await probe(device);
    if (!probed.computes) {
      const { description } = describe(device.adapterInfo);
      throw new GpuUnavailableError(
        `Cannot use the GPU device as the adapter "${description}" takes work and does nothing: ${INSTALL_HINT}`,
      );
    }
    return new Gpu(device, info, probed);
  }

  /**
   * Throws what has gone wrong on the device since it was last asked.
   *
   * @throws {DeviceLostError} If the device is lost.
   * @throws {GpuWorkError} If the GPU refused some work.
   *
   * @example
   * ```ts
   * import { Gpu } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * gpu.throwIfFailed(); // nothing has gone wrong so far
   * gpu.destroy();
   * try {
   *   gpu.throwIfFailed();
   * } catch (error) {
   *   console.log((error as Error).name); // DeviceLostError
   * }
   * ```
   */
  throwIfFailed(): void {
    this.throwIfLost();
    refusalsOf(this.device).throwIfUntold("trust the results");
  }

  /**
   * Throws if the device is lost.
   *
   * @throws {DeviceLostError} If the device is lost.
   *
   * @example
   * ```ts
   * import { DeviceLostError, Gpu } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * gpu.device.destroy();
   * try {
   *   gpu.throwIfLost();
   * } catch (error) {
   *   console.log(error instanceof DeviceLostError); // true
   * }
   * ```
   */
  throwIfLost(): void {
    lossOf(this.device).throwIfLost();
  }

  /**
   * Waits for something that the device is to bring, and for nothing if the device is lost.
   *
   * @param pending A promise of WebGPU, such as that of `mapAsync`, of this or another realm.
   * @returns What it resolved to.
   * @throws {TypeError} If it is no promise.
   * @throws {DeviceLostError} If the device is lost before.
   *
   * @example A readback that ends also where the device is lost
   * ```ts
   * import { Gpu } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const { MAP_READ, COPY_DST } = GPUBufferUsage;
   * const buffer = gpu.device.createBuffer({ size: 16, usage: MAP_READ | COPY_DST });
   * await gpu.waitFor(buffer.mapAsync(GPUMapMode.READ));
   * console.log(new Float32Array(buffer.getMappedRange())); // [0, 0, 0, 0]
   * gpu.destroy();
   * ```
   */
  async waitFor<Value>(pending: PromiseLike<Value>): Promise<Value> {
    // Those of frames, of contexts of Node's vm and of libraries that replace promises are instances of another class.
    if (typeof pending?.then !== "function") {
      throw new TypeError(
        sentence("wait for the GPU", "pending must be a promise", { pending }),
      );
    }
    return await lossOf(this.device).waitFor(Promise.resolve(pending));
  }

  /**
   * Waits until the GPU has done everything that was submitted.
   *
   * @returns When it is done.
   * @throws {DeviceLostError} If the device is lost.
   * @throws {GpuWorkError} If the GPU refused some work, and no call has thrown that.
   *
   * @example
   * ```ts
   * import { Gpu } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * gpu.device.queue.submit([gpu.device.createCommandEncoder().finish()]);
   * await gpu.settled(); // done, and nothing was refused
   * gpu.destroy();
   * ```
   */
  async settled(): Promise<void> {
    this.throwIfLost();
    const waited = refusalsOf(this.device).beforeWait();
    await this.waitFor(this.device.queue.onSubmittedWorkDone());
    waited();
    this.throwIfFailed();
  }

  /**
   * Creates GPU objects, or encodes and submits work, under error scopes.
   *
   * @param action What is being done, for the message: "allocate a cache".
   * @param create Does it; only what it does before it returns is watched.
   * @returns What `create` returned.
   * @throws {TypeError} If `action` is no string, or `create` no function.
   * @throws {GpuWorkError} If WebGPU refused it.
   * @throws {DeviceLostError} If the device is lost.
   *
   * @example
   * ```ts
   * import { Gpu } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const usage = GPUBufferUsage.STORAGE;
   * try {
   *   const size = gpu.device.limits.maxBufferSize + 4;
   *   await gpu.guard("allocate too much", () => gpu.device.createBuffer({ size, usage }));
   * } catch (error) {
   *   console.log((error as Error).name); // GpuWorkError
   * }
   * gpu.destroy();
   * ```
   */
  async guard<Value>(action: string, create: () => Value): Promise<Value> {
    checkString("guard work on the GPU", "action", action);
    checkFunction("guard work on the GPU", "create", create);
    const { device } = this;
    this.throwIfLost();
    device.pushErrorScope("out-of-memory");
    device.pushErrorScope("validation");
    // Scopes are a stack: both are popped before anything else on the device can run.
    const { outcome: created, refuse } = refusalsOf(device).watch(() => attempt(create));
    const scopes = Promise.all([device.popErrorScope(), device.popErrorScope()]);
    const error = (await this.waitFor(scopes)).find((error) => error !== null);
    if (error) {
      // What `create` threw may only be what WebGPU's refusal led to.
      refuse(error.message);
      throw new GpuWorkError(
        cutMessage(`Cannot ${action} as WebGPU refused it: ${error.message}`),
      );
    }
    if ("thrown" in created) throw await lossOf(device).causeOf(created.thrown);
    return created.value;
  }

  /**
   * Bytes of the textures that attentions and their gradients read on a software adapter; 0 on a GPU. All that are alike on the
   * device share them, and the last one that is destroyed frees them: they are at most the textures of every plan, once.
   *
   * @example
   * ```ts
   * import { Attention, Gpu } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const spec = { numHeads: 8, headDim: 64, seqLen: 256, capacity: 256 };
   * const attentions = [await Attention.create(gpu, spec), await Attention.create(gpu, spec)];
   * console.log(gpu.textureBytes); // on a software adapter 1572864, as of one of them
   * for (const attention of attentions) attention.destroy();
   * console.log(gpu.textureBytes); // 0
   * gpu.destroy();
   * ```
   */
  get textureBytes(): number {
    return textureBytesOf(this.device);
  }

  /**
   * Lets go of all compiled kernels that no attention, cache, layer or decoder holds, as after a model was destroyed. The
   * runtime frees them when it collects garbage; what needs one again compiles it anew. Without this, the last 64 are kept.
   *
   * @example
   * ```ts
   * import { Attention, Gpu } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * for (const headDim of [32, 64]) {
   *   const attention = await Attention.create(gpu, { numHeads: 8, headDim, capacity: 128 });
   *   attention.destroy();
   * }
   * gpu.trim();
   * gpu.destroy();
   * ```
   */
  trim(): void {
    forgetKernels(this.device);
  }

  /** Destroys the device and everything on it. Whoever waits gets a `DeviceLostError`. */
  destroy(): void {
    this.device.destroy();
  }
}

function attempt<Value>(create: () => Value): { value: Value } | { thrown: unknown } {
  try {
    return { value: create() };
  } catch (thrown) {
    return { thrown };
  }
}

async function requestDevice(adapter: GPUAdapter): Promise<GPUDevice> {
  const requiredLimits: Record<string, number> = {};
  for (const name in adapter.limits) {
    const value = adapter.limits[name as keyof GPUSupportedLimits];
    if (typeof value === "number") requiredLimits[name] = value;
  }
  const listed = (["shader-f16", "timestamp-query", MATRIX_FEATURE] as const).filter((name) =>
    adapter.features.has(name)
  );
  // Deno grants these without listing them, so they are asked for, and done without where refused.
  const unlisted: GPUFeatureName[] = describe(adapter.info).isSoftware
    ? ["subgroups", LONG_INTEGERS]
    : ["subgroups"];
  for (let asked = unlisted.length;; asked--) {
    const requiredFeatures = [...listed, ...unlisted.slice(0, asked)];
    try {
      return await adapter.requestDevice({ requiredFeatures, requiredLimits });
    } catch (error) {
      if (asked > 0) continue;
      throw new GpuUnavailableError(
        `Cannot open a GPU as the adapter "${adapter.info.description}" gave no device: ${
          (error as Error).message
        }`,
      );
    }
  }
}

function describe(info: GPUAdapterInfo): GpuDescription {
  const { description, vendor, architecture, device } = info;
  return {
    description: description || [vendor, architecture, device].filter(Boolean).join(" "),
    vendor,
    architecture,
    isSoftware: info.isFallbackAdapter ||
      /llvmpipe|swiftshader|software|basic render/i.test(`${description} ${architecture}`),
  };
}
