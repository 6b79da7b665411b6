import { checkInteger, checkObject, sentence } from "../base/check.ts";
import { clamp, floorPowerOfTwo } from "../base/numbers.ts";

/** Sizes of pages: smaller ones take more entries of tables, and larger ones are shared and given back late. */
const [SMALLEST, LARGEST] = [16, 128];
/** The share of a sequence's tokens that its last page may waste, on average half of it. */
const WASTE = 1 / 32;

/** What sequences are like that share a pool. */
export interface PagedUse {
  /** Tokens that the pool is to have room for, over all sequences. */
  tokens: number;
  /** Tokens of a sequence, typically: prompt and output. */
  sequenceTokens: number;
}

/**
 * Chooses the pages of a pool: the largest of 16, 32, 64 or 128 tokens of which sequences waste no more than a 32nd of their
 * tokens on average, as they leave half of their last page unused; and as many as hold all tokens.
 *
 * @param use The room that is wanted, and the length of sequences.
 * @returns The options of a pool: spread them into `PagePool.create`.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a value is no positive whole number, or a sequence is longer than the pool.
 *
 * @example
 * ```ts
 * import { planPages } from "@onehead/attention";
 *
 * console.log(planPages({ tokens: 65_536, sequenceTokens: 600 })); // { pageSize: 32, numPages: 2048 }
 * console.log(planPages({ tokens: 65_536, sequenceTokens: 8000 })); // { pageSize: 128, numPages: 512 }
 * ```
 */
export function planPages(use: PagedUse): { pageSize: number; numPages: number } {
  const action = "plan pages";
  checkObject(action, "use", use);
  const { tokens, sequenceTokens } = use;
  checkInteger(action, "tokens", tokens);
  checkInteger(action, "sequenceTokens", sequenceTokens);
  if (sequenceTokens > tokens) {
    throw new RangeError(
      sentence(action, "the pool must have room for a sequence", { sequenceTokens, tokens }),
    );
  }
  const pageSize = clamp(floorPowerOfTwo(2 * WASTE * sequenceTokens), SMALLEST, LARGEST);
  return { pageSize, numPages: Math.ceil(tokens / pageSize) };
}
