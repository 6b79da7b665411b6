/** What runs a plan: compiled kernels and the buffers that belong to them. */
import type { AttentionPlan } from "./plan.ts";
import { rowStrides } from "./_sizes.ts";
import { numRows } from "./_plan.ts";

/** Buffers by the names of the kernels' variables. */
export type Buffers = Readonly<Record<string, GPUBuffer>>;

/** Keys and values, a part of them in each buffer. */
export type KvBuffers = readonly Readonly<Record<"k" | "v", GPUBuffer>>[];

/** An implementation made ready on a device. */
export interface Executor {
  /** Encodes one attention; no sequence has more than `columns` tokens to look over. */
  encode(pass: GPUComputePassEncoder, buffers: Buffers, kv: KvBuffers, columns: number): void;
  /** Frees the buffers. */
  destroy(): void;
}

/** Beyond every position, and far enough from the end of i32 to add to. */
const UNBOUNDED = 2 ** 30;

/** Values for the `Params` of the attention kernels, but for those that differ between dispatches. */
export function paramsOf({ spec, contextLen }: AttentionPlan): Record<string, number | number[]> {
  const { numHeads, numKvHeads, seqLen, capacity, causal, window } = spec;
  const { scale, layout, kvLayout } = spec;
  return {
    qStride: rowStrides(layout, numHeads, seqLen),
    numHeads,
    kvStride: rowStrides(kvLayout, numKvHeads, capacity),
    numKvHeads,
    seqLen,
    capacity,
    contextLen,
    filledLen: 0,
    windowLeft: Math.min((window ?? Infinity) - 1, UNBOUNDED),
    windowRight: causal ? 0 : UNBOUNDED,
    scale,
    firstTile: 0,
    firstRow: 0,
    scratchRow: 0,
    firstKvRow: 0,
    numRows: numRows(spec),
  };
}

/** The row of keys and values with which the part of a block begins. */
export function firstKvRow({ spec, parts }: AttentionPlan, block: { part: number }): number {
  return parts[block.part].firstHead * spec.capacity;
}

/** The scratch of a plan; nothing where it needs none. */
export function scratchBuffer(device: GPUDevice, size: number): GPUBuffer | undefined {
  const usage = 0x80; // STORAGE
  return size === 0 ? undefined : device.createBuffer({ label: "attention scratch", size, usage });
}
