import { elementCount } from "../src/tensor.ts";
import type { DecoderSpec } from "./spec.ts";
import type { DecoderWeights } from "./weights.ts";

/**
 * Weights of a model that nobody trained, for trying out shapes: normally distributed, of the variance that keeps the
 * residual stream about as large as it is.
 *
 * @param spec The model's shape.
 * @param seed Repeats the weights.
 * @returns The weights that every model of this shape has, each the same whenever it is read.
 */
export function randomWeights(spec: DecoderSpec, seed: number): DecoderWeights {
  const shapes = new Map(Object.entries(shapesOf(spec)));
  return {
    has: (name) => shapes.has(name),
    read(name) {
      const shape = shapes.get(name);
      if (!shape) return Promise.reject(new RangeError(`There is no weight of the name ${name}`));
      const data = new Float32Array(elementCount(shape));
      if (shape.length === 1) return Promise.resolve({ data: data.fill(1), shape });
      const next = normal(seed ^ hash(name));
      const deviation = 1 / Math.sqrt(shape[1]);
      for (let i = 0; i < data.length; i++) data[i] = deviation * next();
      return Promise.resolve({ data, shape });
    },
  };
}

function shapesOf(spec: DecoderSpec): Record<string, readonly number[]> {
  const { vocabSize, dim, hiddenDim, numHeads, numKvHeads, headDim, layers, isGated } = spec;
  const shapes: Record<string, readonly number[]> = {
    "embedding.weight": [vocabSize, dim],
    "finalNorm.weight": [dim],
  };
  layers.forEach((_, i) => {
    Object.assign(shapes, {
      [`layers.${i}.attentionNorm.weight`]: [dim],
      [`layers.${i}.q.weight`]: [numHeads * headDim, dim],
      [`layers.${i}.k.weight`]: [numKvHeads * headDim, dim],
      [`layers.${i}.v.weight`]: [numKvHeads * headDim, dim],
      [`layers.${i}.o.weight`]: [dim, numHeads * headDim],
      [`layers.${i}.mlpNorm.weight`]: [dim],
      ...(isGated && { [`layers.${i}.gate.weight`]: [hiddenDim, dim] }),
      [`layers.${i}.up.weight`]: [hiddenDim, dim],
      [`layers.${i}.down.weight`]: [dim, hiddenDim],
    });
  });
  return shapes;
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const char of text) value = Math.imul(value ^ char.codePointAt(0)!, 0x01000193);
  return value;
}

/** The sum of four uniform numbers (mulberry32), with variance 1: close enough to normal, and fast. */
function normal(seed: number): () => number {
  let state = seed | 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => (uniform() + uniform() + uniform() + uniform() - 2) * Math.sqrt(3);
}
