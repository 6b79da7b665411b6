/** The tokens before texts and those that end them, where several files have a say. */
import { excerpt } from "../../base/excerpt.ts";
import type { Settings } from "./settings.ts";
import type { TokenizerOptions } from "./tokenizer.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** The tokenizer that is asked about, and who is told of what is odd. */
interface Subject {
  name: string;
  vocabulary: Vocabulary;
  vocabSize: number;
  warn: (sentence: string) => void;
}

/** Tokens before a text: those of the template, with BOS or without as the settings say. */
export function beginOfTexts(
  template: readonly number[],
  { bos, addsBos }: Settings,
  { vocabulary: { ids }, warn }: Subject,
): readonly number[] {
  if (addsBos === undefined) return template;
  const id = bos && ids.get(bos.token);
  if (!addsBos) return template.filter((token) => token !== id);
  if (id !== undefined) return template.includes(id) ? template : [id, ...template];
  if (template.length === 0) {
    const token = bos
      ? `${excerpt(bos.token)}, which the vocabulary lacks`
      : "BOS, which no file names";
    warn(`No text begins with ${token}, though the settings ask for it.`);
  }
  return template;
}

/**
 * Tokens after which a text is over, by the model's files and the tokenizer's; what can never come, or has no text, is said. Where
 * these name none, the model's class has a say, but for tokens that are text here: a class knows nothing of its tokenizers.
 */
export function endOfTexts(
  { endOfText, classEndOfText }: Required<Pick<TokenizerOptions, "endOfText" | "classEndOfText">>,
  { eos, special }: Settings,
  { name, vocabulary, vocabSize, warn }: Subject,
): readonly number[] {
  const { ids, tokens } = vocabulary;
  const own = eos && ids.get(eos.token);
  if (eos && own === undefined) {
    warn(`No text will end with ${excerpt(eos.token)}, as ${eos.file} asks: ${name} lacks it.`);
  }
  const named = [...endOfText, ...(own === undefined ? [] : [own])];
  const noText = new Set([...vocabulary.special, ...special].map((token) => ids.get(token)));
  const byClass = () => classEndOfText.filter((id) => noText.has(id));
  const all = new Set(named.length > 0 || eos ? named : byClass());
  return [...all].filter((id) => {
    if (id >= vocabSize) {
      const token = excerpt(tokens.get(id));
      warn(`No text will end with token ${id} (${token}): the model has ${vocabSize} rows.`);
    } else if (!tokens.has(id)) {
      warn(`Texts end with token ${id} by the model's files, and ${name} has none of that number.`);
    }
    return id < vocabSize;
  });
}
