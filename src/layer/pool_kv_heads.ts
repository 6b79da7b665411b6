import { checkChoice, checkInteger, checkNumbers, checkObject, sentence } from "../base/check.ts";

/** From how many key/value heads to how many. */
export interface PoolOptions {
  /** Key/value heads that the weights are for. */
  from: number;
  /** Key/value heads to have: a divisor of `from`; 1 gives multi-query attention. */
  to: number;
  /** The head that neighbouring heads become: their `"mean"`, or the `"first"` of them. The default is `"mean"`. */
  method?: "mean" | "first";
}

const ACTION = "pool KV heads";

/**
 * Gives the projection of keys, or that of values, fewer heads: from multi-head to grouped-query or multi-query attention.
 * Each new head takes the place of `from / to` neighbours, which are those that its query heads attended with. Their mean is
 * what further training starts from best (Ainslie et al. 2023, "GQA", arXiv 2305.13245, section 3.4).
 *
 * @param weights Rows of all heads [from headDim, in], or a bias [from headDim]. A projection is linear, so that keys and
 * values themselves, one token's [from, headDim], are pooled alike.
 * @param options From how many heads to how many, and how.
 * @returns Rows of the new heads [to headDim, in], or [to headDim]; sums are in float64.
 * @throws {TypeError} If a count is no number, or there is no such method.
 * @throws {RangeError} If a count is no whole number of at least 1, or heads or rows do not divide.
 *
 * @example Two heads of size 2 become one, in weights [4, 1]
 * ```ts
 * import { poolKvHeads } from "@onehead/attention";
 *
 * console.log(poolKvHeads([1, 2, 3, 4], { from: 2, to: 1 })); // Float64Array [2, 3]
 * console.log(poolKvHeads([1, 2, 3, 4], { from: 2, to: 1, method: "first" })); // Float64Array [1, 2]
 * ```
 */
export function poolKvHeads(
  weights: ArrayLike<number>,
  options: PoolOptions,
): Float64Array<ArrayBuffer> {
  checkNumbers(ACTION, "weights", weights);
  checkObject(ACTION, "options", options);
  const { from, to, method = "mean" } = options;
  checkPooling({ from, to, method });
  if (weights.length % from !== 0) {
    throw new RangeError(
      sentence(ACTION, "the weights must have as many rows for each head", {
        elements: weights.length,
        from,
      }),
    );
  }
  const head = weights.length / from;
  const group = from / to;
  const heads = method === "mean" ? group : 1;
  const pooled = new Float64Array(to * head);
  for (let i = 0; i < pooled.length; i++) {
    const first = Math.floor(i / head) * group * head + i % head;
    for (let j = 0; j < heads; j++) pooled[i] += weights[first + j * head];
    pooled[i] /= heads;
  }
  return pooled;
}

/** Throws unless heads can be pooled so. */
export function checkPooling({ from, to, method }: Required<PoolOptions>): void {
  checkFewerHeads(ACTION, { from, to });
  checkChoice(ACTION, "method", method, ["mean", "first"]);
}

/** Throws unless heads divide into fewer. */
export function checkFewerHeads(action: string, { from, to }: { from: number; to: number }): void {
  checkInteger(action, "from", from);
  checkInteger(action, "to", to);
  if (from % to !== 0) {
    throw new RangeError(sentence(action, "from must be a multiple of to", { from, to }));
  }
}
