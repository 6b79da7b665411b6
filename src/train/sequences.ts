/** Sequences as a decoder reads them and as it is to predict them. */
import { checkArray, checkInteger, sentence } from "../base/check.ts";

/** A sequence without its last token, and the same a token later: what each token is to be followed by. */
export interface Pair {
  inputs: Uint32Array;
  labels: Uint32Array;
}

/**
 * Checks sequences of `seqLen + 1` tokens, and cuts each into what is read and what is predicted.
 *
 * @throws {TypeError} If `sequences` is no array, or a token no number.
 * @throws {RangeError} If there are not `count`, or none, one has another length, or a token is not of the vocabulary.
 */
export function pairsOf(
  action: string,
  sequences: readonly ArrayLike<number>[],
  { count, seqLen, vocabSize }: { count?: number; seqLen: number; vocabSize: number },
): Pair[] {
  checkArray(action, "sequences", sequences);
  const { length } = sequences;
  if (length === 0 || (count !== undefined && length !== count)) {
    const rule = count === undefined
      ? "there must be a sequence"
      : "there must be batch x accumulate sequences";
    throw new RangeError(sentence(action, rule, { sequences: length, expected: count ?? 1 }));
  }
  return sequences.map((sequence: ArrayLike<number>) => {
    if (sequence?.length !== seqLen + 1) {
      const rule = "each sequence must have seqLen + 1 tokens";
      throw new RangeError(sentence(action, rule, { tokens: sequence?.length, seqLen }));
    }
    for (let i = 0; i <= seqLen; i++) {
      checkInteger(action, "token", sequence[i], 0);
      if (sequence[i] < vocabSize) continue;
      const rule = "each token must be below vocabSize";
      throw new RangeError(sentence(action, rule, { token: sequence[i], vocabSize }));
    }
    const tokens = Uint32Array.from(sequence);
    return { inputs: tokens.subarray(0, seqLen), labels: tokens.subarray(1) };
  });
}
