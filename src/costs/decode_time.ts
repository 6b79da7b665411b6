import { checkGroups, checkInteger, sentence } from "../base/check.ts";
import { type KvDtype, rowBytes } from "../tensor/dtype.ts";
import {
  type CacheOptions,
  type CacheShape,
  checkOptions,
  checkShape,
  kvCacheBytes,
  layerKinds,
  layerSlots,
} from "./memory.ts";

/** The two ceilings of a roofline (Williams et al. 2009): as a maker promises them, or as measured. */
export interface DeviceRates {
  /** Bytes that memory delivers in a second. */
  bytesPerSecond: number;
  /** Operations in a second, a multiply-add being two. */
  flopsPerSecond: number;
  /**
   * Whether the same threads load and compute, by turns, as a software adapter's do: both times add up then. The default
   * is false, as on a GPU, which does one while it waits for the other.
   */
  isSerial?: boolean;
}

/** How long some work takes under a roofline. */
export interface RooflineTime {
  /** Bytes that must move. */
  bytes: number;
  /** Operations that must be done. */
  flops: number;
  /** What the bytes take, were there nothing to compute. */
  memorySeconds: number;
  /** What the operations take, were there nothing to move. */
  computeSeconds: number;
  /** The longer of the two; where rates are serial, their sum. */
  seconds: number;
  /** Which of the two is longer. */
  bound: "memory" | "compute";
}

const ACTION = "predict a time";

/**
 * The time of some work under a roofline: the longer of what its bytes and what its operations take, or their sum on a
 * device that does not do both at once.
 *
 * @param work Bytes and operations.
 * @param rates The ceilings.
 * @returns Both times, and what they come to. No program is faster; many are slower.
 * @throws {TypeError} If a rate is not a number.
 * @throws {RangeError} If a rate is not above 0.
 *
 * @example
 * ```ts
 * import { rooflineTime } from "@onehead/attention";
 *
 * const { seconds, bound } = rooflineTime({ bytes: 4e9, flops: 4e9 }, { bytesPerSecond: 2e12, flopsPerSecond: 2e13 });
 * console.log(seconds, bound); // 0.002 memory
 * ```
 */
export function rooflineTime(
  work: { bytes: number; flops: number },
  rates: DeviceRates,
): RooflineTime {
  checkRates(rates);
  const memorySeconds = work.bytes / rates.bytesPerSecond;
  const computeSeconds = work.flops / rates.flopsPerSecond;
  return {
    bytes: work.bytes,
    flops: work.flops,
    memorySeconds,
    computeSeconds,
    seconds: rates.isSerial
      ? memorySeconds + computeSeconds
      : Math.max(memorySeconds, computeSeconds),
    bound: memorySeconds >= computeSeconds ? "memory" : "compute",
  };
}

/**
 * The time that attention takes in one decode step, a new token for each sequence, over all layers: every visible key and
 * value is read once, and multiplied with every query head of its group.
 *
 * @param shape Layers and heads.
 * @param rates The ceilings.
 * @param options Tokens per sequence, the new one included; sequences; element type.
 * @returns Bytes, operations and times of the step.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a count is not a whole number of at least 1, the heads do not divide, or a rate is not above 0.
 *
 * @example MHA waits for memory on a card with 2 TB/s and 20 Tflop/s; MQA does not
 * ```ts
 * import { decodeAttentionTime } from "@onehead/attention";
 *
 * const mha = { numLayers: 32, numHeads: 32, numKvHeads: 32, headDim: 128 };
 * const card = { bytesPerSecond: 2e12, flopsPerSecond: 2e13 };
 * console.log(decodeAttentionTime(mha, card, { contextLen: 4096 }).bound); // memory
 * console.log(decodeAttentionTime({ ...mha, numKvHeads: 1 }, card, { contextLen: 4096 }).bound); // compute
 * ```
 */
export function decodeAttentionTime(
  shape: CacheShape & { numHeads: number },
  rates: DeviceRates,
  options: Omit<CacheOptions, "maxSeqLen">,
): RooflineTime {
  const { numHeads, numKvHeads, headDim, valueDim = headDim } = shape;
  checkShape(shape);
  checkOptions(options);
  checkInteger(ACTION, "numHeads", numHeads);
  checkGroups(ACTION, { numHeads, numKvHeads });
  const visible = layerKinds(shape)
    .reduce((sum, { count, windowed }) => sum + count * layerSlots(options, windowed), 0);
  const pairs = visible * numHeads * (options.batch ?? 1);
  const work = { bytes: kvCacheBytes(shape, options), flops: 2 * pairs * (headDim + valueDim) };
  return rooflineTime(work, rates);
}

/**
 * The group size at which decoding turns from waiting for memory to waiting for arithmetic: where the operations of all
 * query heads of a group take as long as the bytes of the key and value that they share.
 *
 * @param head Elements of a key and of a value, and their type (the default is `"f16"`).
 * @param rates The ceilings.
 * @returns Query heads per KV head, as a fraction. Smaller groups are bound by memory, and speed up in proportion.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a size is not a whole number of at least 1, or a rate is not above 0.
 *
 * @example
 * ```ts
 * import { crossingGroupSize } from "@onehead/attention";
 *
 * const card = { bytesPerSecond: 2e12, flopsPerSecond: 2e13 };
 * console.log(crossingGroupSize({ headDim: 128 }, card)); // 10
 * ```
 */
export function crossingGroupSize(
  head: { headDim: number; valueDim?: number; dtype?: KvDtype },
  rates: DeviceRates,
): number {
  const { headDim, valueDim = headDim, dtype = "f16" } = head;
  checkInteger(ACTION, "headDim", headDim);
  checkInteger(ACTION, "valueDim", valueDim);
  checkOptions({ contextLen: 1, dtype });
  checkRates(rates);
  const bytes = rowBytes(headDim, dtype) + rowBytes(valueDim, dtype);
  const flopsPerHead = 2 * (headDim + valueDim);
  return bytes / rates.bytesPerSecond / (flopsPerHead / rates.flopsPerSecond);
}

function checkRates({ bytesPerSecond, flopsPerSecond }: DeviceRates): void {
  for (const [name, value] of Object.entries({ bytesPerSecond, flopsPerSecond })) {
    if (typeof value !== "number") {
      throw new TypeError(sentence(ACTION, `${name} must be a number`, { [name]: value }));
    }
    if (!(value > 0)) {
      throw new RangeError(sentence(ACTION, `${name} must be above 0`, { [name]: value }));
    }
  }
}
