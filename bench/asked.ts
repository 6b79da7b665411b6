/** An attention that systems are asked to compute, and its inputs. */
import type { ScoreSpec } from "../mod.ts";
import { randomElements } from "./random.ts";
import type { Shape } from "./result.ts";
import { SEEDS } from "./inputs.ts";

/** Causal attention of the last `seqLen` tokens of a context, and what else is asked of it. */
export interface Asked extends Shape, Pick<ScoreSpec, "window" | "softcap" | "sinkLogits"> {
  /** Whether numbers are added to the scores. */
  hasBias?: boolean;
  /** Whether the cache has room for the window alone, and so wraps. */
  ring?: boolean;
}

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
  const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen, dtype } = asked;
  const elements = (name: "q" | "k" | "v" | "bias", count: number) =>
    new Float32Array(randomElements(0, count, { dtype, seed: SEEDS[name] }));
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

/** The first elements of each row. */
export function firstOfRows(data: ArrayLike<number>, size: number, count: number): Float32Array {
  return Float32Array.from(
    { length: data.length / size * count },
    (_, i) => data[Math.floor(i / count) * size + i % count],
  );
}
