import { checkInteger, checkNumbers, checkObject, sentence } from "../base/check.ts";
import { seedFrom, uniform } from "../base/random.ts";

/** Options of {@linkcode Batches}. */
export interface BatchesOptions {
  /** Tokens that a sequence predicts; it has one more, which begins it. */
  seqLen: number;
  /** Sequences of a step. */
  batch: number;
  /** Repeats the choice. The default is 0. */
  seed?: number;
}

const ACTION = "draw batches";

/**
 * Sequences of a text, a batch for each step, each from a random place. The batch of a step depends on the seed and the step
 * alone, so that training goes on from a saved state with the batches that it would have had.
 *
 * @example
 * ```ts
 * import { Batches } from "@onehead/attention/train";
 *
 * const batches = new Batches([0, 1, 2, 3, 4, 5, 6, 7], { seqLen: 3, batch: 2, seed: 1 });
 * const [first, second] = batches.at(0);
 * console.log(first.length, second.length); // 4 4
 * ```
 */
export class Batches {
  readonly #tokens: ArrayLike<number>;
  readonly #options: Required<BatchesOptions>;

  /**
   * Takes the text; batches are drawn as they are asked for.
   *
   * @param tokens The text, or texts one after the other; read when batches are drawn.
   * @param options Sizes and seed.
   * @throws {TypeError} If a value is of the wrong kind.
   * @throws {RangeError} If a size is not a positive whole number, or the text is shorter than one sequence.
   */
  constructor(tokens: ArrayLike<number>, options: BatchesOptions) {
    checkNumbers(ACTION, "tokens", tokens);
    checkObject(ACTION, "options", options);
    const { seqLen, batch, seed = 0 } = options;
    checkInteger(ACTION, "seqLen", seqLen);
    checkInteger(ACTION, "batch", batch);
    checkInteger(ACTION, "seed", seed, 0);
    if (tokens.length <= seqLen) {
      const rule = "the text must have a sequence of seqLen + 1 tokens (give more text)";
      throw new RangeError(sentence(ACTION, rule, { tokens: tokens.length, seqLen }));
    }
    this.#tokens = tokens;
    this.#options = { seqLen, batch, seed };
  }

  /**
   * The sequences of a step.
   *
   * @param step Its number, from 0 on.
   * @returns `batch` sequences of `seqLen + 1` tokens.
   *
   * @example
   * ```ts
   * import { Batches } from "@onehead/attention/train";
   *
   * const batches = new Batches([0, 1, 2, 3, 4, 5, 6, 7], { seqLen: 3, batch: 2 });
   * console.log(`${batches.at(5)}` === `${batches.at(5)}`); // true
   * ```
   */
  at(step: number): Uint32Array[] {
    checkInteger(ACTION, "step", step, 0);
    const { seqLen, batch, seed } = this.#options;
    const next = uniform(seedFrom(`${seed} ${step}`));
    const places = this.#tokens.length - seqLen;
    return Array.from({ length: batch }, () => {
      const first = Math.floor(next() * places);
      return Uint32Array.from({ length: seqLen + 1 }, (_, i) => this.#tokens[first + i]);
    });
  }
}
