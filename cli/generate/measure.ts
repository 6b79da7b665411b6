/** Times and compares decoders. It imports only their type, so that any other one can be measured. */
import type { Decoder } from "../../src/model/decoder.ts";
import { TextStream } from "../../src/model/tokenizer/text_stream.ts";
import type { Tokenizer } from "../../src/model/tokenizer/tokenizer.ts";
import { outputChange } from "../../mod.ts";
import { likeliest } from "../shared/likeliest.ts";
import type { GenerateOptions } from "./options.ts";

/** The speed of continuing a text. */
export interface Speed {
  promptTokens: number;
  prefillMs: number;
  /** Tokens of the new text, the one that ended it included. */
  newTokens: number;
  /** Tokens that were decoded: a batch may go on past the end of a text. */
  decodedTokens: number;
  /** Passes over drafts, and tokens, that decoded them; absent where there were no drafts. */
  passes?: number;
  decodeMs: number;
}

/** The distance of a model's logits from those of the model it was made of. */
export interface LogitChange {
  /** Tokens that both were fed. */
  tokens: number;
  /** Length of the difference over the length of the logits before. */
  relativeChange: number;
  /** Share of the tokens after which both hold the same next token for the likeliest. */
  agreement: number;
}

/** The kinds of pieces that a prompt goes in; what is longer brings nothing new to compile. */
const WARM_TOKENS = 64 + 8 + 1;

/**
 * Continues a prompt, and hands out the text as it comes. Kernels run once before, as drivers compile them then. Afterwards the
 * decoder holds the prompt and the new text, up to the token that ended it.
 *
 * @param decoder An empty decoder with room for the prompt and the new tokens.
 * @param prompt At least one token.
 * @param options What to generate, what reads the tokens, and what takes the text, the prompt's own first.
 */
export async function continuePrompt(
  decoder: Pick<Decoder, "feed" | "generate" | "truncate" | "clear">,
  prompt: readonly number[],
  { tokens, sampling, speculate, tokenizer, write, settled }:
    & Pick<GenerateOptions, "tokens" | "sampling" | "speculate">
    & {
      tokenizer: Pick<Tokenizer, "decode" | "endOfText">;
      write: (text: string) => void;
      /** Waits for the device. */
      settled: () => Promise<void>;
    },
): Promise<Speed> {
  await decoder.feed(prompt.slice(0, WARM_TOKENS));
  for await (const _ of decoder.generate({ ...sampling, speculate, tokens: 1 })) {
    /* only runs */
  }
  decoder.clear();
  await settled();

  const stream = new TextStream(tokenizer);
  write(stream.push(prompt));
  const start = performance.now();
  await decoder.feed(prompt);
  await settled();
  const fed = performance.now();
  let [newTokens, decodedTokens, portions] = [0, 0, 0];
  for await (const batch of decoder.generate({ ...sampling, speculate, tokens })) {
    portions++;
    decodedTokens += batch.length;
    const end = batch.findIndex((token) => tokenizer.endOfText.includes(token));
    newTokens += end === -1 ? batch.length : end + 1;
    write(stream.push(end === -1 ? batch : batch.slice(0, end)));
    if (end !== -1) break;
  }
  const decodeMs = performance.now() - fed;
  // What was decoded past the end is no part of the text.
  await decoder.truncate(prompt.length + newTokens);
  write(stream.end() + "\n");
  return {
    ...{ promptTokens: prompt.length, prefillMs: fed - start },
    ...{ newTokens, decodedTokens, decodeMs },
    ...(speculate !== undefined && { passes: portions }),
  };
}

/**
 * Compares two models' logits after the same tokens.
 *
 * @param before Logits [tokens, vocabSize] of the first.
 * @param after Those of the second.
 */
export function logitChange(
  before: Float32Array,
  after: Float32Array,
  vocabSize: number,
): LogitChange {
  const [a, b] = [before, after].map((logits) => likeliest(logits, vocabSize));
  const same = a.filter((token, i) => token === b[i]).length;
  const { relativeChange } = outputChange(before, after);
  return { tokens: a.length, relativeChange, agreement: same / a.length };
}
