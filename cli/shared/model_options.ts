/** Options by which several commands name a model and change its heads. */

/** Ways to fewer key/value heads: pooled into their mean or the first of a group, or merged by calibration. */
export const POOL_METHODS = ["mean", "first", "merged"] as const;

/** A way to fewer key/value heads. */
export type PoolMethod = typeof POOL_METHODS[number];

/** Tokens that a model draws to be merged by, unless the user asks for another number. */
export const USUAL_CALIBRATION = 8192;

/** Element types that weights may be kept in. */
export const WEIGHT_DTYPES = ["f32", "f16", "int8"] as const;

/** The files of a model. */
export interface ModelOptions {
  model: string;
  tokenizer?: string;
}
