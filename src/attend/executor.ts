/** What runs a plan: compiled kernels and the buffers that belong to them. */
import { type Buffers, Kernel } from "../gpu/kernel.ts";
import type { WgslModule } from "../gpu/compose.ts";
import type { UniformValues } from "../gpu/host_layout.ts";
import { numRows, type PlanBase } from "../plan/plan_base.ts";
import { hasPerHead, perHeadNumbers, scoreParams } from "../score/pieces.ts";
import { rowStrides } from "../tensor/layout.ts";
import type { Dispatch } from "../gpu/bound_work.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Owned } from "../gpu/owned.ts";
import { USAGE } from "../gpu/usage.ts";
import type { FilledSpec } from "../plan/spec.ts";

/** Keys and values, a part of them in each buffer. */
export type KvBuffers = readonly Readonly<Record<"k" | "v", GPUBuffer>>[];

/** An implementation made ready on a device. */
export interface Executor {
  /** Binds the buffers of one attention: what to dispatch, in order. */
  bind(buffers: Buffers, kv: KvBuffers): Dispatch[];
}

/** Compiles modules, each under its name. */
export async function compileAll<Modules extends object>(
  gpu: Gpu,
  modules: Modules,
): Promise<{ [Name in keyof Modules]: Kernel }> {
  const compiling = Object.entries<WgslModule>(modules as Record<string, WgslModule>).map(
    async ([name, module]) => [name, await Kernel.compile(gpu, module)] as const,
  );
  return Object.fromEntries(await Promise.all(compiling)) as { [Name in keyof Modules]: Kernel };
}

/** Values for the `Params` of the attention kernels, but for those that differ between dispatches. */
export function paramsOf({ spec, contextLen }: PlanBase): UniformValues {
  const { numHeads, numKvHeads, seqLen, capacity, layout, kvLayout, pages } = spec;
  return {
    qStride: rowStrides(layout, numHeads, seqLen),
    numHeads,
    kvStride: pages ? [0, pages.count, 1] : rowStrides(kvLayout, numKvHeads, capacity),
    numKvHeads,
    seqLen,
    capacity,
    contextLen,
    filledLen: 0,
    ...scoreParams(spec),
    firstTile: 0,
    firstRow: 0,
    scratchRow: 0,
    firstKvRow: 0,
    numRows: numRows(spec),
  };
}

/** Numbers of the query heads; nothing where no kernel reads any. */
export function perHeadBuffer(
  { device }: Gpu,
  owned: Owned,
  spec: FilledSpec,
): GPUBuffer | undefined {
  if (!hasPerHead(spec)) return undefined;
  const numbers = perHeadNumbers(spec);
  const buffer = owned.keep(device.createBuffer({
    label: "attention heads",
    size: numbers.byteLength,
    usage: USAGE.uniform,
    mappedAtCreation: true,
  }));
  new Float32Array(buffer.getMappedRange()).set(numbers);
  buffer.unmap();
  return buffer;
}

/** The row, or the page, of keys and values with which the part of a block begins. */
export function firstKvRow({ spec, parts }: PlanBase, block: { part: number }): number {
  return parts[block.part].firstHead * (spec.pages?.count ?? spec.capacity);
}

/** The scratch of a plan; nothing where it needs none. */
export function scratchBuffer({ device }: Gpu, owned: Owned, size: number): GPUBuffer | undefined {
  if (size === 0) return undefined;
  const label = "attention scratch";
  return owned.keep(device.createBuffer({ label, size, usage: USAGE.storage }));
}
