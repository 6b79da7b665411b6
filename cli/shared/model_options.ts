/** Options by which several commands name a model and change its heads. */

/** How key/value heads may be pooled. */
export const POOL_METHODS = ["mean", "first"] as const;

/** How key/value heads are pooled. */
export type PoolMethod = typeof POOL_METHODS[number];

/** Which model. */
export interface ModelOptions {
  model: string;
  tokenizer?: string;
}
