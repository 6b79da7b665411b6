/** Options of rotary position embedding (RoFormer: Su et al. 2021, arXiv 2104.09864). */
export interface RopeOptions {
  /** Elements of a key and query that are rotated, an even number. The default is all from `firstDim` on. */
  dims?: number;
  /** The first of them: behind a latent vector, its size. The default is 0. */
  firstDim?: number;
  /**
   * The elements of a pair: `"halves"` j and j + dims / 2 (GPT-NeoX, Llama in Hugging Face's order), `"pairs"` 2j and
   * 2j + 1 (GPT-J, Llama in Meta's order), counted from `firstDim`. The default is `"halves"`.
   */
  style?: "halves" | "pairs";
  /** Pair j turns by `base ** (-2 j / dims)` radians per position. The default is 10000. */
  base?: number;
  /**
   * Radians per position of each pair [dims / 2], or what to make of those that `base` gives. Scaling of positions is
   * scaling of frequencies: `(frequency) => frequency / 4` is linear scaling by 4; NTK and Llama 3 scaling are other
   * functions. Angles are as precise as these numbers: for those of a model that computes frequencies in f32, give the
   * table in f32. The default leaves them.
   */
  frequencies?: readonly number[] | ((frequency: number, pair: number) => number);
  /** Factor on what is rotated, as YaRN and LongRoPE have it. The default is 1. */
  attentionFactor?: number;
}
