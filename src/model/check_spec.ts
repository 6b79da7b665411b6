/** Checks the kinds of what a decoder's shape holds. */
import { checkInteger, checkObject, sentence } from "../base/check.ts";
import type { DecoderSpec } from "./spec.ts";
import type { DecoderWeights } from "./weights.ts";

/** What makes the shapes of weights. */
const SIZES = [
  ...["vocabSize", "dim", "hiddenDim", "numHeads", "numKvHeads", "headDim", "contextLen"] as const,
];

/**
 * Throws a `TypeError` unless the shape of a decoder, its norm and its layers are objects and its sizes numbers, and a
 * `RangeError` for a size that is not a whole number of at least 1.
 */
export function checkSpec(action: string, spec: DecoderSpec, name = "spec"): void {
  checkObject(action, name, spec);
  checkObject(action, `${name}.norm`, spec.norm);
  const { layers } = spec;
  if (!Array.isArray(layers)) {
    throw new TypeError(sentence(action, `${name}.layers must be an array`, { layers }));
  }
  layers.forEach((layer, i) => checkObject(action, `${name}.layers[${i}]`, layer));
  for (const size of SIZES) checkInteger(action, `${name}.${size}`, spec[size]);
}

/** Throws a `TypeError` unless weights can be asked and read by their names. */
export function checkWeights(action: string, weights: DecoderWeights, name = "weights"): void {
  checkObject(action, name, weights);
  const { has, read } = weights;
  if (typeof has === "function" && typeof read === "function") return;
  throw new TypeError(sentence(action, `${name} must have functions has and read`, { has, read }));
}
