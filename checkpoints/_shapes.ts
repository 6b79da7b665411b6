import type { DecoderSpec } from "../decoder/spec.ts";

/** The sizes that shapes are made of. */
export type DecoderSizes = Pick<
  DecoderSpec,
  "vocabSize" | "dim" | "hiddenDim" | "numHeads" | "numKvHeads" | "headDim" | "contextLen"
>;

/** The parts of a decoder that have weights, without the number of their layer. */
export type Part = keyof ReturnType<typeof weightShapes>;

/** The shape of each part's weight. Its bias, where it has one, is as long as the first axis. */
export function weightShapes(
  { vocabSize, dim, hiddenDim, numHeads, numKvHeads, headDim, contextLen }: DecoderSizes,
) {
  const [qDim, kvDim] = [numHeads * headDim, numKvHeads * headDim];
  return {
    embedding: [vocabSize, dim],
    positions: [contextLen, dim],
    attentionNorm: [dim],
    q: [qDim, dim],
    k: [kvDim, dim],
    v: [kvDim, dim],
    /** Queries, keys and values in one. */
    qkv: [qDim + 2 * kvDim, dim],
    qNorm: [headDim],
    kNorm: [headDim],
    o: [dim, qDim],
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
