/** How the next token of a sequence is chosen. */
import {
  checkAmount,
  checkFinite,
  checkInteger,
  checkNumber,
  checkPositive,
  sentence,
} from "../base/check.ts";

/** The choice of the next token. Logits are adjusted first, then divided by the temperature, then cut. */
export interface Sampling {
  /** Divides the logits; at 0 the likeliest token is chosen. */
  temperature: number;
  /** Draws from this many of the likeliest tokens; 0 from all. */
  topK: number;
  /** Share of the likeliest tokens that are drawn from, above 0 and up to 1: of those that `topK` leaves. */
  topP: number;
  /** Leaves out tokens that are less likely than this share of the likeliest one, from 0 to 1. */
  minP: number;
  /** Divides positive logits of tokens that the sequence has, its prompt included, and multiplies negative ones. */
  repetitionPenalty: number;
  /** Subtracted from the logit of a token for each time that it was generated. */
  frequencyPenalty: number;
  /** Subtracted from the logits of tokens that were generated. */
  presencePenalty: number;
  /** Added to the logits of tokens. */
  logitBias: ReadonlyMap<number, number>;
  /** Repeats the draws, which depend on it and on the position of a token: a whole number below 2^32. */
  seed: number;
}

/** The choice of the likeliest token, of logits as they are. */
export const GREEDY: Sampling = {
  ...{ temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0 },
  ...{ repetitionPenalty: 1, frequencyPenalty: 0, presencePenalty: 0, logitBias: new Map() },
};

/** Whether logits change before a token is chosen. */
export function isAdjusted(sampling: Sampling): boolean {
  const { repetitionPenalty, frequencyPenalty, presencePenalty, logitBias } = sampling;
  return repetitionPenalty !== 1 || frequencyPenalty !== 0 || presencePenalty !== 0 ||
    logitBias.size > 0;
}

/**
 * Fills in what is left out, as for the likeliest token.
 *
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a value is out of range.
 */
export function fillInSampling(
  action: string,
  asked: Partial<Sampling>,
  vocabSize: number,
): Sampling {
  const given = Object.entries(asked).filter(([name, value]) =>
    name in GREEDY && value !== undefined
  );
  const sampling: Sampling = { ...GREEDY, ...Object.fromEntries(given) };
  const { temperature, topK, topP, minP, seed, repetitionPenalty, logitBias } = sampling;
  checkInteger(action, "seed", seed, 0);
  if (seed >= 2 ** 32) {
    throw new RangeError(sentence(action, "seed must be below 2^32", { seed }));
  }
  checkAmount(action, "temperature", temperature);
  checkInteger(action, "topK", topK, 0);
  checkNumber(action, "topP", topP);
  if (!(topP > 0 && topP <= 1)) {
    throw new RangeError(sentence(action, "topP must be above 0 and at most 1", { topP }));
  }
  checkFinite(action, "minP", minP);
  if (!(minP >= 0 && minP <= 1)) {
    throw new RangeError(sentence(action, "minP must be from 0 to 1", { minP }));
  }
  checkPositive(action, "repetitionPenalty", repetitionPenalty);
  for (const name of ["frequencyPenalty", "presencePenalty"] as const) {
    checkFinite(action, name, sampling[name]);
  }
  return { ...sampling, logitBias: biasesOf(action, logitBias, vocabSize) };
}

/** A copy that is checked. */
function biasesOf(
  action: string,
  biases: ReadonlyMap<number, number>,
  vocabSize: number,
): ReadonlyMap<number, number> {
  if (!(biases instanceof Map)) {
    throw new TypeError(
      sentence(action, "logitBias must be a Map from tokens to numbers", { logitBias: biases }),
    );
  }
  for (const [token, bias] of biases) {
    checkInteger(action, "a token of logitBias", token, 0);
    if (token >= vocabSize) {
      throw new RangeError(
        sentence(action, "each token of logitBias must be below vocabSize", { token, vocabSize }),
      );
    }
    checkFinite(action, `logitBias of token ${token}`, bias);
  }
  return new Map(biases);
}
