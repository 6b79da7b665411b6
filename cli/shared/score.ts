import type { Decoder } from "../../src/model/decoder.ts";
import { likeliest } from "./likeliest.ts";
import { GpuWorkError } from "../../mod.ts";
import { sentence } from "../../src/base/check.ts";

/** The quality of a model's predictions of a text. */
export interface Score {
  /** Negative log-likelihood in nats of each token but the first. */
  nlls: number[];
  /** The token that the model holds for the likeliest, in place of each of them. */
  likeliest: number[];
}

/** Tokens whose logits are in memory at a time. */
const PIECE = 64;

/**
 * Feeds a text to a model and scores each token by those before it.
 *
 * @param decoder An empty decoder with room for the text.
 * @param tokens The text, at least two tokens.
 * @throws {GpuWorkError} If a logit is not a number.
 */
export async function scoreText(
  decoder: Pick<Decoder, "forward">,
  tokens: readonly number[],
  vocabSize: number,
): Promise<Score> {
  const score: Score = { nlls: [], likeliest: [] };
  for (let start = 0; start < tokens.length; start += PIECE) {
    // The last token is fed for nothing but whole pieces.
    const logits = await decoder.forward(tokens.slice(start, start + PIECE));
    const next = tokens.slice(start + 1, start + PIECE + 1);
    score.likeliest.push(...likeliest(logits, vocabSize).slice(0, next.length));
    next.forEach((token, i) => {
      const row = logits.subarray(i * vocabSize, (i + 1) * vocabSize);
      const nll = logSumExp(row) - row[token];
      if (!Number.isFinite(nll)) {
        throw new GpuWorkError(
          sentence("score a text", "a logit is not a number (check the weights)", {
            position: start + i,
            token,
          }),
        );
      }
      score.nlls.push(nll);
    });
  }
  return score;
}

/** Scores texts one after the other, each from an empty decoder. */
export async function scoreTexts(
  decoder: Pick<Decoder, "forward" | "clear">,
  texts: readonly (readonly number[])[],
  vocabSize: number,
  progress: () => void,
): Promise<Score> {
  const all: Score = { nlls: [], likeliest: [] };
  for (const text of texts) {
    decoder.clear();
    const { nlls, likeliest } = await scoreText(decoder, text, vocabSize);
    all.nlls.push(...nlls);
    all.likeliest.push(...likeliest);
    progress();
  }
  return all;
}

/** The quality of predictions beside that of another model. */
export interface Comparison {
  /** Mean negative log-likelihood of a token, in nats. */
  nll: number;
  /** `exp(nll)`: among how many equally likely tokens the model would be as unsure. */
  perplexity: number;
  /** Share of the tokens for which the likeliest one is the other model's. */
  agreement: number;
}

/** Compares one model's score of a text with another's. */
export function compareScores({ nlls, likeliest }: Score, other: Score): Comparison {
  const nll = nlls.reduce((sum, value) => sum + value, 0) / nlls.length;
  const same = likeliest.filter((token, i) => token === other.likeliest[i]).length;
  return { nll, perplexity: Math.exp(nll), agreement: same / nlls.length };
}

function logSumExp(row: Float32Array): number {
  const max = row.reduce((max, value) => Math.max(max, value), -Infinity);
  return max + Math.log(row.reduce((sum, value) => sum + Math.exp(value - max), 0));
}
