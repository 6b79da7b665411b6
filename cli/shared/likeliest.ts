/** The token of the highest logit after each token, the first of several. */
export function likeliest(logits: ArrayLike<number>, vocabSize: number): number[] {
  return Array.from({ length: logits.length / vocabSize }, (_, row) => {
    let best = 0;
    for (let token = 1; token < vocabSize; token++) {
      if (logits[row * vocabSize + token] > logits[row * vocabSize + best]) best = token;
    }
    return best;
  });
}
