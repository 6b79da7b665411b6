import { checkChoice, checkGroups, checkInteger, sentence } from "../base/check.ts";
import { type FilledScoreSpec, fillInScores, type ScoreSpec } from "../score/score_spec.ts";
import { type Dtype, DTYPES, KV_DTYPES, type KvDtype } from "../tensor/dtype.ts";
import { checkTuning, type Tuning } from "./tuning.ts";
import type { Layout } from "../tensor/layout.ts";

/**
 * What attention can return besides its output, in the order in which it comes about:
 *
 * - `"products"`: `scale q . k` of every key, seen or not
 * - `"softcapped"`: after the softcap, of every key
 * - `"scores"`: after bias and masks, about -3.4e38 where masked: what softmax reads
 * - `"weights"`: softmax of the scores
 * - `"lse"`: natural logarithm of the sum of the scores' exponentials, one number per query row
 *
 * `"lse"` costs nothing; the others exist in the staged implementation alone.
 */
export type AttentionOutput = "products" | "softcapped" | "scores" | "weights" | "lse";

/** The outputs that are matrices, [B, N, S, contextLen]. */
export type StageOutput = Exclude<AttentionOutput, "lse">;

const STAGES: readonly StageOutput[] = ["products", "softcapped", "scores", "weights"];

/** All that attention can return besides its output. */
export const OUTPUTS: readonly AttentionOutput[] = [...STAGES, "lse"];

/** The outputs that are matrices, in the order in which they come about. */
export function stagesOf(outputs: readonly AttentionOutput[]): StageOutput[] {
  return STAGES.filter((stage) => outputs.includes(stage));
}

/**
 * How attention is computed: `"staged"` in three kernels with scores and weights in memory, `"fused"` in one pass over keys
 * and values, `"auto"` fused wherever nobody asks for scores or weights and a tile fits the device.
 */
export type Implementation = "auto" | "fused" | "staged";

/**
 * What products are computed in. {@linkcode AttentionSpec.arithmetic} says what each costs in precision.
 *
 * - `"f32"`: all of them in f32
 * - `"f16"`: those of queries and keys in f16, added up in f32
 * - `"matrix"`: those of queries and keys, and of weights and values, of factors in f16, on matrix units (tensor cores) that
 *   add up in f32: an experiment
 */
export type Arithmetic = "f32" | "f16" | "matrix";

const ARITHMETIC: readonly Arithmetic[] = ["f32", "f16", "matrix"];

/** Shapes and options of an attention. */
export interface AttentionSpec extends ScoreSpec {
  /** Sequences. The default is 1. */
  batch?: number;
  /** Query heads, a multiple of `numKvHeads`. */
  numHeads: number;
  /**
   * Key/value heads: 1 is multi-query attention, `numHeads` multi-head attention, between them lies grouped-query
   * attention. Query head h reads KV head `h / groupSize`. The default is `numHeads`.
   */
  numKvHeads?: number;
  /** Elements of a query and of a key. */
  headDim: number;
  /** Elements of a value and of an output. The default is `headDim`. */
  valueDim?: number;
  /** New tokens per sequence: the queries, by default the last tokens of the context. The default is 1. */
  seqLen?: number;
  /** Tokens of K and V: all of a contiguous tensor, or the slots of a ring. */
  capacity: number;
  /**
   * First tokens of a sequence that every later query sees besides its window (attention sinks: Xiao et al. 2023,
   * StreamingLLM, arXiv 2309.17453). The default is 0.
   */
  sinks?: number;
  /** Element type of q and o; sums are in f32. The default is `"f32"`. */
  dtype?: Dtype;
  /** Element type of k and v. The default is `dtype`. */
  kvDtype?: KvDtype;
  /**
   * What products are computed in. For the fused implementation: what is staged after all, as no fused tile fits, is in
   * f32. The default is `"f32"`.
   *
   * `"f16"`, for queries and keys alone, and where 4 divides the sizes of a head four of them and their sum at a time, is for
   * devices whose arithmetic is faster in f16: sums of these, softmax and values stay in f32. Keys must not be f32. A score
   * is then off by at most `e = |scale| max |q| (6 |k|_1 + headDim step) / 1024`, where the step is that of an integer key
   * and 1 for others, and an output by at most `(exp(2 e) - 1) max |v|`; no key, and no query up to 1e37, is too large.
   *
   * `"matrix"` is an experiment, whose speed has yet to be measured on a GPU: queries, keys, weights and values of any
   * storage are rounded to f16 and multiplied on matrix units, where the device grants them ({@linkcode GpuFeatures}); sums
   * and softmax are in f32. A score is then off by at most `e = |scale| max |q| (3 |k|_1 + headDim / 16) / 1024`, and an
   * output by at most `(exp(2 e) - 1 + (3 + contextLen / 2^19) / 1024) max |v| + 6.2e-5`. No query and no value is too
   * large; keys in f32 beyond 65504 are infinite, as they are when stored in f16.
   */
  arithmetic?: Arithmetic;
  /** Axes of q and o, and of contiguous k and v. The default is `"BSNH"`. */
  layout?: Layout;
  /** Axes of k and v where they differ from those of q: a ring is `"BNSH"`. The default is `layout`. */
  kvLayout?: Layout;
  /**
   * What to return besides the output: each f32 [B, N, S, contextLen], with a column for each of the sinks, then for each
   * of the last tokens that any query looks over; but `"lse"` f32 [B, S, N], shaped as o without its last axis. The default
   * is nothing.
   */
  outputs?: readonly AttentionOutput[];
  /** Most bytes of scratch; staged scores that do not fit are done in blocks of rows. The default is 128 MiB. */
  maxScratchBytes?: number;
  /** How to compute it. The default is `"auto"`. */
  impl?: Implementation;
  /** Tile sizes that `deno run bench tune` found on the device. The default is those of the device's class. */
  tuning?: Tuning;
}

