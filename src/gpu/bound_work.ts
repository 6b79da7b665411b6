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
  /** What runs. */
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
  /** What one encoding dispatches, in order. */
  readonly dispatches: readonly Dispatch[];
  /**
   * Encodes the work once.
   *
   * @param target The encoder or compute pass to encode into; nothing is submitted.
   * @throws {RangeError} If a cache is empty, or would lose or has lost tokens that its rules keep.
   */
  encode(target: GPUCommandEncoder | GPUComputePassEncoder): void;
}

/** Binds dispatches to what must hold, or happen on the host, before each encoding. */
export function boundWork(dispatches: readonly Dispatch[], before = () => {}): BoundWork {
  return {
    dispatches,
    encode(target) {
      before();
      inPass(target, (pass) => {
        for (const dispatch of dispatches) dispatch.encode(pass);
      });
    },
  };
}

/** Work that runs one after the other, as one. */
export function inSequence(works: readonly BoundWork[]): BoundWork {
  return {
    dispatches: works.flatMap(({ dispatches }) => dispatches),
    encode(target) {
      inPass(target, (pass) => {
        for (const work of works) work.encode(pass);
      });
    },
  };
}

/** Encodes into the caller's compute pass, or into one of its own where the caller gives an encoder. */
export function inPass(
  target: GPUCommandEncoder | GPUComputePassEncoder,
  encode: (pass: GPUComputePassEncoder) => void,
): void {
  if (!("beginComputePass" in target)) return encode(target);
  const pass = target.beginComputePass();
  encode(pass);
  pass.end();
}
