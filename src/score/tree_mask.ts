import { checkArray, checkInteger, sentence } from "../base/check.ts";
import type { HostMask } from "../tensor/tensor.ts";

/** Tokens of a tree: far more than anyone speculates on, and a mask of 256 MiB. */
const MOST_TOKENS = 2 ** 14;

/**
 * The mask of a tree of speculative tokens: each sees itself and its ancestors, and whatever comes before the tree.
 *
 * Append the tokens of the tree to a cache and attend to them with `mask: [S, S], maskKeys: "last"` (tree attention as in
 * SpecInfer, Miao et al. 2023, arXiv 2305.09781, and Medusa, Cai et al. 2024, arXiv 2401.10774). The mask knows of no
 * positions: rotate each key and query by its depth in the tree.
 *
 * @param parents For each token the index of its parent, which comes before it; -1 for a token that follows the context.
 * @returns The mask [S, S], S being the number of tokens.
 * @throws {TypeError} If a parent is no number.
 * @throws {RangeError} If there is no token, or a parent does not come before its token.
 *
 * @example Two guesses for the next token, and one for what follows the first
 * ```ts
 * import { treeMask } from "@onehead/attention";
 *
 * const { data, shape } = treeMask([-1, -1, 0]);
 * console.log(data, shape); // [1, 0, 0,  0, 1, 0,  1, 0, 1] [3, 3]
 * ```
 */
export function treeMask(parents: readonly number[]): HostMask {
  const action = "make a tree mask";
  checkArray(action, "parents", parents);
  const size = parents.length;
  checkInteger(action, "parents.length", size);
  if (size > MOST_TOKENS) {
    throw new RangeError(
      sentence(action, `a tree must have at most ${MOST_TOKENS} tokens`, { tokens: size }),
    );
  }
  const data = new Uint8Array(size * size);
  for (let token = 0; token < size; token++) {
    const parent = parents[token];
    checkInteger(action, `parents[${token}]`, parent, -1);
    if (parent >= token) {
      const rule = "a parent must come before its token (-1: the context)";
      throw new RangeError(sentence(action, rule, { token, parent }));
    }
    if (parent >= 0) data.copyWithin(token * size, parent * size, (parent + 1) * size);
    data[token * size + token] = 1;
  }
  return { data, shape: [size, size] };
}
