/** The times of the kernels that a process hands to its GPU, whichever system does it. */
import { MAP_READ, USAGE } from "../../src/gpu/usage.ts";

/** All dispatches of one kernel together. */
export interface KernelTime {
  /** The label of its pipeline; of one without, its number in the process. */
  name: string;
  milliseconds: number;
  dispatches: number;
}

/** Dispatches whose times fit one query set: each has a beginning and an end, and WebGPU grants a set 4,096 queries. */
const DISPATCHES_PER_SET = 2048;

/** A query set, the buffer that its times go to, and the kernels that have a place in it. */
interface Page {
  querySet: GPUQuerySet;
  resolved: GPUBuffer;
  names: string[];
}

/**
 * Devices of this process are opened with timestamps from now on, where their adapters grant them, and the clock can be let
 * run: each dispatch then has a pass of its own, with timestamps around it.
 */
export class KernelClock {
  #isRunning = false;
  readonly #pages = new Map<GPUDevice, Page[]>();
  readonly #devices = new WeakMap<GPUCommandEncoder, GPUDevice>();
  readonly #unlabelled = new Map<GPUComputePipeline, string>();

  constructor() {
    // deno-lint-ignore no-this-alias
    const clock = this;
    const { requestDevice } = GPUAdapter.prototype;
    GPUAdapter.prototype.requestDevice = function (descriptor = {}) {
      const requiredFeatures = new Set(descriptor.requiredFeatures);
      if (this.features.has("timestamp-query")) requiredFeatures.add("timestamp-query");
      return requestDevice.call(this, { ...descriptor, requiredFeatures: [...requiredFeatures] });
    };
    const { createCommandEncoder } = GPUDevice.prototype;
    GPUDevice.prototype.createCommandEncoder = function (...given) {
      const encoder = createCommandEncoder.apply(this, given);
      clock.#devices.set(encoder, this);
      return encoder;
    };
    const { beginComputePass } = GPUCommandEncoder.prototype;
    GPUCommandEncoder.prototype.beginComputePass = function (descriptor) {
      const device = clock.#devices.get(this);
      if (!clock.#isRunning || !device?.features.has("timestamp-query")) {
        return beginComputePass.call(this, descriptor);
      }
      return timedPass((pipeline) =>
        beginComputePass.call(this, {
          timestampWrites: clock.#place(device, clock.#nameOf(pipeline)),
        })
      );
    };
  }

  /** Lets the clock run: what is encoded from now on is timed. */
  start(): void {
    this.#isRunning = true;
  }

  /**
   * Stops the clock, once all that was encoded has been submitted.
   *
   * @returns The kernels since it started, the longest first; null where no device has timestamps, or nothing was dispatched.
   */
  async stop(): Promise<KernelTime[] | null> {
    this.#isRunning = false;
    const times = new Map<string, KernelTime>();
    for (const [device, pages] of this.#pages) {
      for (const page of pages) {
        const stamps = await read(device, page);
        for (const [i, name] of page.names.entries()) {
          const time = times.get(name) ?? { name, milliseconds: 0, dispatches: 0 };
          time.milliseconds += Number(stamps[2 * i + 1] - stamps[2 * i]) / 1e6;
          time.dispatches++;
          times.set(name, time);
        }
      }
    }
    this.#pages.clear();
    if (times.size === 0) return null;
    return [...times.values()].sort((a, b) => b.milliseconds - a.milliseconds);
  }

  #nameOf(pipeline: GPUComputePipeline): string {
    if (pipeline.label !== "") return pipeline.label;
    const name = this.#unlabelled.get(pipeline) ?? `unlabelled ${this.#unlabelled.size + 1}`;
    this.#unlabelled.set(pipeline, name);
    return name;
  }

  /** The place of the times of one more dispatch. */
  #place(device: GPUDevice, name: string): GPUComputePassTimestampWrites {
    const pages = this.#pages.get(device) ?? [];
    this.#pages.set(device, pages);
    let page = pages.at(-1);
    if (!page || page.names.length === DISPATCHES_PER_SET) {
      const count = 2 * DISPATCHES_PER_SET;
      page = {
        querySet: device.createQuerySet({ type: "timestamp", count }),
        resolved: device.createBuffer({
          ...{ size: 8 * count, usage: USAGE.queryResolve | USAGE.copySrc },
        }),
        names: [],
      };
      pages.push(page);
    }
    const beginningOfPassWriteIndex = 2 * page.names.length;
    page.names.push(name);
    return {
      querySet: page.querySet,
      ...{ beginningOfPassWriteIndex, endOfPassWriteIndex: beginningOfPassWriteIndex + 1 },
    };
  }
}

/** A pass that keeps what is set, and begins one of its own for each dispatch. */
function timedPass(
  begin: (pipeline: GPUComputePipeline) => GPUComputePassEncoder,
): GPUComputePassEncoder {
  let pipeline: GPUComputePipeline;
  const groups = new Map<number, unknown[]>();
  const dispatch = (encode: (pass: GPUComputePassEncoder) => void): undefined => {
    const pass = begin(pipeline);
    pass.setPipeline(pipeline);
    for (const given of groups.values()) {
      pass.setBindGroup(...given as Parameters<GPUComputePassEncoder["setBindGroup"]>);
    }
    encode(pass);
    pass.end();
  };
  const own: Partial<GPUComputePassEncoder> = {
    setPipeline: (given) => void (pipeline = given),
    setBindGroup: (...given: [number, ...unknown[]]) => void groups.set(given[0], given),
    dispatchWorkgroups: (...given) => dispatch((pass) => pass.dispatchWorkgroups(...given)),
    dispatchWorkgroupsIndirect: (...given) =>
      dispatch((pass) => pass.dispatchWorkgroupsIndirect(...given)),
    ...{ end() {}, pushDebugGroup() {}, popDebugGroup() {}, insertDebugMarker() {} },
  };
  return Object.assign(Object.create(GPUComputePassEncoder.prototype), own);
}

/** The times of a page, in nanoseconds; the page is destroyed. */
async function read(
  device: GPUDevice,
  { querySet, resolved, names }: Page,
): Promise<BigUint64Array> {
  const size = 16 * names.length;
  const staging = device.createBuffer({ size, usage: USAGE.mapRead | USAGE.copyDst });
  const encoder = device.createCommandEncoder();
  encoder.resolveQuerySet(querySet, 0, 2 * names.length, resolved, 0);
  encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(MAP_READ);
  const stamps = new BigUint64Array(staging.getMappedRange().slice(0));
  for (const gone of [querySet, resolved, staging]) gone.destroy();
  return stamps;
}
