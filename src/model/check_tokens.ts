import { checkInteger, sentence } from "../base/check.ts";

/** Throws a `TypeError` for a value that is no number, and a `RangeError` for a number that is no token of the vocabulary. */
export function checkTokens(action: string, tokens: readonly number[], vocabSize: number): void {
  if (!Array.isArray(tokens)) {
    throw new TypeError(sentence(action, "tokens must be a list", { tokens }));
  }
  for (const token of tokens) {
    checkInteger(action, "each token", token, 0);
    if (token >= vocabSize) {
      throw new RangeError(
        sentence(action, "each token must be below vocabSize", { token, vocabSize }),
      );
    }
  }
}