/** A specification with its defaults filled in. */
export type FilledSpec =
  & Required<Omit<AttentionSpec, keyof ScoreSpec | "tuning">>
  & Pick<AttentionSpec, "tuning">
  & FilledScoreSpec;

/** What errors about a specification say cannot be done. */
export const ACTION = "plan attention";

const DEFAULT_SCRATCH_BYTES = 128 * 2 ** 20;

/** Fills in the defaults of a specification and checks each value by itself. */
export function fillIn(spec: AttentionSpec): FilledSpec {
  const { batch = 1, numHeads, numKvHeads = numHeads, headDim, valueDim = headDim } = spec;
  const { seqLen = 1, capacity, sinks = 0, outputs = [], impl = "auto", tuning } = spec;
  const { dtype = "f32", kvDtype = dtype, layout = "BSNH", kvLayout = layout } = spec;
  const { arithmetic = "f32", maxScratchBytes = DEFAULT_SCRATCH_BYTES } = spec;
  const sizes = { batch, numHeads, numKvHeads, headDim, valueDim, seqLen, capacity };
  for (const [name, value] of Object.entries({ ...sizes, maxScratchBytes })) {
    checkInteger(ACTION, name, value);
  }
  checkInteger(ACTION, "sinks", sinks, 0);
  if (tuning !== undefined) checkTuning(ACTION, tuning);
  checkGroups(ACTION, { numHeads, numKvHeads });
  checkChoice(ACTION, "dtype", dtype, DTYPES);
  checkChoice(ACTION, "kvDtype", kvDtype, KV_DTYPES);
  checkChoice(ACTION, "arithmetic", arithmetic, ARITHMETIC);
  checkChoice(ACTION, "layout", layout, ["BSNH", "BNSH"]);
  checkChoice(ACTION, "kvLayout", kvLayout, ["BSNH", "BNSH"]);
  checkChoice(ACTION, "impl", impl, ["auto", "fused", "staged"]);
  if (!Array.isArray(outputs)) {
    throw new TypeError(sentence(ACTION, "outputs must be an array", { outputs }));
  }
  for (const output of outputs) checkChoice(ACTION, "outputs", output, OUTPUTS);
  if (impl === "fused" && stagesOf(outputs).length > 0) {
    throw new TypeError(
      sentence(ACTION, 'only impl "staged" has scores and weights to return', { impl, outputs }),
    );
  }
  if (arithmetic !== "f32" && (impl === "staged" || stagesOf(outputs).length > 0)) {
    const where = arithmetic === "f16" ? "in f16" : "on matrix units";
    throw new TypeError(
      sentence(ACTION, `only impl "fused" computes products ${where}`, {
        arithmetic,
        impl,
        outputs,
      }),
    );
  }
  if (arithmetic === "f16" && kvDtype === "f32") {
    throw new RangeError(
      sentence(ACTION, "products in f16 are of keys in f16, int8 or int4 (choose kvDtype)", {
        arithmetic,
        kvDtype,
      }),
    );
  }
  return {
    ...sizes,
    ...fillInScores(ACTION, spec, sizes),
    sinks,
    dtype,
    kvDtype,
    arithmetic,
    layout,
    kvLayout,
    outputs,
    maxScratchBytes,
    impl,
    tuning,
  };
}
