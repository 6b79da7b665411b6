/** Keys and values that are kept elsewhere than on a decoder's device. */

/** The shape of remote keys and values, and how queries are scored. */
export interface RemoteKvSpec {
  /** Layers, each with keys and values of its own. */
  layers: number;
  /** Query heads. */
  numHeads: number;
  /** Key/value heads: 1 for multi-query attention. */
  numKvHeads: number;
  /** Elements of a query and of a key. */
  headDim: number;
  /** Elements of a value and of an output. */
  valueDim: number;
  /** Factor on the scores. The default is `1 / sqrt(headDim)`. */
  scale?: number;
  /** Limit of the scores: `softcap tanh(score / softcap)`. The default is none. */
  softcap?: number;
}

/** New tokens of a layer, BSNH without the batch. */
export interface RemoteTokens {
  /** Keys [tokens, numKvHeads, headDim], with their rotary positions. */
  k: Float32Array;
  /** Values [tokens, numKvHeads, valueDim]. */
  v: Float32Array;
  /** Queries [tokens, numHeads, headDim], of the same tokens. Without them nothing is attended to. */
  q?: Float32Array;
}

/**
 * Keys and values of one sequence that lie elsewhere than on a decoder's device, and attention over them: `ShardedKv` of
 * `@onehead/attention/cluster` has them on many machines. After an error the layers may have different tokens, and nothing but
 * `clear` is called.
 */
export interface RemoteKv {
  /** The shape, which must be the decoder's. */
  readonly spec: RemoteKvSpec;
  /** Tokens of a layer that there is room for. */
  readonly capacity: number;
  /** The tokens of a layer, by default of the first. */
  length(layer?: number): number;
  /**
   * Appends tokens to a layer, and attends with their queries: each sees all up to its own. Resolves to outputs
   * [tokens, numHeads, valueDim].
   */
  extend(layer: number, tokens: RemoteTokens): Promise<Float32Array>;
  /** Forgets the newest tokens of every layer, up to this length. */
  truncate(length: number): Promise<void>;
  /** Forgets all tokens. */
  clear(): Promise<void>;
}
