import { checkChoice, checkInteger, sentence } from "./_check.ts";
import type { Dtype } from "./tensor.ts";

/** Order of the axes of tensors: B batch, S tokens, N heads, H head size. */
export type Layout = "BSNH" | "BNSH";

/** What attention can return besides its output. */
export type AttentionOutput = "scores" | "weights";

/**
 * How attention is computed: `"staged"` in three kernels with scores and weights in memory, `"fused"` in one pass over keys
 * and values, `"auto"` fused wherever nobody asks for scores or weights and a tile fits the device.
 */
export type Implementation = "auto" | "fused" | "staged";

/** Shapes and options of an attention. */
export interface AttentionSpec {
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
  /** New tokens per sequence: the queries, which are the last tokens of the context. The default is 1. */
  seqLen?: number;
  /** Tokens of K and V: all of a contiguous tensor, or the slots of a ring. */
  capacity: number;
  /** Whether a query sees no later keys. The default is true. */
  causal?: boolean;
  /** A query sees at most so many keys up to its own, its own included. The default is all of them. */
  window?: number;
  /** Factor on the scores. The default is `1 / sqrt(headDim)`. */
  scale?: number;
  /** Element type of q, k, v and o; sums are in f32. The default is `"f32"`. */
  dtype?: Dtype;
  /** Axes of q and o, and of contiguous k and v. The default is `"BSNH"`. */
  layout?: Layout;
  /** Axes of k and v where they differ from those of q: a ring is `"BNSH"`. The default is `layout`. */
  kvLayout?: Layout;
  /** What to return besides the output, each as f32 [B, N, S, contextLen]. The default is nothing. */
  outputs?: readonly AttentionOutput[];
  /** Most bytes of scratch; staged scores that do not fit are done in blocks of rows. The default is 128 MiB. */
  maxScratchBytes?: number;
  /** How to compute it. The default is `"auto"`. */
  impl?: Implementation;
}

/** A specification with its defaults filled in. */
export type FilledSpec =
  & Required<Omit<AttentionSpec, "window">>
  & Pick<AttentionSpec, "window">;

/** What errors about a specification say cannot be done. */
export const ACTION = "plan attention";

const DEFAULT_SCRATCH_BYTES = 128 * 2 ** 20;

/** Fills in the defaults of a specification and checks each value by itself. */
export function fillIn(spec: AttentionSpec): FilledSpec {
  const { batch = 1, numHeads, numKvHeads = numHeads, headDim, valueDim = headDim } = spec;
  const { seqLen = 1, capacity, causal = true, window, scale = 1 / Math.sqrt(headDim) } = spec;
  const { dtype = "f32", layout = "BSNH", kvLayout = layout, outputs = [] } = spec;
  const { maxScratchBytes = DEFAULT_SCRATCH_BYTES, impl = "auto" } = spec;
  const sizes = { batch, numHeads, numKvHeads, headDim, valueDim, seqLen, capacity };
  for (const [name, value] of Object.entries({ ...sizes, maxScratchBytes })) {
    checkInteger(ACTION, name, value);
  }
  if (window !== undefined) checkInteger(ACTION, "window", window);
  if (numHeads % numKvHeads !== 0) {
    throw new RangeError(
      sentence(ACTION, "numHeads must be a multiple of numKvHeads", { numHeads, numKvHeads }),
    );
  }
  checkChoice(ACTION, "causal", causal, [true, false]);
  checkChoice(ACTION, "dtype", dtype, ["f32", "f16"]);
  checkChoice(ACTION, "layout", layout, ["BSNH", "BNSH"]);
  checkChoice(ACTION, "kvLayout", kvLayout, ["BSNH", "BNSH"]);
  checkChoice(ACTION, "impl", impl, ["auto", "fused", "staged"]);
  if (!Array.isArray(outputs)) {
    throw new TypeError(sentence(ACTION, "outputs must be an array", { outputs }));
  }
  if (impl === "fused" && outputs.length > 0) {
    throw new TypeError(
      sentence(ACTION, 'only impl "staged" has scores and weights to return', { impl, outputs }),
    );
  }
  for (const output of outputs) checkChoice(ACTION, "outputs", output, ["scores", "weights"]);
  if (typeof scale !== "number") {
    throw new TypeError(sentence(ACTION, "scale must be a number", { scale }));
  }
  if (!Number.isFinite(scale)) {
    throw new RangeError(sentence(ACTION, "scale must be finite", { scale }));
  }
  return {
    ...sizes,
    causal,
    window,
    scale,
    dtype,
    layout,
    kvLayout,
    outputs,
    maxScratchBytes,
    impl,
  };
}
