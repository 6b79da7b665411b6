import {
  checkArray,
  checkChoice,
  checkGroups,
  checkInteger,
  checkObject,
  sentence,
} from "../base/check.ts";
import { type FilledScoreSpec, fillInScores, type ScoreSpec } from "../score/score_spec.ts";
import { type Dtype, DTYPES, KV_DTYPES, type KvDtype } from "../tensor/dtype.ts";
import { type Layout, LAYOUTS } from "../tensor/layout.ts";
import { type AttentionOutput, OUTPUTS, stagesOf } from "./outputs.ts";
import { checkPages, type PageLayout } from "../cache/cache_spec.ts";
import { checkValuesAre } from "../cache/kv_shape.ts";
import { checkTransform, type KvTransform } from "../cache/kv_transform.ts";
import { copyTuning, type Tuning } from "./tuning.ts";

/**
 * The implementation of attention: `"staged"`, three kernels with scores and weights in memory; `"fused"`, one pass over keys
 * and values; `"auto"`, fused wherever neither scores nor weights are asked for and a tile fits the device.
 */
export type Implementation = "auto" | "fused" | "staged";

/**
 * The arithmetic of products. {@linkcode AttentionSpec.arithmetic} has the error of each.
 *
 * - `"f32"`: all products in f32
 * - `"f16"`: products of queries and keys in f16, added up in f32
 * - `"matrix"`: products of queries and keys, and of weights and values, on matrix units (tensor cores), with factors in f16
 *   and sums in f32: an experiment
 */
export type Arithmetic = "f32" | "f16" | "matrix";

/** Shapes and options of an attention. */
export interface AttentionSpec extends ScoreSpec, KvTransform {
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
  /**
   * `"keys"`: a value is the first `valueDim` elements of its key, and attention reads keys alone: give no `v`. Latent
   * attention in its absorbed form has such keys (DeepSeek-V2, 2024, arXiv 2405.04434). The default is values of their own.
   */
  valuesAre?: "keys";
  /** New tokens per sequence: the queries, by default the last tokens of the context. The default is 1. */
  seqLen?: number;
  /**
   * Rows for new tokens that lie end to end, those of all sequences one after the other: q and o are [tokens, N, ...] then,
   * `seqLen` is the most new tokens of one sequence, and how many each has in a step is what a `PagedKvCache` was extended
   * by. The default is `seqLen` rows for every sequence.
   */
  tokens?: number;
  /** Tokens of K and V: all of a contiguous tensor, or the slots of a ring. */
  capacity: number;
  /**
   * First tokens of a sequence, which every later query sees besides its window (attention sinks: Xiao et al. 2023,
   * StreamingLLM, arXiv 2309.17453). The default is 0.
   */
  sinks?: number;
  /** Element type of q and o; sums are in f32. The default is `"f32"`. */
  dtype?: Dtype;
  /** Element type of k and v. The default is `dtype`. */
  kvDtype?: KvDtype;
  /**
   * The arithmetic of products in the fused implementation; where no fused tile fits, the staged one computes in f32. The
   * default is `"f32"`.
   *
   * `"f16"` is for devices whose arithmetic is faster in f16: it computes products of queries and keys in f16, four and their
   * sum at a time where 4 divides the sizes of a head; longer sums, softmax and values stay in f32. Keys must not be f32. A
   * score is then off by at most `e = |scale| max |q| (6 |k|_1 + headDim step) / 1024`, where the step is that of an integer key
   * and 1 for others, and an output by at most `(exp(2 e) - 1) max |v|`; no key, and no query up to 1e37, is too large.
   *
   * `"matrix"` is an experiment, whose speed has yet to be measured on a GPU: it rounds queries, keys, weights and values of
   * any storage to f16 and multiplies them on matrix units, where the device grants them ({@linkcode GpuFeatures}); sums and
   * softmax are in f32. A score is then off by at most `e = |scale| max |q| (3 |k|_1 + headDim / 16) / 1024`, and an
   * output by at most `(exp(2 e) - 1 + (3 + contextLen / 2^19) / 1024) max |v| + 6.2e-5`. No query and no value is too
   * large; keys in f32 beyond 65504 are infinite, as they are when stored in f16.
   */
  arithmetic?: Arithmetic;
  /** Axes of q and o, and of contiguous k and v. The default is `"BSNH"`. */
  layout?: Layout;
  /** Pages that keys and values lie in, as `cache.spec` of a paged cache says. The default is none. */
  pages?: PageLayout;
  /** Axes of k and v where they differ from those of q: a ring is `"BNSH"`. The default is `layout`. */
  kvLayout?: Layout;
  /**
   * The outputs to return beside o: each f32 [B, N, S, contextLen], with a column for each of the sinks, then for each of
   * the last tokens that any query may see; but `"lse"` f32 [B, S, N], shaped as o without its last axis. The default is
   * none.
   */
  outputs?: readonly AttentionOutput[];
  /** Most bytes of scratch; staged scores that do not fit are computed in blocks of rows. The default is 128 MiB. */
  maxScratchBytes?: number;
  /** The implementation. The default is `"auto"`. */
  impl?: Implementation;
  /** Tile sizes that `deno run bench tune` found on the device. The default is those of the device's class. */
  tuning?: Tuning;
}

