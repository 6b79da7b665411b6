/** Options by which several commands name a model and change its heads. */

/** Ways to pool key/value heads. */
export const POOL_METHODS = ["mean", "first"] as const;

/** A way to pool key/value heads. */
export type PoolMethod = typeof POOL_METHODS[number];

/** Element types that weights may be kept in. */
export const WEIGHT_DTYPES = ["f32", "f16", "int8"] as const;

/** The files of a model. */
export interface ModelOptions {
  model: string;
  tokenizer?: string;
}
