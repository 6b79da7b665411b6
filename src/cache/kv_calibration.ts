/** Offsets and scales of channels: measured on the host, checked wherever they are given, and kept in a table on the device. */
import {
  checkArray,
  checkChoice,
  checkFinite,
  checkObject,
  checkPositive,
  sentence,
} from "../base/check.ts";
import type { Gpu } from "../gpu/device.ts";
import { USAGE } from "../gpu/usage.ts";
import { type Layout, LAYOUTS, rowStrides } from "../tensor/layout.ts";
import { rowBytes } from "../tensor/dtype.ts";
import { decodeElements } from "../tensor/host_elements.ts";
import { checkHostAxes, type HostTensor } from "../tensor/tensor.ts";
import { type KvShape, storedRows } from "./kv_shape.ts";

/** The offset and the scale of each channel of keys, [numKvHeads, headDim], or of values, [numKvHeads, valueDim]. */
export interface ChannelCalibration {
  /** The number that is taken from an element before it is stored: finite in f32. */
  offsets: readonly number[];
  /** The number that divides it then: above zero. */
  scales: readonly number[];
}

/**
 * Offsets and scales of the channels of a cache, as {@linkcode calibrateKv} measures them. It is plain data: keep it as JSON
 * beside a model.
 */
export interface KvCalibration {
  /** Channels of keys, with their positions where the cache has rope. */
  k: ChannelCalibration;
  /** Channels of values; absent where values are keys. */
  v?: ChannelCalibration;
}

/** Keys and values that were captured, on the host. */
export interface CapturedKv {
  /** Keys [B, S, numKvHeads, headDim] (or [B, numKvHeads, S, headDim]), with their positions where the cache has rope. */
  k: HostTensor;
  /** Values [B, S, numKvHeads, valueDim] (or [B, numKvHeads, S, valueDim]); none where values are keys. */
  v?: HostTensor;
  /** Axes of both. The default is `"BSNH"`. */
  layout?: Layout;
}

const ACTION = "calibrate keys and values";
/** A channel that hardly varies in the capture may do so later: no scale is below this part of its head's largest. */
const LEAST_PART = 2 ** -7;

/**
 * Measures what brings each channel of keys and values to the same scale before it is stored as integers: the middle of its
 * numbers, and how far they go from there. A step for a row then suits all of its elements; per channel as for the keys of
 * KIVI (Liu et al. 2024, arXiv 2402.02750), but measured once for all tokens, so that the scales of keys fold into queries
 * and those of values into outputs.
 *
 * @param captured Keys and values of tokens like those to come; a few hundred are enough.
 * @returns Offsets and scales, each f32.
 * @throws {TypeError} If a tensor is none, or has not four axes of sizes.
 * @throws {RangeError} If the shape of a tensor is not that of the other, or a number is not finite.
 *
 * @example
 * ```ts
 * import { calibrateKv, Gpu, RingKvCache } from "@onehead/attention";
 *
 * // One head of two channels: the second is far off, and varies little.
 * const k = { data: [-4, 100, 4, 101, 0, 100.5], shape: [1, 3, 1, 2] };
 * const kvCalibration = calibrateKv({ k, v: k });
 * console.log(kvCalibration.k.offsets); // [0, 100.5]
 *
 * const gpu = await Gpu.open();
 * const cache = await RingKvCache.create(gpu, {
 *   ...{ numKvHeads: 1, headDim: 2, capacity: 64, kvDtype: "int4", kvCalibration },
 * });
 * console.log(cache.spec.kvCalibrated); // true
 * gpu.destroy();
 * ```
 */
export function calibrateKv(captured: CapturedKv): KvCalibration {
  checkObject(ACTION, "captured", captured);
  const { k, v, layout = "BSNH" } = captured;
  checkChoice(ACTION, "layout", layout, LAYOUTS);
  checkCaptured("k", k, layout);
  if (v === undefined) return { k: channelsOf("k", [k], layout) };
  checkCaptured("v", v, layout);
  if (k.shape.some((size, axis) => axis < 3 && v.shape[axis] !== size)) {
    const rule = "k and v must be of the same tokens and heads";
    throw new RangeError(sentence(ACTION, rule, { k: k.shape, v: v.shape }));
  }
  return { k: channelsOf("k", [k], layout), v: channelsOf("v", [v], layout) };
}

/** Measures rows as a cache keeps them: those of the first `stored[b]` slots of each sequence, as `readRows` reads them. */
export function calibrateRows(
  rows: Uint8Array,
  spec: KvShape,
  stored: readonly number[],
): KvCalibration {
  const { numKvHeads, kvDtype } = spec;
  let at = 0;
  const measured = storedRows(spec).map(([name, size]) => {
    const tensors = stored.filter((count) => count > 0).map((count): HostTensor => {
      const shape = [1, numKvHeads, count, size];
      const bytes = numKvHeads * count * rowBytes(size, kvDtype);
      // A copy, as typed arrays begin on multiples of their elements.
      const data = decodeElements(rows.slice(at, at + bytes).buffer as ArrayBuffer, shape, kvDtype);
      at += bytes;
      return { data, shape };
    });
    return [name, channelsOf(name, tensors, "BNSH")] as const;
  });
  return Object.fromEntries(measured) as unknown as KvCalibration;
}

function checkCaptured(name: string, tensor: HostTensor, layout: Layout): void {
  checkHostAxes(ACTION, name, tensor, layout === "BSNH" ? "[B, S, N, H]" : "[B, N, S, H]");
}