/** A specification with its defaults filled in. */
export type FilledSpec =
  & Required<
    Omit<
      AttentionSpec,
      keyof ScoreSpec | keyof KvTransform | "tuning" | "pages" | "valuesAre" | "tokens"
    >
  >
  & Pick<AttentionSpec, keyof KvTransform | "tuning" | "pages" | "valuesAre" | "tokens">
  & FilledScoreSpec
  & {
    /**
     * Query rows in all. A row is (batch, head, token), numbered as in [B, N, S], or as in [N, tokens] where these lie end to
     * end.
     */
    numRows: number;
    /** How the query rows of a head lie: `seqLen` for each sequence, or that many in all, end to end. */
    queries: { arrangement: "padded" | "ragged"; seqLen: number };
  };

/** A specification without its scores and its tuning, which have checks of their own. */
type OwnSpec = Omit<FilledSpec, keyof FilledScoreSpec | "numRows" | "queries" | "tuning">;

/** The action that errors about a specification name. */
export const ACTION = "plan attention";

const DEFAULT_SCRATCH_BYTES = 128 * 2 ** 20;
/** The values of options that are words, in the order of checking. */
const CHOICES = {
  dtype: DTYPES,
  kvDtype: KV_DTYPES,
  arithmetic: ["f32", "f16", "matrix"],
  layout: LAYOUTS,
  kvLayout: LAYOUTS,
  impl: ["auto", "fused", "staged"],
} as const;

/**
 * Fills in the defaults of a specification, and checks its values by themselves and with each other. The result shares no
 * array with the specification, which its owner may change.
 */
export function fillIn(spec: AttentionSpec): FilledSpec {
  checkObject(ACTION, "spec", spec);
  const { batch = 1, numHeads, numKvHeads = numHeads, headDim, valueDim = headDim } = spec;
  const { seqLen = 1, capacity, sinks = 0, outputs = [], impl = "auto", tuning, pages } = spec;
  const { valuesAre, kvCalibrated = false, kvRotation, tokens } = spec;
  const { dtype = "f32", kvDtype = dtype, layout = "BSNH", kvLayout = layout } = spec;
  const { arithmetic = "f32", maxScratchBytes = DEFAULT_SCRATCH_BYTES } = spec;
  const own: OwnSpec = {
    ...{ batch, numHeads, numKvHeads, headDim, valueDim, seqLen, capacity, sinks },
    ...{ dtype, kvDtype, arithmetic, layout, kvLayout, outputs, maxScratchBytes, impl, pages },
    ...(valuesAre === undefined ? {} : { valuesAre }),
    ...(kvCalibrated ? { kvCalibrated } : {}),
    ...(kvRotation === undefined ? {} : { kvRotation }),
    ...(tokens === undefined ? {} : { tokens }),
  };
  checkChoice(ACTION, "kvCalibrated", kvCalibrated, [true, false]);
  checkOwn(own);
  // Rows that lie end to end are numbered, masked and biased as those of one sequence.
  const rows = tokens === undefined ? own : { ...own, batch: 1, seqLen: tokens };
  const scores = fillInScores(ACTION, spec, rows);
  if (tokens !== undefined) checkTokens(own, scores);
  return {
    ...own,
    outputs: [...new Set(outputs)],
    tuning: tuning === undefined ? undefined : copyTuning(ACTION, tuning),
    ...scores,
    numRows: numRowsOf(own),
    queries: tokens === undefined
      ? { arrangement: "padded", seqLen }
      : { arrangement: "ragged", seqLen: tokens },
  };
}

