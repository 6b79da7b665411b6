/** Texts that a model draws itself. */
import type { Decoder } from "../../src/model/decoder.ts";

/**
 * Draws texts, one behind the other, each with the tokens that begin one: what a model says behind the end of its text is
 * nothing that it was trained to say.
 *
 * @param decoder Without tokens yet, and with room for all.
 * @param options Tokens to draw, those that begin a text and those of which each ends one, and the seed.
 * @returns So many tokens, those that begin and end texts included.
 */
export async function drawText(
  decoder: Pick<Decoder, "feed" | "generate" | "truncate">,
  { tokens, begin, ends, seed }: {
    tokens: number;
    begin: readonly number[];
    ends: readonly number[];
    seed: number;
  },
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
    const draw = { tokens: tokens - text.length, temperature: 1, seed: seed + turn };
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
