/** Options of a ring, filled in and checked apart from any GPU. */
import { checkChoice, checkInteger, checkObject } from "../base/check.ts";
import { type Dtype, DTYPES, KV_DTYPES, type KvDtype } from "../tensor/dtype.ts";
import type { Layout } from "../tensor/layout.ts";
import { copyCalibration, type KvCalibration } from "./kv_calibration.ts";
import { checkValuesAre } from "./kv_shape.ts";
import { checkTransform, type KvRotation } from "./kv_transform.ts";
import { type Overflow, ringRules } from "./ring_rules.ts";
import type { RopeOptions } from "./rope.ts";
import { type FilledRope, fillInRope } from "./rope_kernel.ts";

/** Options of {@linkcode RingKvCache.create}. */
export interface RingKvCacheOptions {
  /** Sequences. The default is 1. */
  batch?: number;
  /** Key/value heads: 1 for multi-query attention. */
  numKvHeads: number;
  /** Elements of a key. */
  headDim: number;
  /** Elements of a value. The default is `headDim`. */
  valueDim?: number;
  /**
   * `"keys"`: a value is the first `valueDim` elements of its key, and the cache stores keys alone: append `k` without `v`.
   * The default is values of their own.
   */
  valuesAre?: "keys";
  /** Slots per sequence: tokens that are kept. */
  capacity: number;
  /**
   * First tokens of a sequence that are never overwritten: every later query sees them besides its window. The default
   * is 0.
   */
  sinks?: number;
  /**
   * Tokens besides the sinks that a query sees, its own included. The default is `capacity - sinks - maxSeqLen + 1`, the
   * most that a ring of this capacity can promise.
   */
  window?: number;
  /** Most tokens of one append once the ring is full. The default is 1. */
  maxSeqLen?: number;
  /**
   * The behaviour of a full ring: `"wrap"` overwrites the oldest tokens, `"error"` refuses to append. The default
   * is `"wrap"` where a window is given and `"error"` where not, so that nothing is lost unasked.
   */
  overflow?: Overflow;
  /** Element type of the tensors that are appended, and of queries. The default is `"f32"`. */
  dtype?: Dtype;
  /** Element type in storage; {@linkcode KvDtype} says what it takes and what it costs. The default is `dtype`. */
  kvDtype?: KvDtype;
  /**
   * Offsets and scales of channels, which keys and values are brought to before they are stored as integers: as
   * {@linkcode calibrateKv} or a decoder measured them. For kvDtype `"int8"` and `"int4"`. The default is none.
   */
  kvCalibration?: KvCalibration;
  /**
   * `"hadamard"`: rows are rotated before they are stored as integers, in blocks of the largest power of two that divides
   * them, so that a large element does not cost the others their steps. For kvDtype `"int8"` and `"int4"` without a
   * calibration, mostly. The default is none.
   */
  kvRotation?: KvRotation;
  /** Rotary position embedding: keys are rotated while they are appended. The default is none. */
  rope?: RopeOptions;
  /** Axes of the tensors that are appended. The default is `"BSNH"`. */
  layout?: Layout;
}

/** The options of a cache with their defaults filled in; where no window was given, there is none. */
export type FilledRingOptions =
  & Required<
    Omit<RingKvCacheOptions, "window" | "rope" | "valuesAre" | "kvCalibration" | "kvRotation">
  >
  & Pick<RingKvCacheOptions, "window" | "valuesAre" | "kvCalibration" | "kvRotation">
  & { rope?: FilledRope };

/** Fills in the defaults and checks each value; what it returns shares nothing with the options. */
export function fillInRing(action: string, options: RingKvCacheOptions): FilledRingOptions {
  checkObject(action, "options", options);
  const { batch = 1, numKvHeads, headDim, valueDim = headDim, valuesAre, window, rope } = options;
  const { capacity, maxSeqLen = 1, dtype = "f32", kvDtype = dtype, layout = "BSNH" } = options;
  const sizes = { batch, numKvHeads, headDim, valueDim };
  for (const [name, value] of Object.entries(sizes)) checkInteger(action, name, value);
  checkValuesAre(action, { headDim, valueDim, valuesAre });
  checkChoice(action, "dtype", dtype, DTYPES);
  checkChoice(action, "kvDtype", kvDtype, KV_DTYPES);
  checkChoice(action, "layout", layout, ["BSNH", "BNSH"]);
  const { kvCalibration, kvRotation } = options;
  const kvCalibrated = kvCalibration !== undefined;
  checkTransform(action, { ...sizes, valuesAre, kvDtype, kvCalibrated, kvRotation });
  const { sinks = 0, overflow = window === undefined ? "error" : "wrap" } = options;
  ringRules(action, { capacity, sinks, window, maxSeqLen, overflow });
  return {
    ...{
      ...sizes,
      valuesAre,
      capacity,
      sinks,
      window,
      maxSeqLen,
      overflow,
      dtype,
      kvDtype,
      layout,
    },
    kvCalibration: kvCalibrated
      ? copyCalibration(action, kvCalibration, { ...sizes, valuesAre })
      : undefined,
    kvRotation,
    rope: rope === undefined ? undefined : fillInRope(action, rope, headDim),
  };
}
