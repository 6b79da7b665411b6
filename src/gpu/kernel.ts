import {
  makeBindGroupLayoutDescriptors,
  makeShaderDataDefinitions,
  makeStructuredView,
  type ShaderDataDefinitions,
} from "webgpu-utils";
import { sentence } from "../base/check.ts";
import { once } from "../base/once.ts";
import type { CompiledKernel, Dispatch, Grid } from "./bound_work.ts";
import type { Gpu } from "./device.ts";
import { GpuWorkError } from "../base/errors.ts";
import { USAGE } from "./usage.ts";
import { compose, declare, type WgslModule } from "./compose.ts";

/** Buffers by the names of the kernels' variables. */
export type Buffers = Readonly<Record<string, GPUBuffer>>;

/** Values of a uniform by the names of its members. */
export interface UniformValues {
  [name: string]: number | readonly number[] | UniformValues;
}

/** Throws if a kernel reads and writes more buffers than the device binds at once. */
function checkBindings(gpu: Gpu, label: string, entries: readonly GPUBindGroupLayoutEntry[]): void {
  const { maxStorageBuffersPerShaderStage } = gpu.device.limits;
  // What names no type is a uniform.
  const storageBuffers = entries.filter(({ buffer }) => buffer?.type?.includes("storage")).length;
  if (storageBuffers > maxStorageBuffersPerShaderStage) {
    throw new RangeError(
      sentence(
        `compile ${label}`,
        "the device binds fewer buffers at once (ask for fewer of bias, mask and outputs)",
        { storageBuffers, maxStorageBuffersPerShaderStage },
      ),
    );
  }
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

const compiled = new WeakMap<GPUDevice, Map<string, Promise<Kernel>>>();

/**
 * A compiled compute kernel whose bindings go by the names in its WGSL.
 *
 * Each source is compiled once per device; a failed compile is forgotten, so that it can be tried again.
 */
export class Kernel implements CompiledKernel {
  readonly label: string;
  readonly pipelineMs: number;
  readonly #gpu: Gpu;
  readonly #pipeline: GPUComputePipeline;
  readonly #layout: GPUBindGroupLayout;
  readonly #definitions: ShaderDataDefinitions;

  private constructor(
    gpu: Gpu,
    label: string,
    pipelineMs: number,
    pipeline: GPUComputePipeline,
    layout: GPUBindGroupLayout,
    definitions: ShaderDataDefinitions,
  ) {
    this.label = label;
    this.pipelineMs = pipelineMs;
    this.#gpu = gpu;
    this.#pipeline = pipeline;
    this.#layout = layout;
    this.#definitions = definitions;
  }

  static compile(gpu: Gpu, label: string, module: WgslModule): Promise<Kernel> {
    let cache = compiled.get(gpu.device);
    if (!cache) compiled.set(gpu.device, cache = new Map());
    const code = compose(module);
    return once(cache, code, () => Kernel.#compile(gpu, label, code, declare(module)));
  }

  static async #compile(
    gpu: Gpu,
    label: string,
    code: string,
    declarations: string,
  ): Promise<Kernel> {
    const { device } = gpu;
    const start = performance.now();
    const definitions = makeShaderDataDefinitions(declarations);
    const [group] = makeBindGroupLayoutDescriptors(definitions, {
      compute: { entryPoint: "main" },
    });
    checkBindings(gpu, label, [...group.entries]);
    const { module, layout, pipelineLayout } = await gpu.guard(`compile ${label}`, () => {
      const module = device.createShaderModule({ label, code });
      const layout = device.createBindGroupLayout({ ...group, label });
      const pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [layout] });
      return { module, layout, pipelineLayout };
    });
    const compute = { module, entryPoint: "main" };
    const pending = device.createComputePipelineAsync({ label, layout: pipelineLayout, compute })
      .catch((error: Error) => {
        throw new GpuWorkError(`Cannot compile ${label} as WebGPU refused it: ${error.message}`);
      });
    const pipeline = await gpu.waitFor(pending);
    return new Kernel(gpu, label, performance.now() - start, pipeline, layout, definitions);
  }

  /** A uniform buffer that holds the kernel's `params` with these values. */
  uniform(values: UniformValues): GPUBuffer {
    const view = makeStructuredView(this.#definitions.uniforms.params);
    const members = view.views as Record<string, unknown>;
    for (const name in members) {
      if (!(name in values)) throw new TypeError(`${this.label} needs a value for params.${name}`);
    }
    view.set(values);
    const buffer = this.#gpu.device.createBuffer({
      label: `${this.label} params`,
      size: view.arrayBuffer.byteLength,
      usage: USAGE.uniform | USAGE.copyDst,
    });
    // Not mapped at creation, which throws an error of the runtime's own where the device is lost.
    this.#gpu.device.queue.writeBuffer(buffer, 0, view.arrayBuffer);
    return buffer;
  }

  /**
   * Binds buffers by the names of the kernel's variables, for runs over a grid; names that it does not use are passed over.
   *
   * @throws {RangeError} If the grid is larger than the device's.
   */
  bind(buffers: Readonly<Record<string, GPUBuffer>>, grid: Grid): Dispatch {
    checkGrid(this.#gpu, this.label, grid);
    const { resources } = this.#definitions.entryPoints.main;
    const entries = resources.map(({ name, entry }) => {
      const buffer = buffers[name];
      if (!buffer) throw new TypeError(`${this.label} needs a buffer for ${name}`);
      return { binding: entry.binding, resource: { buffer } };
    });
    const bindings = this.#gpu.device.createBindGroup({
      label: this.label,
      layout: this.#layout,
      entries,
    });
    const encode = (pass: GPUComputePassEncoder) => {
      pass.setPipeline(this.#pipeline);
      pass.setBindGroup(0, bindings);
      pass.dispatchWorkgroups(...grid);
    };
    return { kernel: this, grid, encode };
  }
}
