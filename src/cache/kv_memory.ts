/** The memory of a cache: its keys and values on the device, and how they get to the host and back. */
import { headParts, type HeadRange } from "./head_parts.ts";
import type { Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import { Readback } from "../gpu/readback.ts";
import { USAGE } from "../gpu/usage.ts";
import { type KvShape as KvSpec, storedRows } from "./kv_shape.ts";
import { rowBytes } from "../tensor/dtype.ts";
import { Tensor } from "../tensor/tensor.ts";

/**
 * Keys and values of neighbouring KV heads, as many as one storage binding of the device holds. Rows that are calibrated or
 * rotated lie there as they are stored: their tensors' `download` knows nothing of a transform.
 */
export interface KvPart extends HeadRange {
  /** Keys [numHeads, capacity, headDim]. */
  k: Tensor;
  /** Values [numHeads, capacity, valueDim]; absent where values are keys. */
  v?: Tensor;
}

/** Rows that lie side by side in a tensor. */
interface Region {
  tensor: Tensor;
  offset: number;
  bytes: number;
}

/** Regions of one tensor, in the order in which the host has their rows. */
export interface TensorRegions {
  tensor: Tensor;
  regions: readonly Region[];
}

/** The tensors of keys, and those of values where there are any. */
export function tensorsOf(parts: readonly { k: Tensor; v?: Tensor }[]): Tensor[] {
  return parts.flatMap(({ k, v }) => v ? [k, v] : [k]);
}

/** Allocates keys and values, in as many parts as the device needs; `owned` keeps them. */
export async function allocateParts(
  gpu: Gpu,
  owned: Owned,
  action: string,
  spec: KvSpec,
): Promise<KvPart[]> {
  const { capacity, headDim, valueDim, kvDtype, valuesAre } = spec;
  const empty = async (numHeads: number, size: number, label: string) =>
    owned.keep(
      await Tensor.empty(gpu, [numHeads, capacity, size], { dtype: kvDtype, label }),
    );
  const parts: KvPart[] = [];
  for (const heads of headParts(action, spec, gpu.device.limits)) {
    parts.push({
      ...heads,
      k: await empty(heads.numHeads, headDim, "cache k"),
      ...(valuesAre === "keys" ? {} : { v: await empty(heads.numHeads, valueDim, "cache v") }),
    });
  }
  return parts;
}

/** A buffer of a number for each of some things, u32. */
export function counterBuffer({ device }: Gpu, label: string, count: number): GPUBuffer {
  const usage = USAGE.storage | USAGE.copySrc | USAGE.copyDst;
  return device.createBuffer({ label, size: count * 4, usage });
}

/**
 * The rows of the first `stored[b]` slots, head by head as numbered in [B, numKvHeads], first those of K and then those of V:
 * an order in which it does not show how a device cuts its caches. Heads without rows are left out.
 */
function* regions(
  parts: readonly KvPart[],
  spec: KvSpec,
  stored: readonly number[],
): Generator<TensorRegions> {
  const { numKvHeads, capacity, kvDtype } = spec;
  for (const [name, size] of storedRows(spec)) {
    const bytesOfRow = rowBytes(size, kvDtype);
    for (const { firstHead, numHeads, ...tensors } of parts) {
      const tensor = tensors[name]!;
      const ofTensor: Region[] = [];
      const endHead = firstHead + numHeads;
      for (let head = firstHead; head < endHead;) {
        const sequence = Math.floor(head / numKvHeads);
        const end = Math.min(endHead, (sequence + 1) * numKvHeads);
        const bytes = stored[sequence] * bytesOfRow;
        for (; bytes > 0 && head < end; head++) {
          ofTensor.push({ tensor, offset: (head - firstHead) * capacity * bytesOfRow, bytes });
        }
        head = end;
      }
      if (ofTensor.length > 0) yield { tensor, regions: ofTensor };
    }
  }
}

/** Bytes of the rows of the first `stored[b]` slots of each sequence. */
export function storedBytes(spec: KvSpec, stored: readonly number[]): number {
  const rows = spec.numKvHeads * stored.reduce((sum, count) => sum + count, 0);
  return storedRows(spec).reduce((sum, [, size]) => sum + rows * rowBytes(size, spec.kvDtype), 0);
}

/**
 * Reads the rows of the first `stored[b]` slots, and the counters that belong to them.
 *
 * Everything is copied by one submit, so that later work on the queue does not show in some of it.
 */
export async function readRows(
  gpu: Gpu,
  memory: { parts: readonly KvPart[]; counters: readonly GPUBuffer[]; spec: KvSpec },
  stored: readonly number[],
): Promise<{ rows: Uint8Array<ArrayBuffer>; counters: Uint32Array[] }> {
  const { parts, counters, spec } = memory;
  return await readRegions(gpu, "read RingKvCache", regions(parts, spec, stored), counters);
}

/** Reads the rows of regions, in their order, and counters, by one submit. */
export async function readRegions(
  gpu: Gpu,
  action: string,
  groups: Iterable<TensorRegions>,
  counters: readonly GPUBuffer[],
): Promise<{ rows: Uint8Array<ArrayBuffer>; counters: Uint32Array[] }> {
  return await Owned.use(async (owned) => {
    const readback = new Readback(gpu, owned, action);
    const pieces: { staging: GPUBuffer; offset: number; bytes: number }[] = [];
    const stagedCounters = await gpu.guard(action, () => {
      const encoder = gpu.device.createCommandEncoder();
      for (const { tensor, regions: ofTensor } of groups) {
        const aligned = ofTensor.map((region) => {
          const start = alignedStart(region);
          return { start, size: alignedEnd(region) - start, skip: region.offset - start };
        });
        const bytes = aligned.reduce((sum, { size }) => sum + size, 0);
        const staging = readback.stage("cache rows", bytes);
        let at = 0;
        aligned.forEach(({ start, size, skip }, i) => {
          encoder.copyBufferToBuffer(tensor.buffer, start, staging, at, size);
          pieces.push({ staging, offset: at + skip, bytes: ofTensor[i].bytes });
          at += size;
        });
      }
      const stagedCounters = counters.map((counter) => {
        const staging = readback.stage("cache counters", counter.size);
        encoder.copyBufferToBuffer(counter, 0, staging, 0, counter.size);
        return staging;
      });
      readback.submit(encoder);
      return stagedCounters;
    });
    await readback.mapped();
    const rows = new Uint8Array(pieces.reduce((sum, { bytes }) => sum + bytes, 0));
    const stagings = new Set(pieces.map(({ staging }) => staging));
    const mapped = new Map([...stagings].map((staging) => [staging, staging.getMappedRange()]));
    let at = 0;
    for (const { staging, offset, bytes } of pieces) {
      rows.set(new Uint8Array(mapped.get(staging)!, offset, bytes), at);
      at += bytes;
    }
    const numbersOf = (staging: GPUBuffer) => new Uint32Array(staging.getMappedRange()).slice();
    return { rows, counters: stagedCounters.map(numbersOf) };
  });
}

/** Writes what {@linkcode readRows} read. */
export function writeRows(
  gpu: Gpu,
  { parts, spec }: { parts: readonly KvPart[]; spec: KvSpec },
  stored: readonly number[],
  rows: Uint8Array,
): void {
  let at = 0;
  for (const { tensor, regions: ofTensor } of regions(parts, spec, stored)) {
    for (const run of runsOf(ofTensor)) {
      const start = alignedStart(run[0]);
      const bytes = new Uint8Array(alignedEnd(run.at(-1)!) - start);
      for (const region of run) {
        bytes.set(rows.subarray(at, at + region.bytes), region.offset - start);
        at += region.bytes;
      }
      gpu.device.queue.writeBuffer(tensor.buffer, start, bytes);
    }
  }
}

/** Makes all slots zero, after all work submitted so far. */
export function clearRows({ device }: Gpu, parts: readonly KvPart[]): void {
  const encoder = device.createCommandEncoder();
  for (const { buffer } of tensorsOf(parts)) encoder.clearBuffer(buffer);
  device.queue.submit([encoder.finish()]);
}

/** Bytes of zeros that take no longer to write than another call. */
const SMALL_GAP = 2 ** 16;
/** Bytes of a write, about. */
const LONG_RUN = 2 ** 24;

/** Regions that are written at once: those that share a word, as rows of odd halves do, and those that lie close together. */
function* runsOf(ofTensor: readonly Region[]): Generator<Region[]> {
  let run: Region[] = [];
  for (const region of ofTensor) {
    const gap = run.length > 0 ? alignedStart(region) - alignedEnd(run.at(-1)!) : 0;
    const isLong = run.length > 0 && region.offset - run[0].offset > LONG_RUN;
    if (gap > SMALL_GAP || (isLong && gap >= 0)) {
      yield run;
      run = [];
    }
    run.push(region);
  }
  yield run;
}

/** Writes and copies begin and end on multiples of four, which rows of odd halves do not. */
function alignedStart({ offset }: Region): number {
  return offset - offset % 4;
}

function alignedEnd({ offset, bytes }: Region): number {
  return Math.ceil((offset + bytes) / 4) * 4;
}
