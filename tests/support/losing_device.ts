// Devices that are lost at a moment of one's choice.
import { Gpu } from "../../mod.ts";

/** A device that is lost at a moment: once a wait has begun, after it, or before a call. */
export interface LosingGpu {
  gpu: Gpu;
  /** Counts moments from now on; at the one of this number, the first being 0, the device is destroyed. */
  start(moment: number): void;
  /** Moments that have passed since. */
  readonly passed: number;
}

/** How a device is lost. */
export interface Loss {
  /** When: around waits for the device, or also before calls. */
  moments: "waits" | "calls";
  /** By `destroy()`, or without it, as where a driver fails: then the runtime tells it late. */
  by: "destroy" | "itself";
}

const CALLS = [
  "createBuffer",
  "createBindGroup",
  "createBindGroupLayout",
  "createCommandEncoder",
  "createPipelineLayout",
  "createShaderModule",
  "pushErrorScope",
] as const;

/** Opens a device of its own. Destroy its `gpu`. */
export async function openLosing({ moments, by }: Loss): Promise<LosingGpu> {
  const gpu = await Gpu.open();
  const { device } = gpu;
  const lose = () => by === "destroy" ? device.destroy() : GPUDevice.prototype.destroy.call(device);
  let [passed, last] = [0, Infinity];
  const moment = () => {
    if (passed++ === last) lose();
  };
  const around = (target: object, name: string) => {
    const methods = target as Record<string, (...args: unknown[]) => Promise<unknown>>;
    const method = methods[name].bind(target);
    methods[name] = async (...args) => {
      const pending = method(...args);
      moment();
      const value = await pending;
      moment();
      return value;
    };
  };
  const before = (target: object, name: string) => {
    const methods = target as Record<string, (...args: unknown[]) => unknown>;
    const method = methods[name].bind(target);
    methods[name] = (...args) => {
      if (moments === "calls") moment();
      return method(...args);
    };
  };
  for (const name of CALLS) before(device, name);
  for (const name of ["submit", "writeBuffer"]) before(device.queue, name);
  for (const name of ["popErrorScope", "createComputePipelineAsync"]) around(device, name);
  around(device.queue, "onSubmittedWorkDone");
  const createBuffer = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = createBuffer(descriptor);
    around(buffer, "mapAsync");
    return buffer;
  };
  return {
    gpu,
    start(moment) {
      [passed, last] = [0, moment];
    },
    get passed() {
      return passed;
    },
  };
}
