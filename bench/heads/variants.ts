/** The versions of an architecture that are compared. */
import { kvCacheBytes } from "../../mod.ts";
import { checkGroups, sentence } from "../../src/base/check.ts";
import type { DecoderSpec } from "../../src/model/spec.ts";
import { weightShapes } from "../../src/model/weight_shapes.ts";
import type { DecoderWeights } from "../../src/model/weights.ts";
import { ACTION, type HeadsOptions, type Width } from "./options.ts";
import type { Variant } from "./result.ts";

/** A version, and the decoder that is trained as it. */
export interface DecoderVariant extends Variant {
  spec: DecoderSpec;
}

/**
 * The versions by KV heads, the most of them first, and by the width of feed-forward layers. The version with the most KV
 * heads lacks no parameters that wider layers would make up for, and comes once.
 *
 * @param model A decoder, of which weights count for which there are.
 * @throws {RangeError} If there are not as many layers, or KV heads do not divide the query heads.
 */
export function variantsOf(
  { spec, weights }: { spec: DecoderSpec; weights: Pick<DecoderWeights, "has"> },
  { layers = spec.layers.length, kvHeads = halvings(spec.numHeads), widths }: Pick<
    HeadsOptions,
    "layers" | "kvHeads" | "widths"
  >,
): DecoderVariant[] {
  if (layers > spec.layers.length) {
    const rule = "--layers must not be above the model's";
    throw new RangeError(sentence(ACTION, rule, { layers, model: spec.layers.length }));
  }
  const of = (numKvHeads: number, hiddenDim = spec.hiddenDim): DecoderSpec => {
    checkGroups(ACTION, { numHeads: spec.numHeads, numKvHeads });
    return { ...spec, numKvHeads, hiddenDim, layers: spec.layers.slice(0, layers) };
  };
  const count = (spec: DecoderSpec) => parametersOf(spec, weights);
  const falling = kvHeads.toSorted((a, b) => b - a);
  const most = count(of(falling[0]));
  const specOf = (numKvHeads: number, width: Width) => {
    const plain = of(numKvHeads);
    if (width === "same") return plain;
    const ofUnit = count(of(numKvHeads, spec.hiddenDim + 1)) - count(plain);
    return of(numKvHeads, spec.hiddenDim + Math.round((most - count(plain)) / ofUnit));
  };
  return widths.flatMap((width) =>
    falling.filter((numKvHeads) => numKvHeads < falling[0] || width === widths[0])
      .map((numKvHeads) => {
        const spec = specOf(numKvHeads, width);
        const { hiddenDim, headDim } = spec;
        const kvBytesPerToken = kvCacheBytes(
          { numLayers: layers, numKvHeads, headDim },
          { contextLen: 1, dtype: "f32" },
        );
        return { numKvHeads, hiddenDim, parameters: count(spec), kvBytesPerToken, spec };
      })
  );
}

/** A number, its half, and so on while it is even; then 1. */
function halvings(count: number): number[] {
  const all = [count];
  while (all.at(-1)! % 2 === 0) all.push(all.at(-1)! / 2);
  return [...new Set([...all, 1])];
}

/** Numbers in all weights that a decoder of this shape has. */
function parametersOf(spec: DecoderSpec, { has }: Pick<DecoderWeights, "has">): number {
  return weightShapes(spec)
    .filter(({ name, isOptional }) => !isOptional || has(name))
    .reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
}
