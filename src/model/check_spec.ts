/** Checks the kinds of what a decoder's shape holds. */
import {
  checkArray,
  checkBoolean,
  checkChoice,
  checkFinite,
  checkInteger,
  checkNumbers,
  checkObject,
  sentence,
} from "../base/check.ts";
import { fillInRope } from "../cache/rope_kernel.ts";
import { ACTIVATIONS } from "../layer/linear.ts";
import type { DecoderLayer, DecoderSpec } from "./spec.ts";
import type { DecoderWeights } from "./weights.ts";

/** What makes the shapes of weights. */
const SIZES = [
  ...["vocabSize", "dim", "hiddenDim", "numHeads", "numKvHeads", "headDim", "contextLen"] as const,
];

const NORMS: readonly DecoderSpec["norm"]["kind"][] = ["rms", "layer"];

/**
 * Throws a `TypeError` for a field of a decoder's shape that is of the wrong kind, and a `RangeError` for a number that is out of
 * range.
 */
export function checkSpec(action: string, spec: DecoderSpec, name = "spec"): void {
  checkObject(action, name, spec);
  for (const size of SIZES) checkInteger(action, `${name}.${size}`, spec[size]);
  const { layers, norm, activation, headDim } = spec;
  checkArray(action, `${name}.layers`, layers);
  layers.forEach((layer, i) => checkLayer(action, layer, headDim, `${name}.layers[${i}]`));
  checkObject(action, `${name}.norm`, norm);
  checkChoice(action, `${name}.norm.kind`, norm.kind, NORMS);
  checkFinite(action, `${name}.norm.eps`, norm.eps);
  checkChoice(action, `${name}.activation`, activation, ACTIVATIONS);
  for (const flag of ["isGated", "isParallel"] as const) {
    checkBoolean(action, `${name}.${flag}`, spec[flag]);
  }
  const { positionsEnd, scale, embeddingScale, alibiSlopes } = spec;
  if (positionsEnd !== undefined) checkBoolean(action, `${name}.positionsEnd`, positionsEnd);
  if (scale !== undefined) checkFinite(action, `${name}.scale`, scale);
  if (embeddingScale !== undefined) checkFinite(action, `${name}.embeddingScale`, embeddingScale);
  if (alibiSlopes !== undefined) checkNumbers(action, `${name}.alibiSlopes`, alibiSlopes);
}

function checkLayer(action: string, layer: DecoderLayer, headDim: number, name: string): void {
  checkObject(action, name, layer);
  const { rope, window } = layer;
  if (rope !== undefined) fillInRope(action, rope, headDim, `${name}.rope`);
  if (window !== undefined) checkInteger(action, `${name}.window`, window);
}

/** Throws a `TypeError` unless weights can be asked and read by their names. */
export function checkWeights(action: string, weights: DecoderWeights, name = "weights"): void {
  checkObject(action, name, weights);
  const { has, read } = weights;
  if (typeof has === "function" && typeof read === "function") return;
  throw new TypeError(sentence(action, `${name} must have functions has and read`, { has, read }));
}
