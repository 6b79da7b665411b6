import { checkArray, checkInteger, sentence } from "../base/check.ts";

/** Throws a `TypeError` for a value that is no number, and a `RangeError` for a number that is no token of the vocabulary. */
export function checkTokens(action: string, tokens: readonly number[], vocabSize: number): void {
  checkArray(action, "tokens", tokens);
  for (const token of tokens) {
    if (typeof token !== "number") {
      throw new TypeError(sentence(action, "each token must be a number", { token }));
    }
    checkInteger(action, "token", token, 0);
    if (token >= vocabSize) {
      throw new RangeError(
        sentence(action, "each token must be below vocabSize", { token, vocabSize }),
      );
    }
  }
}
