/** Texts that a model draws itself. */
import type { Decoder } from "./decoder.ts";

/** The tokens around a text. */
export interface TextBounds {
  /** The tokens that begin every text of the model: BOS, or the end of the text before. */
  begin: readonly number[];
  /** The tokens of which each ends a text. */
  ends: readonly number[];
}

/**
 * Draws texts, one behind the other, each with the tokens that begin one: what a model says behind the end of its text is
 * nothing that it was trained to say.
 *
 * @param decoder Without tokens yet, and with room for all.
 * @param options The number of tokens, the bounds of a text, and the seed.
 * @returns The tokens, those that begin and end texts included.
 */
export async function drawText(
  decoder: Pick<Decoder, "feed" | "generate" | "truncate">,
  { tokens, begin, ends, seed }: TextBounds & { tokens: number; seed: number },
): Promise<number[]> {
  const text: number[] = [];
  const feed = async (more: readonly number[]) => {
    const fitting = more.slice(0, tokens - text.length);
    if (fitting.length === 0) return;
    await decoder.feed(fitting);
    text.push(...fitting);
  };
  await feed(begin);
  for (let turn = 0; text.length < tokens; turn++) {
    const draw = { tokens: tokens - text.length, temperature: 1, seed: (seed + turn) % 2 ** 32 };
    for await (const drawn of decoder.generate(draw)) {
      const end = drawn.findIndex((token) => ends.includes(token));
      if (end === -1) {
        text.push(...drawn);
        continue;
      }
      text.push(...drawn.slice(0, end));
      await decoder.truncate(text.length);
      // A token that ends a text may be the one that begins the next.
      await feed([drawn[end], ...begin.slice(begin[0] === drawn[end] ? 1 : 0)]);
      break;
    }
  }
  return text;
}
