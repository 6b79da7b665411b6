import {
  checkChoice,
  checkFinite,
  checkInteger,
  checkPositive,
  copyShape,
  sentence,
} from "../base/check.ts";
import { elementCount } from "../tensor/dtype.ts";
import { fillInMods, type MaskMod, type Mods, type ScoreMod } from "./score_mod.ts";

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
   * The place of the queries in the context, for `causal`, the windows and ALiBi; a position is at most 2^29. The default
   * is `"bottom-right"`. Over a ring, another alignment holds until the ring wraps.
   */
  alignment?: Alignment;
  /** Most keys that a query sees up to its own, its own included: up to 2^29. The default is all of them. */
  window?: number;
  /** Most keys that a query which is not causal sees after its own: up to 2^29. The default is all of them. */
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
   * -Infinity or the lowest f32. K = 1 is one key and not all: where the capacity is larger it is refused unless `maskKeys`
   * is given. The default is no bias.
   */
  bias?: readonly number[];
  /** Shape of a mask, as that of a bias: a query sees the keys whose element is true. The default is no mask. */
  mask?: readonly number[];
  /**
   * The keys that the mask covers: `"first"`, the first K, with later keys masked; `"last"`, the last K, with earlier keys
   * left visible, as for a tree of speculative tokens behind a cache. The default is `"first"`.
   */
  maskKeys?: "first" | "last";
  /** A function of your own that changes scores, after the bias. The default is none. */
  scoreMod?: ScoreMod;
  /** A function of your own that says which keys a query sees, of those that it would see. The default is none. */
  maskMod?: MaskMod;
  /**
   * Whether attention is given the `BlockMask` of its `maskMod`, by which it neither loads nor computes tiles that nobody sees.
   * The default is false.
   */
  blockMask?: boolean;
}

/** A {@linkcode ScoreSpec} with its defaults filled in. */
export type FilledScoreSpec =
  & Omit<ScoreSpec, keyof Mods>
  & Mods
  & Required<Pick<ScoreSpec, "causal" | "alignment" | "scale" | "maskKeys" | "blockMask">>;

/** The farthest position of a first query, and the widest window: sums of two of them are within i32. */
const FARTHEST = 2 ** 29;
/** Elements of a bias or a mask: kernels count them in 32 bits, and a binding of 512 MiB has room for as many of a mask. */
const MOST_ELEMENTS = 2 ** 32;

/** Fills in the defaults of a specification of scores, and checks it. */
export function fillInScores(
  action: string,
  spec: ScoreSpec,
  sizes: { batch: number; numHeads: number; seqLen: number; capacity: number; headDim: number },
): FilledScoreSpec {
  const { causal = true, alignment = "bottom-right", window, windowRight } = spec;
  const { scale = 1 / Math.sqrt(sizes.headDim), softcap, maskKeys = "first" } = spec;
  checkChoice(action, "causal", causal, [true, false]);
  if (typeof alignment === "number") checkPosition(action, "alignment", alignment);
  else checkChoice(action, "alignment", alignment, ["bottom-right", "top-left"]);
  if (window !== undefined) checkPosition(action, "window", window, 1);
  if (windowRight !== undefined) {
    checkPosition(action, "windowRight", windowRight);
    if (causal) {
      throw new RangeError(
        sentence(action, "windowRight is for what is not causal", { windowRight, causal }),
      );
    }
  }
  checkFinite(action, "scale", scale);
  if (softcap !== undefined) checkPositive(action, "softcap", softcap);
  checkChoice(action, "maskKeys", maskKeys, ["first", "last"]);
  const perHead = (name: "alibiSlopes" | "sinkLogits") =>
    spec[name] === undefined ? undefined : copyPerHead(action, name, spec[name], sizes.numHeads);
  const broadcast = (name: "bias" | "mask") => {
    if (spec[name] === undefined) return undefined;
    return copyBroadcast(action, name, spec[name], { ...sizes, maskKeys: spec.maskKeys });
  };
  const scores = { causal, alignment, window, windowRight, scale, softcap };
  const [alibiSlopes, sinkLogits] = [perHead("alibiSlopes"), perHead("sinkLogits")];
  const [bias, mask] = [broadcast("bias"), broadcast("mask")];
  const mods = fillInMods(action, spec);
  const { blockMask = false } = spec;
  checkChoice(action, "blockMask", blockMask, [true, false]);
  if (blockMask && !mods.maskMod) {
    const rule = "blockMask is of a mask (give maskMod, or leave blockMask out)";
    throw new TypeError(sentence(action, rule, { blockMask, maskMod: mods.maskMod }));
  }
  return { ...scores, alibiSlopes, sinkLogits, bias, mask, maskKeys, ...mods, blockMask };
}

/** Throws unless a position, or a distance of positions, is one that kernels can add to others in 32 bits. */
function checkPosition(action: string, name: string, value: number, least = 0): void {
  checkInteger(action, name, value, least);
  if (value <= FARTHEST) return;
  throw new RangeError(
    sentence(action, `${name} must be at most 2^29 (leave it out where that is beyond every key)`, {
      [name]: value,
    }),
  );
}

function copyPerHead(
  action: string,
  name: string,
  numbers: readonly number[],
  numHeads: number,
): number[] {
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
  return Array.from({ length: numHeads }, (_, head) => {
    const number = numbers[head];
    checkFinite(action, `${name}[${head}]`, number);
    return number;
  });
}

/**
 * Copies the shape of a bias or a mask, and checks it. A last axis of 1, which elsewhere is for all keys, is one key: it must
 * be meant, which `maskKeys` says.
 */
function copyBroadcast(
  action: string,
  name: string,
  given: readonly number[],
  { batch, numHeads, seqLen, capacity, maskKeys }: {
    batch: number;
    numHeads: number;
    seqLen: number;
    capacity: number;
    maskKeys?: "first" | "last";
  },
): number[] {
  const shape = copyShape(action, name, given);
  if (shape.length < 2 || shape.length > 4) {
    throw new TypeError(
      sentence(action, `${name} must be a shape of 2 to 4 axes`, { [name]: shape }),
    );
  }
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
  if (shape.at(-1) === 1 && capacity > 1 && maskKeys === undefined) {
    const rule = `the last axis of ${name} counts keys, and is not broadcast (give all keys; or ` +
      "maskKeys, where one key is meant)";
    throw new RangeError(sentence(action, rule, { [name]: shape, capacity }));
  }
  return shape;
}

/** Sizes over batch, heads and tokens of a shape that may leave the first of them out. */
export function leadingAxes(shape: readonly number[]): number[] {
  return [...Array.from({ length: 4 - shape.length }, () => 1), ...shape.slice(0, -1)];
}

/** Whether a step of the scores may mask keys that a query sees by its position. */
export function masksKeys({ bias, mask, scoreMod, maskMod }: FilledScoreSpec): boolean {
  return [bias, mask, scoreMod, maskMod].some((step) => step !== undefined);
}
