import type { DecoderSpec } from "./spec.ts";

/** The sizes that decide the shapes. */
export type DecoderSizes = Pick<
  DecoderSpec,
  "vocabSize" | "dim" | "hiddenDim" | "numHeads" | "numKvHeads" | "headDim" | "contextLen"
>;

/** A component of a decoder that has weights, such as a projection or a norm, whatever its layer. */
export type Component = keyof ReturnType<typeof componentShapes>;

/** The shape of each component's weight. Its bias, where it has one, is as long as the first axis. */
export function componentShapes(
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
  const shapes = componentShapes(spec);
  const required = (component: Component): WeightShape => {
    return { name: `${component}.weight`, shape: shapes[component], isOptional: false };
  };
  const optional = (component: Component): WeightShape => ({
    ...required(component),
    isOptional: true,
  });
  const bias = (component: Component): WeightShape => {
    return { name: `${component}.bias`, shape: shapes[component].slice(0, 1), isOptional: true };
  };
  const withBias = (component: Component) => [required(component), bias(component)];
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
