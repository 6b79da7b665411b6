/** The work that a process hands to its GPU, whichever system does it. */

/** Counts of calls. */
export interface GpuWork {
  /** Kernels that were dispatched. */
  dispatches: number;
  /** Batches of commands that were submitted. */
  submits: number;
  /** Buffers that were mapped, and waits for the queue. */
  waits: number;
}

/** Counts from now on; the counts of all devices of this process together, as they are when it is called. */
export function countGpuWork(): () => GpuWork {
  const work: GpuWork = { dispatches: 0, submits: 0, waits: 0 };
  count(GPUComputePassEncoder.prototype, "dispatchWorkgroups", () => work.dispatches++);
  count(GPUComputePassEncoder.prototype, "dispatchWorkgroupsIndirect", () => work.dispatches++);
  count(GPUQueue.prototype, "submit", () => work.submits++);
  count(GPUQueue.prototype, "onSubmittedWorkDone", () => work.waits++);
  count(GPUBuffer.prototype, "mapAsync", () => work.waits++);
  return () => ({ ...work });
}

/** The work between two counts. */
export function workBetween(before: GpuWork, after: GpuWork): GpuWork {
  return {
    dispatches: after.dispatches - before.dispatches,
    submits: after.submits - before.submits,
    waits: after.waits - before.waits,
  };
}

function count<Name extends string>(
  // deno-lint-ignore no-explicit-any
  prototype: { [name in Name]: (...args: any[]) => unknown },
  name: Name,
  called: () => void,
): void {
  const original = prototype[name];
  prototype[name] = function (this: unknown, ...args: unknown[]) {
    called();
    return original.apply(this, args);
  };
}
