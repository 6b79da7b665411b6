import { cutMessage } from "../base/excerpt.ts";
import { sentence } from "../base/check.ts";
import { type CompiledKernel, type Dispatch, type Grid, withAccess } from "./bound_work.ts";
import type { Gpu } from "./device.ts";
import { GpuWorkError } from "../base/errors.ts";
import { canBeUniform, TEXTURE_FORMAT, USAGE } from "./usage.ts";
import { keptKernel } from "./kernel_cache.ts";
import {
  type BindingType,
  compose,
  type ComposedModule,
  type WgslBinding,
  type WgslModule,
} from "./compose.ts";
import { bytesOf, type Layout, uniformLayout, type UniformValues } from "./host_layout.ts";

const STAGE_COMPUTE = 0x4;

/** Buffers by the names of the kernels' variables. */
export type Buffers = Readonly<Record<string, GPUBuffer>>;

/** Bytes of a buffer that are bound without the others. */
export interface BufferRange {
  buffer: GPUBuffer;
  /** A multiple of what the device asks for. */
  offset: number;
  size: number;
}

/** What a variable of a kernel binds. */
export type Bindable = GPUBuffer | BufferRange | GPUTexture;

/** The entry of a binding in the layout of its group. */
function layoutEntry({ binding, type }: WgslBinding): GPUBindGroupLayoutEntry {
  const entry = { binding, visibility: STAGE_COMPUTE };
  if (type === "texture") return { ...entry, texture: { sampleType: "unfilterable-float" } };
  if (type === "storage-texture") {
    return { ...entry, storageTexture: { access: "write-only", format: TEXTURE_FORMAT } };
  }
  return { ...entry, buffer: { type } };
}

/** Throws if a kernel reads and writes more buffers than the device binds at once. */
function checkBindings(gpu: Gpu, label: string, bindings: readonly WgslBinding[]): void {
  const { maxStorageBuffersPerShaderStage } = gpu.device.limits;
  const storageBuffers = bindings.filter(({ type }) => type.endsWith("storage")).length;
  if (storageBuffers > maxStorageBuffersPerShaderStage) {
    throw new RangeError(
      sentence(
        `compile ${label}`,
        "the device binds fewer buffers at once (ask for fewer of bias, mask, outputs and tensors of scoreMod and maskMod)",
        { storageBuffers, maxStorageBuffersPerShaderStage },
      ),
    );
  }
}

/** Throws where a buffer that others have made is read as a uniform and cannot be. */
function checkUniform(
  label: string,
  name: string,
  type: BindingType,
  buffer: GPUBuffer,
): void {
  if (type !== "uniform" || canBeUniform(buffer)) return;
  const rule = `${name} must be a buffer that can be bound as a uniform, whose loads are the ` +
    "cheapest of software (make it with usage UNIFORM too)";
  throw new TypeError(sentence(`run ${label}`, rule, { usage: buffer.usage }));
}

/** Throws if a grid is larger than the device's: what WebGPU would refuse when it is submitted. */
function checkGrid(gpu: Gpu, label: string, grid: Grid): void {
  const { maxComputeWorkgroupsPerDimension } = gpu.device.limits;
  if (grid.every((size = 1) => size <= maxComputeWorkgroupsPerDimension)) return;
  throw new RangeError(
    sentence(`run ${label}`, "the grid must fit the device (use fewer tokens at once)", {
      grid,
      maxComputeWorkgroupsPerDimension,
    }),
  );
}

/**
 * A compiled compute kernel whose bindings go by the names in its WGSL.
 *
 * Each source is compiled once per device, for as long as its kernel is kept.
 */
export class Kernel implements CompiledKernel {
  readonly label: string;
  readonly pipelineMs: number;
  readonly #gpu: Gpu;
  readonly #pipeline: GPUComputePipeline;
  readonly #layout: GPUBindGroupLayout;
  readonly #module: ComposedModule;
  #params: Layout | undefined;

  private constructor(
    gpu: Gpu,
    label: string,
    pipelineMs: number,
    pipeline: GPUComputePipeline,
    layout: GPUBindGroupLayout,
    module: ComposedModule,
  ) {
    this.label = label;
    this.pipelineMs = pipelineMs;
    this.#gpu = gpu;
    this.#pipeline = pipeline;
    this.#layout = layout;
    this.#module = module;
  }

