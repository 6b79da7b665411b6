/** An attention that systems are asked to compute, and its inputs. */
import type { ScoreMod, ScoreSpec } from "../mod.ts";
import { randomElements } from "./random.ts";
import type { Shape } from "./result.ts";
import { SEEDS } from "./inputs.ts";

/** Causal attention of the last `seqLen` tokens of a context, and what else is asked of it. */
export interface Asked extends Shape, Pick<ScoreSpec, "window" | "softcap" | "sinkLogits"> {
  /** Whether numbers are added to the scores. */
  hasBias?: boolean;
  /** Whether the cache has room for the window alone, and so wraps. */
  ring?: boolean;
  /** Bits of the integers that the cache holds; keys and values are such as these hold without rounding. */
  kvBits?: 8 | 4;
  /** Whether the cache is in pages of a pool that sequences share, in any order. */
  isPaged?: boolean;
  /** Tokens that each sequence attends to [batch], at most `contextLen`: its new ones are the last of these. */
  contextLens?: readonly number[];
  /** Whether scores go through {@linkcode OWN_SCORE}. */
  hasOwnScore?: boolean;
}

/** A function of scores that no option offers: it is no sum with something, and depends on the distance. */
export const OWN_SCORE = {
  wgsl: {
    name: "fadingWithDistance",
    wgsl: `fn fadingWithDistance(score: f32, at: ScoreAt) -> f32 {
      return score / (1.0 + 0.125 * abs(f32(at.query - at.key)));
    }`,
  } satisfies ScoreMod,
  /** The factor of a score. */
  factor: (query: number, key: number): number => 1 / (1 + 0.125 * Math.abs(query - key)),
};

/** The inputs, row-major; in f16 every element is rounded to it. */
export interface Inputs {
  /** [batch, seqLen, numHeads, headDim] */
  q: Float32Array;
  /** [batch, numKvHeads, contextLen, headDim] */
  k: Float32Array;
  /** [batch, numKvHeads, contextLen, valueDim] */
  v: Float32Array;
  /** [numHeads, seqLen, contextLen] */
  bias?: Float32Array;
}

/** The bench's random inputs on the host: the same that its own subjects have on the GPU. */
export function inputsOf(asked: Asked): Inputs {
  const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen } = asked;
  const elements = (name: keyof Inputs, count: number) =>
    new Float32Array(elementsOf(asked, name, 0, count));
  const { valueDim = headDim, valuesAre } = asked;
  const rows = batch * numKvHeads * contextLen;
  const k = elements("k", rows * headDim);
  return {
    q: elements("q", batch * seqLen * numHeads * headDim),
    k,
    v: valuesAre === "keys" ? firstOfRows(k, headDim, valueDim) : elements("v", rows * valueDim),
    ...(asked.hasBias && { bias: elements("bias", numHeads * seqLen * contextLen) }),
  };
}

/** `count` elements of an input from element `first`, which begins a row. */
export function elementsOf(
  { dtype, headDim, valueDim = headDim, kvBits }: Asked,
  name: keyof Inputs,
  first: number,
  count: number,
): Float64Array {
  const elements = randomElements(first, count, { dtype, seed: SEEDS[name] });
  if (kvBits === undefined || (name !== "k" && name !== "v")) return elements;
  return integersOf(elements, name === "k" ? headDim : valueDim, kvBits);
}

/** The step between the numbers that an integer cache holds. */
export function stepOf(kvBits: 8 | 4): number {
  return 2 ** (1 - kvBits);
}

/** Whole numbers of steps; the first of each row is the largest, so that a scale by rows is that of all. Integers have one zero. */
function integersOf(elements: Float64Array, size: number, kvBits: 8 | 4): Float64Array {
  const step = stepOf(kvBits);
  const most = 1 - step;
  return elements.map((value, i) =>
    i % size === 0 ? (value < 0 ? -most : most) : step * Math.round(value * most / step) + 0
  );
}

/** The first elements of each row. */
export function firstOfRows(data: ArrayLike<number>, size: number, count: number): Float32Array {
  return Float32Array.from(
    { length: data.length / size * count },
    (_, i) => data[Math.floor(i / count) * size + i % count],
  );
}
