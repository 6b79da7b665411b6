import type { Gpu } from "../../mod.ts";
import type { TextBounds } from "../../src/model/draw_text.ts";
import { drawCalibration } from "../../src/model/merging/draw_calibration.ts";
import type { Tokenizer } from "../../src/model/tokenizer/tokenizer.ts";
import type { Model } from "./model_files.ts";
import type { Out } from "./run.ts";

/** Tokens of a text, unless the model is made for fewer. */
const TEXT_TOKENS = 256;

/** Texts that a model draws. */
export interface DrawOptions {
  /** Tokens of all of them, at least. */
  tokens: number;
  /** Repeats them. */
  seed: number;
  /** The action of the command, and what helps where no token begins a text, for messages. */
  action: string;
  cure: string;
}

/** Texts of one length that a model draws itself. Progress is shown. */
export async function drawTexts(
  gpu: Gpu,
  { checkpoint, tokenizer }: Model,
  { tokens, seed, ...messages }: DrawOptions,
  out: Pick<Out, "progress">,
): Promise<number[][]> {
  const seqLen = textTokens(checkpoint.spec);
  const sequences = Math.ceil(tokens / seqLen);
  using progress = out.progress(sequences);
  return await drawCalibration(gpu, checkpoint, {
    ...textBounds(tokenizer, messages),
    ...{ sequences, seqLen, seed },
    progress: () => progress.step(`texts of ${seqLen} tokens drawn`),
  });
}

/** The length of texts to learn from. */
export function textTokens({ contextLen }: { contextLen: number }): number {
  return Math.min(TEXT_TOKENS, contextLen);
}

/**
 * The bounds of a model's texts: they begin as its tokenizer says, or else with the end of the text before.
 *
 * @throws {RangeError} If no token begins a text.
 */
export function textBounds(
  tokenizer: Pick<Tokenizer, "encode" | "endOfText">,
  { action, cure }: Pick<DrawOptions, "action" | "cure">,
): TextBounds {
  const { endOfText: ends } = tokenizer;
  const own = tokenizer.encode("");
  const begin = own.length > 0 ? own : ends.slice(0, 1);
  if (begin.length > 0) return { begin, ends };
  throw new RangeError(
    `Cannot ${action} as no token begins this model's texts, so that it can draw none (${cure})`,
  );
}
