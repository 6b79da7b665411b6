import type { HostFloats } from "../tensor/tensor.ts";

/** Numbers of one weight. */
export type WeightData = HostFloats;

/**
 * The weights of a decoder by uniform names, whatever its checkpoint calls them. Matrices are [out, in].
 *
 * | name | shape |
 * |---|---|
 * | `embedding.weight` | [vocabSize, dim] |
 * | `positions.weight` | [contextLen, dim]; only where positions are learned |
 * | `layers.N.attentionNorm.weight`, `.bias` | [dim] |
 * | `layers.N.q.weight`, `.bias` | [numHeads headDim, dim], [numHeads headDim] |
 * | `layers.N.k.weight`, `.v.weight`, `.bias` | [numKvHeads headDim, dim], [numKvHeads headDim] |
 * | `layers.N.qNorm.weight`, `layers.N.kNorm.weight` | [headDim]; RMSNorm of each head, before its rotation |
 * | `layers.N.o.weight`, `.bias` | [dim, numHeads headDim], [dim] |
 * | `layers.N.postAttentionNorm.weight` | [dim]; on what attention adds to the residual stream |
 * | `layers.N.mlpNorm.weight`, `.bias` | [dim]; may lack in a parallel layer, which then has one norm |
 * | `layers.N.gate.weight` | [hiddenDim, dim]; only where `isGated` |
 * | `layers.N.up.weight`, `.bias` | [hiddenDim, dim], [hiddenDim] |
 * | `layers.N.down.weight`, `.bias` | [dim, hiddenDim], [dim] |
 * | `layers.N.postMlpNorm.weight` | [dim] |
 * | `finalNorm.weight`, `.bias` | [dim] |
 * | `classifier.weight` | [vocabSize, dim]; where it lacks, the embedding serves |
 *
 * Biases are optional. Norms whose checkpoints keep the difference to 1 (Gemma) come with the 1 added.
 */
export interface DecoderWeights {
  /** Whether there is a weight of this name. */
  has(name: string): boolean;
  /**
   * Reads one weight.
   *
   * @throws {CheckpointError} If it is not there, or cannot be read; the message names file and tensor.
   */
  read(name: string): Promise<WeightData>;
}
