/** The time that attention takes in a decode step, predicted by a roofline. */
import { checkGroups, checkInteger, checkObject } from "../base/check.ts";
import { type KvDtype, rowBytes } from "../tensor/dtype.ts";
import {
  type CacheOptions,
  type CacheShape,
  checkCacheOptions,
  checkCacheShape,
  kvCacheBytes,
  layerSlots,
} from "./cache_bytes.ts";
import { checkRates, type DeviceRates, type RooflineTime, rooflineTime } from "./roofline.ts";

const ACTION = "predict a time";

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
  checkCacheShape(shape);
  const { numHeads, numKvHeads, headDim, valueDim = headDim } = shape;
  checkCacheOptions(options);
  checkInteger(ACTION, "numHeads", numHeads);
  checkGroups(ACTION, { numHeads, numKvHeads });
  const visible = layerSlots(shape, options)
    .reduce((sum, { numLayers, slots }) => sum + numLayers * slots, 0);
  const pairs = visible * numHeads * (options.batch ?? 1);
  const work = { bytes: kvCacheBytes(shape, options), flops: 2 * pairs * (headDim + valueDim) };
  return rooflineTime(work, rates);
}

/**
 * The group size at which decoding turns from waiting for memory to waiting for arithmetic: the operations of all query heads
 * of a group take as long as the bytes of the key and value that they share.
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
  checkObject(ACTION, "head", head);
  const { headDim, valueDim = headDim, dtype = "f16" } = head;
  checkInteger(ACTION, "headDim", headDim);
  checkInteger(ACTION, "valueDim", valueDim);
  checkCacheOptions({ contextLen: 1, dtype });
  checkRates(rates);
  const bytes = rowBytes(headDim, dtype) + rowBytes(valueDim, dtype);
  const flopsPerHead = 2 * (headDim + valueDim);
  return bytes / rates.bytesPerSecond / (flopsPerHead / rates.flopsPerSecond);
}