  static async compile(gpu: Gpu, module: WgslModule): Promise<Kernel> {
    const composed = compose(module, gpu.dialect);
    const compile = () => Kernel.#compile(gpu, module.label, composed);
    return await keptKernel(gpu.device, composed.code, compile);
  }

  static async #compile(gpu: Gpu, label: string, composed: ComposedModule): Promise<Kernel> {
    const { device } = gpu;
    const { code, bindings } = composed;
    const start = performance.now();
    checkBindings(gpu, label, bindings);
    const { module, layout, pipelineLayout } = await gpu.guard(`compile ${label}`, () => {
      const module = device.createShaderModule({ label, code });
      const entries = bindings.map(layoutEntry);
      const layout = device.createBindGroupLayout({ label, entries });
      const pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [layout] });
      return { module, layout, pipelineLayout };
    });
    const compute = { module, entryPoint: "main" };
    const pending = device.createComputePipelineAsync({ label, layout: pipelineLayout, compute })
      .catch((error: Error) => {
        throw new GpuWorkError(
          cutMessage(`Cannot compile ${label} as WebGPU refused it: ${error.message}`),
        );
      });
    const pipeline = await gpu.waitFor(pending);
    return new Kernel(gpu, label, performance.now() - start, pipeline, layout, composed);
  }

  /**
   * A uniform buffer that holds the kernel's `params` with these values.
   *
   * @throws {TypeError} If a value is missing or of the wrong kind.
   * @throws {RangeError} If a number is none of its type, or a list is too long or too short.
   */
  uniform(values: UniformValues): GPUBuffer {
    const layout = this.#params ??= uniformLayout(this.#module.code, "params");
    this.#gpu.throwIfLost();
    const bytes = bytesOf(`run ${this.label}`, "params", layout, values);
    const buffer = this.#gpu.device.createBuffer({
      label: `${this.label} params`,
      size: bytes.byteLength,
      usage: USAGE.uniform | USAGE.copyDst,
    });
    // Not mapped at creation, which throws an error of the runtime's own where the device is lost.
    this.#gpu.device.queue.writeBuffer(buffer, 0, bytes);
    return buffer;
  }

  /**
   * Binds buffers and textures by the names of the kernel's variables, for runs over a grid; names that it does not use are passed
   * over.
   *
   * @throws {TypeError} If a buffer or a texture is missing, or a buffer cannot be a uniform where the kernel reads one.
   * @throws {RangeError} If the grid is larger than the device's.
   * @throws {DeviceLostError} If the device is lost.
   */
  bind(buffers: Readonly<Record<string, Bindable>>, grid: Grid): Dispatch {
    const { device } = this.#gpu;
    this.#gpu.throwIfLost();
    checkGrid(this.#gpu, this.label, grid);
    const bound = this.#module.bindings.map(({ name, binding, type }) => {
      const given = buffers[name];
      if (!given) {
        const kind = type.endsWith("texture") ? "texture" : "buffer";
        throw new TypeError(`${this.label} needs a ${kind} for ${name}`);
      }
      if ("createView" in given) return { binding, type, resource: given.createView() };
      const resource = "buffer" in given ? given : { buffer: given };
      checkUniform(this.label, name, type, resource.buffer);
      return { binding, type, resource };
    });
    const entries = bound.map(({ binding, resource }) => ({ binding, resource }));
    const group = device.createBindGroup({ label: this.label, layout: this.#layout, entries });
    const ofType = (wanted: GPUBufferBindingType) =>
      bound.flatMap(({ type, resource }) =>
        type === wanted && "buffer" in resource ? [resource.buffer] : []
      );
    const encode = (pass: GPUComputePassEncoder) => {
      pass.setPipeline(this.#pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...grid);
    };
    return withAccess(
      { kernel: this, grid, encode },
      {
        ...{ device, writes: ofType("storage") },
        reads: [...ofType("read-only-storage"), ...ofType("uniform")],
      },
    );
  }
}
