import type { DecoderSpec } from "./spec.ts";

/** The sizes that decide the shapes. */
export type DecoderSizes = Pick<
  DecoderSpec,
  "vocabSize" | "dim" | "hiddenDim" | "numHeads" | "numKvHeads" | "headDim" | "contextLen"
>;

/** A part of a decoder that has weights, whatever its layer. */
export type Part = keyof ReturnType<typeof partShapes>;

/** The shape of each part's weight. Its bias, where it has one, is as long as the first axis. */
export function partShapes(
  { vocabSize, dim, hiddenDim, numHeads, numKvHeads, headDim, contextLen }: DecoderSizes,
) {
  const [queries, keys] = [numHeads * headDim, numKvHeads * headDim];
  return {
    embedding: [vocabSize, dim],
    positions: [contextLen, dim],
    attentionNorm: [dim],
    q: [queries, dim],
    k: [keys, dim],
    v: [keys, dim],
    /** The three in one, as some checkpoints have them. */
    qkv: [queries + 2 * keys, dim],
    qNorm: [headDim],
    kNorm: [headDim],
    o: [dim, queries],
    postAttentionNorm: [dim],
    mlpNorm: [dim],
    gate: [hiddenDim, dim],
    up: [hiddenDim, dim],
    down: [dim, hiddenDim],
    postMlpNorm: [dim],
    finalNorm: [dim],
    classifier: [vocabSize, dim],
  };
}

/** The name of a weight, its shape, and whether a decoder may lack it. */
export interface WeightShape {
  name: string;
  shape: readonly number[];
  isOptional: boolean;
}

/** Every weight that a decoder of this shape has or may have, by the names of `DecoderWeights`. */
export function weightShapes(spec: DecoderSpec): WeightShape[] {
  const shapes = partShapes(spec);
  const required = (part: Part): WeightShape => {
    return { name: `${part}.weight`, shape: shapes[part], isOptional: false };
  };
  const optional = (part: Part): WeightShape => ({ ...required(part), isOptional: true });
  const bias = (part: Part): WeightShape => {
    return { name: `${part}.bias`, shape: shapes[part].slice(0, 1), isOptional: true };
  };
  const withBias = (part: Part) => [required(part), bias(part)];
  const layer = [
    ...withBias("attentionNorm"),
    ...[withBias("q"), withBias("k"), withBias("v")].flat(),
    ...[optional("qNorm"), optional("kNorm")],
    ...withBias("o"),
    optional("postAttentionNorm"),
    ...[spec.isParallel ? optional("mlpNorm") : required("mlpNorm"), bias("mlpNorm")],
    ...(spec.isGated ? [required("gate")] : []),
    ...[withBias("up"), withBias("down")].flat(),
    optional("postMlpNorm"),
  ];
  return [
    required("embedding"),
    optional("positions"),
    ...spec.layers.flatMap((_, n) =>
      layer.map((weight) => ({ ...weight, name: `layers.${n}.${weight.name}` }))
    ),
    ...withBias("finalNorm"),
    optional("classifier"),
  ];
}
