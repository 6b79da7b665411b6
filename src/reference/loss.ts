/** Losses of logits in float64, as oracles for their kernel. */

/** A loss of each token, and its gradient by the token's logits. */
export interface ReferenceLoss {
  /** [tokens] */
  losses: Float64Array;
  /** [tokens, vocabSize] */
  dLogits: Float64Array;
}

/** The log of a softmax of logits over a temperature. */
function logSoftmax(logits: ArrayLike<number>, temperature: number): number[] {
  const scaled = Array.from(logits, (logit) => logit / temperature);
  const most = Math.max(...scaled);
  const lse = most + Math.log(scaled.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
  return scaled.map((logit) => logit - lse);
}

/**
 * The divergence of each token's distribution p from its target q, `T^2 sum q (log q - log p)`, and its gradient `T (p - q)`
 * (Hinton et al. 2015, arXiv 1503.02531).
 */
function divergence(
  logits: Float64Array,
  temperature: number,
  { vocabSize, targetOf }: { vocabSize: number; targetOf: (token: number) => ArrayLike<number> },
): ReferenceLoss {
  const tokens = logits.length / vocabSize;
  const losses = new Float64Array(tokens);
  const dLogits = new Float64Array(logits.length);
  for (let token = 0; token < tokens; token++) {
    const start = token * vocabSize;
    const logP = logSoftmax(logits.subarray(start, start + vocabSize), temperature);
    const q = targetOf(token);
    logP.forEach((value, i) => {
      if (q[i] > 0) losses[token] += temperature ** 2 * q[i] * (Math.log(q[i]) - value);
      dLogits[start + i] = temperature * (Math.exp(value) - q[i]);
    });
  }
  return { losses, dLogits };
}

/** The cross-entropy of each token to its label, `-log p[label]`, and its gradient `p - [i = label]`. */
export function crossEntropy(
  logits: Float64Array,
  labels: ArrayLike<number>,
  { vocabSize }: { vocabSize: number },
): ReferenceLoss {
  const targetOf = (token: number) =>
    Array.from({ length: vocabSize }, (_, i) => i === labels[token] ? 1 : 0);
  return divergence(logits, 1, { vocabSize, targetOf });
}

/** The divergence of each token from a teacher's distribution, both at a temperature, and its gradient. */
export function divergenceFromTeacher(
  logits: Float64Array,
  teacher: Float64Array,
  { vocabSize, temperature = 1 }: { vocabSize: number; temperature?: number },
): ReferenceLoss {
  const targetOf = (token: number) =>
    logSoftmax(teacher.subarray(token * vocabSize, (token + 1) * vocabSize), temperature)
      .map(Math.exp);
  return divergence(logits, temperature, { vocabSize, targetOf });
}
