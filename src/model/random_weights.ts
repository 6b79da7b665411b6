import { checkFunction, checkInteger, checkObject, sentence } from "../base/check.ts";
import { seedFrom, uniform } from "../base/random.ts";
import { elementCount } from "../tensor/dtype.ts";
import { checkSpec } from "./check_spec.ts";
import type { DecoderSpec } from "./spec.ts";
import { weightShapes } from "./weight_shapes.ts";
import type { DecoderWeights } from "./weights.ts";

const ACTION = "draw random weights";

/** Options of {@linkcode randomWeights}. */
export interface RandomWeightsOptions {
  /** Repeats the weights. The default is 0. */
  seed?: number;
  /** Whether a weight that a decoder may lack exists, by its name. The default is that none does. */
  has?: (name: string) => boolean;
}

/**
 * Weights of a model that nobody trained, for trying out shapes: about normally distributed, those of a matrix with the
 * variance that keeps the size of its input, gains about 1.
 *
 * @param spec The model's shape.
 * @param options Seed, and the weights beside those that every model has.
 * @returns The weights, each the same whenever it is read.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a value is out of range.
 *
 * @example
 * ```ts
 * import { type DecoderSpec, randomWeights } from "@onehead/attention/decoder";
 *
 * const spec: DecoderSpec = {
 *   ...{ vocabSize: 100, dim: 32, hiddenDim: 64, numHeads: 4, numKvHeads: 1, headDim: 8, contextLen: 64 },
 *   layers: [{ rope: {} }],
 *   norm: { kind: "rms", eps: 1e-5 },
 *   ...{ activation: "silu", isGated: true, isParallel: false },
 * };
 * const { data, shape } = await randomWeights(spec, { seed: 7 }).read("layers.0.k.weight");
 * console.log(shape, data.length); // [8, 32] 256
 * ```
 */
export function randomWeights(
  spec: DecoderSpec,
  options: RandomWeightsOptions = {},
): DecoderWeights {
  checkObject(ACTION, "options", options);
  checkSpec(ACTION, spec);
  const { seed = 0 } = options;
  checkInteger(ACTION, "seed", seed, 0);
  if (options.has !== undefined) checkFunction(ACTION, "has", options.has);
  const shapes = new Map(
    weightShapes(spec)
      .filter(({ name, isOptional }) => !isOptional || options.has?.(name))
      .map(({ name, shape }) => [name, shape]),
  );
  return {
    has: (name) => shapes.has(name),
    read(name) {
      const shape = shapes.get(name);
      if (!shape) {
        const rule = "the decoder has none of that name";
        return Promise.reject(new RangeError(sentence("read a random weight", rule, { name })));
      }
      const next = normal(seed ^ seedFrom(name));
      const [mean, deviation] = shape.length > 1
        ? [0, 1 / Math.sqrt(shape[1])]
        : [name.endsWith(".bias") ? 0 : 1, 0.1];
      const data = new Float32Array(elementCount(shape));
      for (let i = 0; i < data.length; i++) data[i] = mean + deviation * next();
      return Promise.resolve({ data, shape });
    },
  };
}

/** The sum of four uniform numbers, with variance 1: close enough to normal, and fast. */
function normal(seed: number): () => number {
  const next = uniform(seed);
  return () => (next() + next() + next() + next() - 2) * Math.sqrt(3);
}