/** Query rows in all, as {@linkcode FilledSpec} has them. */
export function numRowsOf(
  { batch, numHeads, seqLen, tokens }: Pick<OwnSpec, "batch" | "numHeads" | "seqLen" | "tokens">,
): number {
  return numHeads * (tokens ?? batch * seqLen);
}

/** Checks what tokens that lie end to end ask for. */
function checkTokens(
  { tokens, seqLen, pages, layout }: OwnSpec,
  { alignment, blockMask }: FilledScoreSpec,
): void {
  if (blockMask) {
    const rule = "a block mask is of as many new tokens in each sequence (leave blockMask out)";
    throw new TypeError(sentence(ACTION, rule, { tokens, blockMask }));
  }
  if (pages === undefined) {
    const rule = "new tokens that lie end to end are those of a PagedKvCache (spread its spec)";
    throw new TypeError(sentence(ACTION, rule, { tokens, pages }));
  }
  if (layout !== "BSNH") {
    const rule = 'new tokens that lie end to end have layout "BSNH"';
    throw new RangeError(sentence(ACTION, rule, { tokens, layout }));
  }
  if (alignment !== "bottom-right") {
    const rule = "queries that lie end to end are the last tokens of their sequences";
    throw new RangeError(sentence(ACTION, rule, { tokens, alignment }));
  }
  if (seqLen > tokens!) {
    const rule = "no sequence can have more new tokens than all of them";
    throw new RangeError(sentence(ACTION, rule, { seqLen, tokens }));
  }
}

/** Checks each value by itself, then those that exclude each other. */
function checkOwn(spec: OwnSpec): void {
  const { batch, numHeads, numKvHeads, headDim, valueDim, seqLen, capacity } = spec;
  const { maxScratchBytes, outputs, impl, arithmetic, kvDtype, pages } = spec;
  const sizes = { batch, numHeads, numKvHeads, headDim, valueDim, seqLen, capacity };
  for (const [name, value] of Object.entries({ ...sizes, maxScratchBytes })) {
    checkInteger(ACTION, name, value);
  }
  checkInteger(ACTION, "sinks", spec.sinks, 0);
  if (spec.tokens !== undefined) checkInteger(ACTION, "tokens", spec.tokens);
  if (pages !== undefined) checkPages(ACTION, pages);
  checkValuesAre(ACTION, spec);
  if (pages !== undefined && spec.valuesAre !== undefined) {
    throw new TypeError(
      sentence(
        ACTION,
        "pages have values of their own (use a RingKvCache, or leave valuesAre out)",
        {
          pages,
          valuesAre: spec.valuesAre,
        },
      ),
    );
  }
  checkTransform(ACTION, spec);
  checkGroups(ACTION, { numHeads, numKvHeads });
  for (const name of Object.keys(CHOICES) as (keyof typeof CHOICES)[]) {
    checkChoice(ACTION, name, spec[name], CHOICES[name]);
  }
  checkArray(ACTION, "outputs", outputs);
  for (const output of outputs) checkChoice(ACTION, "outputs", output, OUTPUTS);
  const asksForStages = stagesOf(outputs).length > 0;
  if (impl === "fused" && asksForStages) {
    throw new TypeError(
      sentence(ACTION, 'only impl "staged" has scores and weights to return', { impl, outputs }),
    );
  }
  if (arithmetic !== "f32" && (impl === "staged" || asksForStages)) {
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
}
