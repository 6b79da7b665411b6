import { checkChoice, checkInteger, sentence } from "../base/check.ts";
import { elementCount } from "../tensor/dtype.ts";

/**
 * The place of the queries in the context: `"bottom-right"`, the last tokens; `"top-left"`, the first tokens; or the position
 * of the first query, such as the length of the past.
 */
export type Alignment = "bottom-right" | "top-left" | number;

/** The matrices on the way to softmax: the scaled products, those after the softcap, those after bias and masks. */
export type ScoreStage = "products" | "softcapped" | "scores";

/** The scores and the mask: the way from the product of a query and a key to the score that softmax reads. */
export interface ScoreSpec {
  /** Whether a query sees no later keys. The default is true. */
  causal?: boolean;
  /**
   * The place of the queries in the context, for `causal`, the windows and ALiBi. The default is `"bottom-right"`. Over a
   * ring, another alignment holds until the ring wraps.
   */
  alignment?: Alignment;
  /** Most keys that a query sees up to its own, its own included. The default is all of them. */
  window?: number;
  /** Most keys that a query which is not causal sees after its own. The default is all of them. */
  windowRight?: number;
  /** Factor on the scores. The default is `1 / sqrt(headDim)`. */
  scale?: number;
  /** Scores become `softcap tanh(score / softcap)` after the scale (Gemma 2, arXiv 2408.00118). The default is no cap. */
  softcap?: number;
  /**
   * One number per query head: a score falls by it with each token between query and key (ALiBi, arXiv 2108.12409). The
   * default is none.
   */
  alibiSlopes?: readonly number[];
  /**
   * One number per query head: the score of a key without a value, which takes its share of the weights (learned attention
   * sinks, gpt-oss, arXiv 2508.10925; all zero: `softmax1`). Counted once, also in the log-sum-exp. The default is none.
   */
  sinkLogits?: readonly number[];
  /**
   * Shape of a bias that is added to the scores after the softcap, [B, N, S, K] or its last 2 or 3 axes; axes before the
   * last may be 1 for all. Key j of the sequence gets element j; keys from K on are masked, as are keys whose element is
   * -Infinity or the lowest f32. The default is no bias.
   */
  bias?: readonly number[];
  /** Shape of a mask, as that of a bias: a query sees the keys whose element is true. The default is no mask. */
  mask?: readonly number[];
  /**
   * The keys that the mask covers: `"first"`, the first K, with later keys masked; `"last"`, the last K, with earlier keys
   * left visible, as for a tree of speculative tokens behind a cache. The default is `"first"`.
   */
  maskKeys?: "first" | "last";
}

/** A {@linkcode ScoreSpec} with its defaults filled in. */
export type FilledScoreSpec =
  & ScoreSpec
  & Required<Pick<ScoreSpec, "causal" | "alignment" | "scale" | "maskKeys">>;

/** Elements of a bias or a mask: kernels count them in 32 bits, and a binding of 512 MiB has room for as many of a mask. */
const MOST_ELEMENTS = 2 ** 32;

/** Fills in the defaults of a specification of scores, and checks it. */
export function fillInScores(
  action: string,
  spec: ScoreSpec,
  sizes: { batch: number; numHeads: number; seqLen: number; headDim: number },
): FilledScoreSpec {
  const { causal = true, alignment = "bottom-right", window, windowRight } = spec;
  const { scale = 1 / Math.sqrt(sizes.headDim), softcap, alibiSlopes, sinkLogits } = spec;
  const { bias, mask, maskKeys = "first" } = spec;
  checkChoice(action, "causal", causal, [true, false]);
  if (typeof alignment === "number") checkInteger(action, "alignment", alignment, 0);
  else checkChoice(action, "alignment", alignment, ["bottom-right", "top-left"]);
  if (window !== undefined) checkInteger(action, "window", window);
  if (windowRight !== undefined) {
    checkInteger(action, "windowRight", windowRight, 0);
    if (causal) {
      throw new RangeError(
        sentence(action, "windowRight is for what is not causal", { windowRight, causal }),
      );
    }
  }
  checkFinite(action, "scale", scale);
  if (softcap !== undefined) {
    checkFinite(action, "softcap", softcap);
    if (softcap <= 0) {
      throw new RangeError(sentence(action, "softcap must be above zero", { softcap }));
    }
  }
  for (const [name, numbers] of Object.entries({ alibiSlopes, sinkLogits })) {
    if (numbers !== undefined) checkPerHead(action, name, numbers, sizes.numHeads);
  }
  checkChoice(action, "maskKeys", maskKeys, ["first", "last"]);
  for (const [name, shape] of Object.entries({ bias, mask })) {
    if (shape !== undefined) checkBroadcast(action, name, shape, sizes);
  }
  const scores = { causal, alignment, window, windowRight, scale, softcap };
  return { ...scores, alibiSlopes, sinkLogits, bias, mask, maskKeys };
}

function checkFinite(action: string, name: string, value: unknown): void {
  if (typeof value !== "number") {
    throw new TypeError(sentence(action, `${name} must be a number`, { [name]: value }));
  }
  if (!Number.isFinite(value)) {
    throw new RangeError(sentence(action, `${name} must be finite`, { [name]: value }));
  }
}

function checkPerHead(
  action: string,
  name: string,
  numbers: readonly number[],
  numHeads: number,
): void {
  if (typeof numbers?.length !== "number") {
    throw new TypeError(sentence(action, `${name} must be numbers`, { [name]: numbers }));
  }
  if (numbers.length !== numHeads) {
    throw new RangeError(
      sentence(action, `${name} must be one number per query head`, {
        length: numbers.length,
        numHeads,
      }),
    );
  }
  Array.from(numbers, (number, head) => checkFinite(action, `${name}[${head}]`, number));
}

function checkBroadcast(
  action: string,
  name: string,
  shape: readonly number[],
  { batch, numHeads, seqLen }: { batch: number; numHeads: number; seqLen: number },
): void {
  if (!Array.isArray(shape) || shape.length < 2 || shape.length > 4) {
    throw new TypeError(
      sentence(action, `${name} must be a shape of 2 to 4 axes`, { [name]: shape }),
    );
  }
  shape.forEach((size, axis) => checkInteger(action, `${name}[${axis}]`, size));
  const full = [batch, numHeads, seqLen];
  const fits = leadingAxes(shape).every((size, axis) => size === 1 || size === full[axis]);
  if (!fits) {
    throw new RangeError(
      sentence(action, `${name} must broadcast to [batch, numHeads, seqLen, keys]`, {
        [name]: shape,
        ...{ batch, numHeads, seqLen },
      }),
    );
  }
  const elements = elementCount(shape);
  if (elements > MOST_ELEMENTS) {
    throw new RangeError(
      sentence(action, `kernels must be able to count the elements of ${name} (split the batch)`, {
        elements,
        most: MOST_ELEMENTS,
      }),
    );
  }
}

/** Sizes over batch, heads and tokens of a shape that may leave the first of them out. */
export function leadingAxes(shape: readonly number[]): number[] {
  return [...Array.from({ length: 4 - shape.length }, () => 1), ...shape.slice(0, -1)];
}
