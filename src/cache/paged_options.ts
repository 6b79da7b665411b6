/** Options of sequences in pages, filled in and checked apart from any GPU. */
import { checkInteger, checkObject, sentence } from "../base/check.ts";
import type { RopeOptions } from "./rope.ts";
import { checkCalibrations, copyCalibration, type KvCalibration } from "./kv_calibration.ts";
import { checkTransform, type KvRotation } from "./kv_transform.ts";
import type { PoolShape } from "./page_pool.ts";
import { type FilledRope, fillInRope } from "./rope_kernel.ts";

/** Options of {@linkcode PagedKvCache.create}. */
export interface PagedKvCacheOptions {
  /** Sequences that the cache has room for at once. The default is 1. */
  batch?: number;
  /** Most tokens of a sequence. */
  capacity: number;
  /** First tokens of a sequence that every later query sees besides its window. The default is 0. */
  sinks?: number;
  /**
   * Tokens besides the sinks that a query sees, its own included: pages that no query will see are given back. The default
   * is all of them.
   */
  window?: number;
  /**
   * Most query rows of a sequence in a step whose window is kept, also where fewer of them are new tokens. The default is 1.
   */
  maxSeqLen?: number;
  /**
   * Rotary position embedding: keys are rotated while they are appended. A list has that of each layer of the pool, undefined
   * for a layer that has none. The default is none.
   */
  rope?: RopeOptions | readonly (RopeOptions | undefined)[];
  /**
   * Offsets and scales of channels, for each layer of the pool, which keys and values are brought to before they are stored as
   * integers: as `Decoder.calibrate` measures them. For pools of kvDtype `"int8"` and `"int4"`. The default is none.
   */
  kvCalibration?: readonly KvCalibration[];
  /** `"hadamard"`: rows are rotated before they are stored as integers, as a `RingKvCache`'s. The default is none. */
  kvRotation?: KvRotation;
}

/** The fields of a pool that decide which options a cache in it can have. */
export type PoolOptionsShape = Pick<
  PoolShape,
  "layers" | "numKvHeads" | "headDim" | "valueDim" | "kvDtype"
>;

/** The options of a cache with their defaults filled in; where no window was given, there is none. */
export type FilledPagedOptions =
  & Required<Pick<PagedKvCacheOptions, "batch" | "capacity" | "sinks" | "maxSeqLen">>
  & Pick<PagedKvCacheOptions, "window" | "kvCalibration" | "kvRotation">
  & {
    /** Rotary positions of each layer. */
    ropes: readonly (FilledRope | undefined)[];
  };

/** Fills in the defaults and checks each value, for a pool's layers; what it returns shares nothing with the options. */
export function fillInPaged(
  action: string,
  options: PagedKvCacheOptions,
  pool: PoolOptionsShape,
): FilledPagedOptions {
  checkObject(action, "options", options);
  const { batch = 1, capacity, sinks = 0, window, maxSeqLen = 1, rope } = options;
  for (const [name, value] of Object.entries({ batch, capacity, maxSeqLen })) {
    checkInteger(action, name, value);
  }
  checkInteger(action, "sinks", sinks, 0);
  if (window !== undefined) checkInteger(action, "window", window);
  const { kvCalibration, kvRotation } = options;
  const kvCalibrated = kvCalibration !== undefined;
  checkTransform(action, { ...pool, kvCalibrated, kvRotation });
  if (kvCalibrated) checkCalibrations(action, kvCalibration, pool.layers);
  return {
    ...{ batch, capacity, sinks, window, maxSeqLen },
    ropes: fillInRopes(action, rope, pool),
    kvCalibration: kvCalibration && Array.from(
      kvCalibration,
      (one, layer) => copyCalibration(action, one, pool, `kvCalibration[${layer}]`),
    ),
    kvRotation,
  };
}

/**
 * What decides which keys and values the same tokens of one model have in a pool, as text. The window and the sinks belong to
 * it, as keys of deeper layers follow from what the layers before them saw.
 */
export function prefixKind(options: FilledPagedOptions): string {
  const { ropes, kvCalibration, kvRotation, sinks, window } = options;
  return JSON.stringify({ ropes, kvCalibration, kvRotation, sinks, window });
}

function fillInRopes(
  action: string,
  rope: PagedKvCacheOptions["rope"],
  { layers, headDim }: PoolOptionsShape,
): (FilledRope | undefined)[] {
  const filledOf = (one: RopeOptions | undefined, name: string) =>
    one === undefined ? undefined : fillInRope(action, one, headDim, name);
  if (!Array.isArray(rope)) {
    return new Array(layers).fill(filledOf(rope as RopeOptions | undefined, "rope"));
  }
  if (rope.length !== layers) {
    const rule = "a list of rope must have an entry for each layer of the pool";
    throw new RangeError(sentence(action, rule, { rope: rope.length, layers }));
  }
  return Array.from(rope, (one, layer) => filledOf(one, `rope[${layer}]`));
}