/** Measures the channels of tensors of the same heads, which may differ in their tokens. */
function channelsOf(
  name: string,
  tensors: readonly HostTensor[],
  layout: Layout,
): ChannelCalibration {
  const [heads, size] = [tensors[0].shape[layout === "BSNH" ? 2 : 1], tensors[0].shape[3]];
  const offsets: number[] = [];
  const scales: number[] = [];
  for (let head = 0; head < heads; head++) {
    const channels = Array.from(
      { length: size },
      (_, h) => channelOf(tensors.map((tensor) => numbersOf(name, tensor, layout, { head, h }))),
    );
    const largest = Math.max(...channels.map(({ scale }) => scale));
    const least = largest === 0 ? 1 : largest * LEAST_PART;
    offsets.push(...channels.map(({ offset }) => offset));
    scales.push(...channels.map(({ scale }) => Math.fround(Math.max(scale, least))));
  }
  return { offsets, scales };
}

/** The numbers of one channel, token by token. */
function numbersOf(
  name: string,
  { data, shape }: HostTensor,
  layout: Layout,
  { head, h }: { head: number; h: number },
): Float64Array {
  const [tokens, heads] = layout === "BSNH" ? [shape[1], shape[2]] : [shape[2], shape[1]];
  const [ofBatch, ofHead, ofToken] = rowStrides(layout, heads, tokens);
  return Float64Array.from({ length: shape[0] * tokens }, (_, i) => {
    const row = Math.floor(i / tokens) * ofBatch + head * ofHead + i % tokens * ofToken;
    const index = row * shape[3] + h;
    checkFinite(ACTION, `${name}[${index}]`, data[index]);
    return data[index];
  });
}

/** The mean, and the root of the mean eighth power of the distance from it: between the usual distance and the largest. */
function channelOf(parts: readonly Float64Array[]): { offset: number; scale: number } {
  const count = parts.reduce((sum, { length }) => sum + length, 0);
  const meanOf = (of: (x: number) => number) =>
    parts.reduce((sum, part) => part.reduce((sum, x) => sum + of(x) / count, sum), 0);
  const offset = Math.fround(meanOf((x) => x));
  const most = parts.reduce(
    (most, part) => part.reduce((most, x) => Math.max(most, Math.abs(x - offset)), most),
    0,
  );
  // Parts of the largest distance, as its eighth power may be beyond every number.
  const mean = most === 0 ? 0 : meanOf((x) => (Math.abs(x - offset) / most) ** 8);
  return { offset, scale: most * mean ** (1 / 8) };
}

/** The shape of rows, as far as a calibration depends on it. */
type ChannelShape = Pick<KvShape, "numKvHeads" | "headDim" | "valueDim" | "valuesAre">;

/** Throws a `TypeError` for calibrations that are no array, and a `RangeError` unless they are as many as layers. */
export function checkCalibrations(action: string, calibrations: unknown, layers: number): void {
  checkArray(action, "kvCalibration", calibrations);
  const { length } = calibrations as readonly unknown[];
  if (length === layers) return;
  const rule = "kvCalibration must have a calibration for each layer";
  throw new RangeError(sentence(action, rule, { kvCalibration: length, layers }));
}

/** A copy of a calibration in f32; throws unless it has a finite offset and a scale above zero for each channel. */
export function copyCalibration(
  action: string,
  calibration: KvCalibration,
  shape: ChannelShape,
  name = "kvCalibration",
): KvCalibration {
  checkObject(action, name, calibration);
  if (shape.valuesAre === "keys" && calibration.v !== undefined) {
    const rule = "kvCalibration.v must be left out where values are the first elements of keys";
    throw new TypeError(sentence(action, rule, { valuesAre: "keys" }));
  }
  const copied = storedRows(shape).map(([row, size]) => {
    const field = `${name}.${row}`;
    checkObject(action, field, calibration[row]);
    const { offsets, scales } = calibration[row]!;
    const count = shape.numKvHeads * size;
    return [row, {
      offsets: copyNumbers(action, `${field}.offsets`, offsets, count, checkFinite),
      scales: copyNumbers(action, `${field}.scales`, scales, count, checkPositive),
    }] as const;
  });
  return Object.fromEntries(copied) as unknown as KvCalibration;
}

function copyNumbers(
  action: string,
  name: string,
  numbers: readonly number[],
  count: number,
  check: (action: string, name: string, value: unknown) => void,
): readonly number[] {
  checkArray(action, name, numbers);
  if (numbers.length !== count) {
    throw new RangeError(
      sentence(action, `${name} must have a number for each channel of each KV head`, {
        numbers: numbers.length,
        channels: count,
      }),
    );
  }
  return Array.from({ length: count }, (_, channel) => {
    const number = numbers[channel];
    check(action, `${name}[${channel}]`, number);
    return Math.fround(number);
  });
}

/** The table of channels on the device, as kernels/cache/channels.wgsl has it. */
export function channelBuffer({ device }: Gpu, { k, v }: KvCalibration): GPUBuffer {
  const table = (v ? [k, v] : [k]).flatMap(({ offsets, scales }) =>
    offsets.flatMap((offset, channel) => [offset, scales[channel]])
  );
  const buffer = device.createBuffer({
    ...{ label: "cache channels", size: table.length * 4 },
    ...{ usage: USAGE.storage, mappedAtCreation: true },
  });
  new Float32Array(buffer.getMappedRange()).set(table);
  buffer.unmap();
  return buffer;
}

/** Bytes of that table. */
export function channelBytes({ k, v }: KvCalibration): number {
  return 8 * (k.offsets.length + (v?.offsets.length ?? 0));
}
