import { sentence } from "../base/check.ts";
import { lossOf } from "./loss.ts";
import { refusalsOf } from "./refusals.ts";

/** Numbers of workgroups along x, y and z. */
export type Grid = readonly [x: number, y: number, z?: number];

/** A workgroup for each row, in as many lines as the device needs. */
export function gridOfRows(numRows: number, most: number): Grid {
  const width = Math.min(numRows, most);
  return [width, Math.ceil(numRows / width)];
}

/** A compiled kernel: the same object wherever the same kernel runs. */
export interface CompiledKernel {
  /** Its name, e.g. "attend". */
  readonly label: string;
  /** Milliseconds until its pipeline was created. */
  readonly pipelineMs: number;
}

/** One run of a kernel: its pipeline, its buffers and its grid. */
export interface Dispatch {
  /** The kernel that runs. */
  readonly kernel: CompiledKernel;
  /** Numbers of workgroups along x, y and z. */
  readonly grid: Grid;
  /**
   * Sets pipeline and bind group, and dispatches.
   *
   * @param pass The compute pass to encode into.
   */
  encode(pass: GPUComputePassEncoder): void;
}

/**
 * Work whose tensors are bound: checked once, and encoded as often as one likes, without planning, checking or binding
 * anew. What a replay reads and writes is in the same tensors; how far it reads follows the lengths on the GPU.
 */
export interface BoundWork {
  /** The dispatches of one encoding, in order. */
  readonly dispatches: readonly Dispatch[];
  /**
   * Encodes the work once.
   *
   * @param target The encoder or compute pass to encode into; nothing is submitted. WebGPU does not say of one whether it has
   * ended, or of which device it is: what it refuses of these shows no earlier than the work is finished and submitted. Submit
   * within `gpu.guard` where other callers submit to the device, so that each is told of its own work alone.
   * @throws {TypeError} If the target is neither. Nothing is encoded or counted.
   * @throws {RangeError} If a cache is empty, or would lose or has lost tokens that its rules keep. Nothing is encoded or
   * counted.
   * @throws {GpuWorkError} If something that it reads was to be written by work that the GPU refused.
   * @throws {DeviceLostError} If the device is lost.
   */
  encode(target: GPUCommandEncoder | GPUComputePassEncoder): void;
}

/** The buffers of a dispatch on a device. */
export interface Access {
  device: GPUDevice;
  reads: readonly GPUBuffer[];
  writes: readonly GPUBuffer[];
}

const accesses = new WeakMap<Dispatch, Access>();

/** Remembers the buffers of a dispatch, for the work that it becomes part of. */
export function withAccess(dispatch: Dispatch, access: Access): Dispatch {
  accesses.set(dispatch, access);
  return dispatch;
}

/** Buffers that the dispatches read before any of them writes them, and those that they write. */
function accessOf(dispatches: readonly Dispatch[]): Access | undefined {
  const all = dispatches.flatMap((dispatch) => accesses.get(dispatch) ?? []);
  const [reads, writes] = [new Set<GPUBuffer>(), new Set<GPUBuffer>()];
  for (const access of all) {
    for (const buffer of access.reads) if (!writes.has(buffer)) reads.add(buffer);
    for (const buffer of access.writes) writes.add(buffer);
  }
  return all.length > 0
    ? { device: all[0].device, reads: [...reads], writes: [...writes] }
    : undefined;
}

/**
 * The host's work before one encoding: it checks what must hold, and counts what the device will do. Returns a function that
 * takes the counting back, if something is counted.
 */
type Count = () => (() => void) | undefined;

/** The counting of each work. */
const counts = new WeakMap<BoundWork, Count>();

/** Binds dispatches, and what the host counts of them. */
export function boundWork(
  dispatches: readonly Dispatch[],
  count: Count = () => undefined,
): BoundWork {
  const access = accessOf(dispatches);
  const work: BoundWork = {
    dispatches,
    encode(target) {
      checkTarget(target);
      if (access) checkAccess(access);
      const takeBack = count();
      try {
        inPass(target, (pass) => {
          for (const dispatch of dispatches) dispatch.encode(pass);
        });
        if (access) refusalsOf(access.device).wrote(access.writes);
      } catch (error) {
        takeBack?.();
        throw error;
      }
    },
  };
  counts.set(work, count);
  return work;
}

/** Work that runs one after the other, as one: all of it is checked and counted before any is encoded. */
export function inSequence(works: readonly BoundWork[]): BoundWork {
  const countAll = () => {
    const counted: ((() => void) | undefined)[] = [];
    const takeBack = () => {
      while (counted.length > 0) counted.pop()?.();
    };
    try {
      for (const work of works) counted.push(counts.get(work)?.());
    } catch (error) {
      takeBack();
      throw error;
    }
    return takeBack;
  };
  return boundWork(works.flatMap(({ dispatches }) => dispatches), countAll);
}

/** Encodes into the caller's compute pass, or into one of its own where the caller gives an encoder. */
export function inPass(
  target: GPUCommandEncoder | GPUComputePassEncoder,
  encode: (pass: GPUComputePassEncoder) => void,
): void {
  checkTarget(target);
  if (!("beginComputePass" in target)) return encode(target);
  const pass = target.beginComputePass();
  try {
    encode(pass);
  } finally {
    pass.end();
  }
}

/** Throws if the device is lost, or something that is read was to be written by work that was refused. */
function checkAccess({ device, reads }: Access): void {
  lossOf(device).throwIfLost();
  const rule = "the GPU refused work that was to write what it reads";
  refusalsOf(device).throwIfRefused("encode work", rule, reads);
}

/** Throws a `TypeError` unless dispatches can be encoded into the target. */
function checkTarget(target: unknown): void {
  const methods = target as Partial<GPUCommandEncoder & GPUComputePassEncoder> | null | undefined;
  if (methods?.beginComputePass || methods?.dispatchWorkgroups) return;
  throw new TypeError(
    sentence("encode work", "target must be a GPUCommandEncoder or a GPUComputePassEncoder", {
      target,
    }),
  );
}

/** Throws a `TypeError` unless the target takes copies, as a compute pass does not. */
export function checkEncoder(action: string, encoder: unknown): void {
  const methods = encoder as Partial<GPUCommandEncoder> | null | undefined;
  if (methods?.copyBufferToBuffer) return;
  throw new TypeError(
    sentence(action, "encoder must be a GPUCommandEncoder (end the pass before)", { encoder }),
  );
}
