import type { Gpu } from "../../../mod.ts";
import { sentence } from "../../../src/base/check.ts";
import { seedFrom } from "../../../src/base/random.ts";
import { drawTexts, textTokens } from "../draw_texts.ts";
import type { Files } from "../files.ts";
import type { Model } from "../model_files.ts";
import type { Out } from "../run.ts";

/** The part of a text that is held out, at most. */
const HELD_OUT_SHARE = 1 / 8;

/** The texts that a command is asked for. */
export interface TextOptions {
  /** A file; absent where the model draws its texts. */
  text?: string;
  /** Tokens that the model draws to learn from. */
  selfDrawn: number;
  /** Most tokens to measure by. */
  heldOut: number;
  /** Repeats the texts that the model draws. */
  seed: number;
}

/** Texts, all of one length. */
export interface Texts {
  /** Where they are from. */
  source: string;
  /** The texts to learn from. */
  learned: readonly (readonly number[])[];
  /** The texts to measure by, none of them learned from. */
  heldOut: readonly (readonly number[])[];
}

/** The texts of a file, or those that the model draws. */
export async function textsFor(
  gpu: Gpu,
  model: Model,
  { text, selfDrawn, heldOut, seed }: TextOptions,
  { files, action, out }: { files: Files; action: string; out: Pick<Out, "progress"> },
): Promise<Texts> {
  if (text !== undefined) {
    const tokens = model.tokenizer.encode(await files.readText(text));
    const seqLen = textTokens(model.checkpoint.spec);
    return { source: text, ...split(tokens, { seqLen, heldOut, name: text, action }) };
  }
  const draw = (tokens: number, kind: string) =>
    drawTexts(
      gpu,
      model,
      { tokens, seed: seedFrom(`${seed} ${kind}`), action, cure: "give --text" },
      out,
    );
  return {
    source: `drawn by the model, seed ${seed}`,
    learned: await draw(selfDrawn, "learned"),
    heldOut: await draw(heldOut, "held out"),
  };
}

/**
 * Cuts a text into sequences; the last of them are held out.
 *
 * @throws {RangeError} If there are not two.
 */
export function split(
  tokens: readonly number[],
  { seqLen, heldOut, name, action }: {
    seqLen: number;
    /** Most tokens that are held out. */
    heldOut: number;
    name: string;
    action: string;
  },
): Pick<Texts, "learned" | "heldOut"> {
  const count = Math.floor(tokens.length / seqLen);
  if (count < 2) {
    const rule = `${name} must have at least two sequences: one to learn from, one to measure by`;
    throw new RangeError(sentence(action, rule, { tokens: tokens.length, seqLen }));
  }
  const sequences = Array.from(
    { length: count },
    (_, i) => tokens.slice(i * seqLen, (i + 1) * seqLen),
  );
  const most = Math.min(Math.ceil(heldOut / seqLen), Math.floor(count * HELD_OUT_SHARE));
  const first = count - Math.max(1, most);
  return { learned: sequences.slice(0, first), heldOut: sequences.slice(first) };
}
