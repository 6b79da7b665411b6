// The transform of stored rows in float64, by its definition: what kernels must agree with.
import type { HostTensor, KvCalibration, KvDtype, KvRotation } from "../../mod.ts";
import type { Random } from "./random.ts";

/** The transform of the keys or of the values of a cache. */
export interface RowTransform {
  calibration?: KvCalibration["k"];
  kvRotation?: KvRotation;
  /** Elements that are rotated together. */
  block: number;
}

/** The transforms of the keys and of the values of a cache with such options. */
export function transformsOf(
  { headDim, valueDim = headDim, valuesAre, kvCalibration, kvRotation }: {
    headDim: number;
    valueDim?: number;
    valuesAre?: "keys";
    kvCalibration?: KvCalibration;
    kvRotation?: KvRotation;
  },
): Record<"k" | "v", RowTransform> {
  const k = { calibration: kvCalibration?.k, kvRotation, block: powerIn(headDim) };
  if (valuesAre === "keys") {
    const block = Math.min(powerIn(headDim), powerIn(valueDim));
    return { k: { ...k, block }, v: { ...k, block } };
  }
  return { k, v: { calibration: kvCalibration?.v, kvRotation, block: powerIn(valueDim) } };
}

/** The largest power of two that divides a number. */
function powerIn(size: number): number {
  return size % 2 === 0 ? 2 * powerIn(size / 2) : 1;
}

/** Rows [B, S, N, size] as they are stored, but for the rounding to integers. */
export function transformed(tensor: HostTensor, transform: RowTransform): HostTensor {
  return eachRow(tensor, (row, head) => {
    const { offsets, scales } = channelsOf(transform, head, row.length);
    return rotated(row.map((x, h) => (x - offsets[h]) / scales[h]), transform);
  });
}

/** The keys or values that stored rows [B, S, N, size] stand for. */
export function restored(tensor: HostTensor, transform: RowTransform): HostTensor {
  return eachRow(tensor, (row, head) => {
    const { offsets, scales } = channelsOf(transform, head, row.length);
    return rotated(row, transform).map((y, h) => offsets[h] + scales[h] * y);
  });
}

/** The scales of the channels of a head. */
export function channelsOf(
  { calibration }: RowTransform,
  head: number,
  size: number,
): { offsets: readonly number[]; scales: readonly number[] } {
  if (!calibration) return { offsets: Array(size).fill(0), scales: Array(size).fill(1) };
  const [start, end] = [head * size, (head + 1) * size];
  const { offsets, scales } = calibration;
  return { offsets: offsets.slice(start, end), scales: scales.slice(start, end) };
}

/** A row times a matrix of Hadamard, block by block: element (i, j) has the sign of the parity of the bits of i & j. */
function rotated(row: readonly number[], { kvRotation, block }: RowTransform): number[] {
  if (!kvRotation) return [...row];
  const sign = (bits: number): number => bits === 0 ? 1 : (bits & 1 ? -1 : 1) * sign(bits >> 1);
  return row.map((_, h) => {
    const start = h - h % block;
    let sum = 0;
    for (let i = 0; i < block; i++) sum += sign(i & (h % block)) * row[start + i];
    return sum / Math.sqrt(block);
  });
}

/** The largest step of a row, as the docs state it. */
function stepOf(row: readonly number[], kvDtype: KvDtype): number {
  if (kvDtype === "int8") return Math.max(...row.map(Math.abs)) / 127;
  const [least, most] = [Math.min(...row), Math.max(...row)];
  return (most - least + Math.abs(least) / 60) / 11.8;
}

/** The most that each element of appended rows [B, S, N, size] may be off, as the docs state it. */
export function appendedBounds(
  tensor: HostTensor,
  transform: RowTransform,
  kvDtype: KvDtype,
): number[] {
  const stored = transformed(tensor, transform);
  const bounds = eachRow(stored, (row, head) => {
    // Of a rotated row, an error of an element is spread over its block.
    const spread = transform.kvRotation ? Math.sqrt(transform.block) : 1;
    const most = stepOf(row, kvDtype) * (0.5 + 1e-4) * spread;
    const { offsets, scales } = channelsOf(transform, head, row.length);
    return row.map((_, h) => scales[h] * (most + 1e-5) + 1e-6 * Math.abs(offsets[h]));
  });
  return Array.from(bounds.data);
}

function eachRow(
  { data, shape }: HostTensor,
  change: (row: number[], head: number) => number[],
): HostTensor {
  const [heads, size] = [shape[2], shape[3]];
  const rows = Array.from({ length: data.length / size }, (_, row) => {
    const start = row * size;
    return change(Array.from({ length: size }, (_, h) => data[start + h]), row % heads);
  });
  return { data: Float64Array.from(rows.flat()), shape };
}

/** Offsets in [-3, 3) and scales from 1/8 to 8. */
export function randomCalibration(
  random: Random,
  { numKvHeads, headDim, valueDim, valuesAre }: {
    numKvHeads: number;
    headDim: number;
    valueDim: number;
    valuesAre?: "keys";
  },
): KvCalibration {
  const channels = (size: number) => ({
    offsets: Array.from({ length: numKvHeads * size }, () => 6 * random.next() - 3),
    scales: Array.from({ length: numKvHeads * size }, () => 2 ** (6 * random.next() - 3)),
  });
  return valuesAre === "keys"
    ? { k: channels(headDim) }
    : { k: channels(headDim), v: channels(valueDim) };
}
