import type { DecoderSpec } from "./spec.ts";

/** The name of a weight, what shape it must have, and whether a decoder may lack it. */
export interface WeightShape {
  name: string;
  shape: readonly number[];
  isOptional: boolean;
}

/** Every weight that a decoder of this shape has or may have, by the names of `DecoderWeights`. */
export function weightShapes(spec: DecoderSpec): WeightShape[] {
  const { vocabSize, dim, contextLen, layers } = spec;
  return [
    required("embedding.weight", [vocabSize, dim]),
    optional("positions.weight", [contextLen, dim]),
    ...layers.flatMap((_, layer) =>
      layerShapes(spec).map((weight) => ({ ...weight, name: `layers.${layer}.${weight.name}` }))
    ),
    required("finalNorm.weight", [dim]),
    optional("finalNorm.bias", [dim]),
    optional("classifier.weight", [vocabSize, dim]),
  ];
}

function layerShapes(spec: DecoderSpec): WeightShape[] {
  const { dim, hiddenDim, numHeads, numKvHeads, headDim, isGated, isParallel } = spec;
  const [queries, keys] = [numHeads * headDim, numKvHeads * headDim];
  const linear = (name: string, out: number, size: number) => [
    required(`${name}.weight`, [out, size]),
    optional(`${name}.bias`, [out]),
  ];
  const mlpNorm = isParallel ? optional : required;
  return [
    required("attentionNorm.weight", [dim]),
    optional("attentionNorm.bias", [dim]),
    ...linear("q", queries, dim),
    ...linear("k", keys, dim),
    ...linear("v", keys, dim),
    optional("qNorm.weight", [headDim]),
    optional("kNorm.weight", [headDim]),
    ...linear("o", dim, queries),
    optional("postAttentionNorm.weight", [dim]),
    mlpNorm("mlpNorm.weight", [dim]),
    optional("mlpNorm.bias", [dim]),
    ...(isGated ? [required("gate.weight", [hiddenDim, dim])] : []),
    ...linear("up", hiddenDim, dim),
    ...linear("down", dim, hiddenDim),
    optional("postMlpNorm.weight", [dim]),
  ];
}

function required(name: string, shape: readonly number[]): WeightShape {
  return { name, shape, isOptional: false };
}

function optional(name: string, shape: readonly number[]): WeightShape {
  return { name, shape, isOptional: true };
}
