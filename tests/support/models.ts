// Small decoders for tests.
import { randomWeights } from "../../src/model/random_weights.ts";
import type { DecoderSpec } from "../../src/model/spec.ts";
import { weightShapes } from "../../src/model/weight_shapes.ts";
import type { DecoderWeights, WeightData } from "../../src/model/weights.ts";
import type { Random } from "./random.ts";

/** The smallest model that has every part: one layer, one head, width 2, three tokens. */
export const TINY: DecoderSpec = {
  ...{ vocabSize: 3, dim: 2, hiddenDim: 2, numHeads: 1, numKvHeads: 1, headDim: 2, contextLen: 8 },
  layers: [{}],
  norm: { kind: "rms", eps: 0 },
  activation: "silu",
  isGated: false,
  isParallel: false,
};

/** A model with awkward sizes. */
export const SMALL: DecoderSpec = {
  ...{ vocabSize: 37, dim: 24, hiddenDim: 20, numHeads: 6, numKvHeads: 2, headDim: 8 },
  contextLen: 32,
  layers: [{ rope: {} }, { rope: { base: 500, style: "pairs" } }],
  norm: { kind: "rms", eps: 1e-6 },
  activation: "silu",
  isGated: true,
  isParallel: false,
};

/** Weights that are in memory. */
export function memoryWeights(weights: ReadonlyMap<string, WeightData>): DecoderWeights {
  return {
    has: (name) => weights.has(name),
    read: (name) => {
      const weight = weights.get(name);
      if (weight) return Promise.resolve(weight);
      return Promise.reject(new RangeError(`Cannot read ${name} as it is not there`));
    },
  };
}

/** The weights given by name; of the others that a model must have, norms are 1 and matrices 0. */
export function weightsWith(
  spec: DecoderSpec,
  given: Readonly<Record<string, readonly number[]>>,
): DecoderWeights {
  const weights = new Map<string, WeightData>();
  for (const { name, shape, isOptional } of weightShapes(spec)) {
    if (given[name]) weights.set(name, { data: Float32Array.from(given[name]), shape });
    else if (!isOptional) {
      const length = shape.reduce((product, size) => product * size, 1);
      const data = new Float32Array(length).fill(name.endsWith("orm.weight") ? 1 : 0);
      weights.set(name, { data, shape });
    }
  }
  return memoryWeights(weights);
}

/** Random weights, the optional ones among them that are named: by the end of their names. */
export function weightsOf(
  spec: DecoderSpec,
  random: Random,
  has: readonly string[] = [],
): DecoderWeights {
  return randomWeights(spec, {
    seed: random.integer(0, 2 ** 31),
    has: (name) => has.some((end) => name.endsWith(end)),
  });
}
