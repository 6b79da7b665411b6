/** Copying one sequence of a cache over another, on the device. */
import * as wgsl from "../../kernels/mod.ts";
import type { Dispatch, Grid } from "../gpu/bound_work.ts";
import { Kernel } from "../gpu/kernel.ts";
import type { KvPart } from "./kv_memory.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import { storedElements, storedType } from "../tensor/pieces.ts";
import type { Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import type { Owned } from "../gpu/owned.ts";
import { type KvShape, storedRows } from "./kv_shape.ts";
import type { KvDtype } from "../tensor/dtype.ts";

/** A sequence that becomes a copy of another; indices within the batch. */
export interface SequencePair {
  /** The sequence that is copied, and does not change. */
  from: number;
  /** The sequence that is overwritten. */
  to: number;
}

/** A cache's memory. */
interface Memory {
  parts: readonly KvPart[];
  lengths: GPUBuffer;
  spec: Omit<KvShape, "batch">;
}

const WORKGROUP = 64;
/** More workgroups than this do not make a copy faster; each goes round for the rest. */
const MAX_WORKGROUPS = 1024;

/** The modules that copy: within the buffers of a part, and between those of two. */
export function forkModules(kvDtype: KvDtype): Record<"within" | "across", WgslModule> {
  const copying = (source: string) =>
    join("fork", {
      types: { T: storedType(kvDtype) },
      constants: { WORKGROUP },
      fragments: [source, wgsl.fork],
    });
  return { within: copying(wgsl.forkSource.within), across: copying(wgsl.forkSource.across) };
}

/** The grid that copies so many elements. */
export function copyGrid(count: number): Grid {
  return [Math.min(Math.ceil(count / WORKGROUP), MAX_WORKGROUPS), 1];
}

/** The kernels that copy: within the buffers of a part, and between those of two. */
export class Fork {
  readonly #within: Kernel;
  readonly #across: Kernel;
  readonly #params: KeptBuffers;

  private constructor(within: Kernel, across: Kernel, params: KeptBuffers) {
    this.#within = within;
    this.#across = across;
    this.#params = params;
  }

  /** Compiles the kernels; `owned` keeps their parameters. */
  static async compile(gpu: Gpu, owned: Owned, kvDtype: KvDtype): Promise<Fork> {
    const modules = forkModules(kvDtype);
    const [within, across] = await Promise.all([
      Kernel.compile(gpu, modules.within),
      Kernel.compile(gpu, modules.across),
    ]);
    return new Fork(within, across, owned.keep(new KeptBuffers()));
  }

  bind(memory: Memory, pair: SequencePair): Dispatch[] {
    const { capacity, kvDtype } = memory.spec;
    const dispatches = [];
    for (const { firstHead, source, destination, numHeads } of headRuns(memory, pair)) {
      const kernel = source.part === destination.part ? this.#within : this.#across;
      for (const [name, size] of storedRows(memory.spec)) {
        const headSize = capacity * storedElements(size, kvDtype);
        const key = `${pair.from} to ${pair.to}: ${name} from head ${firstHead}`;
        const params = this.#params.get(key, () =>
          kernel.uniform({
            source: source.head * headSize,
            destination: destination.head * headSize,
            count: numHeads * headSize,
            fromSequence: pair.from,
            toSequence: pair.to,
          }));
        dispatches.push(kernel.bind({
          params,
          lengths: memory.lengths,
          rows: destination.part[name]!.buffer,
          sourceRows: source.part[name]!.buffer,
        }, copyGrid(numHeads * headSize)));
      }
    }
    return dispatches;
  }
}

/** Runs of heads that lie in one part on either side, where the heads of each are numbered within their part. */
function* headRuns({ parts, spec: { numKvHeads } }: Memory, { from, to }: SequencePair) {
  for (let firstHead = 0; firstHead < numKvHeads;) {
    const source = place(parts, from * numKvHeads + firstHead);
    const destination = place(parts, to * numKvHeads + firstHead);
    const numHeads = Math.min(numKvHeads - firstHead, source.left, destination.left);
    yield { firstHead, source, destination, numHeads };
    firstHead += numHeads;
  }
}

function place(parts: readonly KvPart[], head: number) {
  const part = parts.findLast(({ firstHead }) => firstHead <= head)!;
  const within = head - part.firstHead;
  return { part, head: within, left: part.numHeads - within };
}
