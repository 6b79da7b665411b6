/** Texts that a model draws itself. */
import type { Batch } from "./batch.ts";
import type { Decoder } from "./decoder.ts";

/** The tokens around a text. */
export interface TextBounds {
  /** The tokens that begin every text of the model: BOS, or the end of the text before. */
  begin: readonly number[];
  /** The tokens of which each ends a text. */
  ends: readonly number[];
}

/** Draws what follows tokens: up to the first token that ends a text, it included, or as many as asked for. */
export type DrawOn = (
  text: readonly number[],
  options: { tokens: number; ends: readonly number[]; seed: number },
) => Promise<number[]>;

/**
 * Draws texts, one behind the other, each with the tokens that begin one: what a model says behind the end of its text is
 * nothing that it was trained to say.
 *
 * @param drawOn Whoever draws.
 * @param options The number of tokens, the bounds of a text, and the seed.
 * @returns The tokens, those that begin and end texts included.
 */
export async function drawText(
  drawOn: DrawOn,
  { tokens, begin, ends, seed }: TextBounds & { tokens: number; seed: number },
): Promise<number[]> {
  const text = begin.slice(0, tokens);
  for (let turn = 0; text.length < tokens; turn++) {
    const draw = { tokens: tokens - text.length, ends, seed: (seed + turn) % 2 ** 32 };
    text.push(...await drawOn(text, draw));
    // A token that ends a text may be the one that begins the next.
    const next = begin.slice(begin[0] === text.at(-1) ? 1 : 0);
    text.push(...next.slice(0, tokens - text.length));
  }
  return text;
}

/** Draws with a decoder that holds no tokens yet, and has room for all. */
export function drawWith(
  decoder: Pick<Decoder, "feed" | "generate" | "length" | "truncate">,
): DrawOn {
  return async (text, { tokens, ends, seed }) => {
    await decoder.feed(text.slice(decoder.length));
    const all: number[] = [];
    for await (const drawn of decoder.generate({ tokens, temperature: 1, seed })) {
      const end = drawn.findIndex((token) => ends.includes(token));
      if (end === -1) {
        all.push(...drawn);
        continue;
      }
      all.push(...drawn.slice(0, end + 1));
      // The end is fed again, with what begins the next text.
      await decoder.truncate(text.length + all.length - 1);
      break;
    }
    return all;
  };
}

/** Draws with a batch, beside its other sequences. */
export function drawAmong(batch: Pick<Batch, "add">): DrawOn {
  return async (text, { tokens, ends, seed }) => {
    const drawn: number[] = [];
    const asked = { tokens: text, maxTokens: tokens, endTokens: ends, temperature: 1, seed };
    for await (const portion of batch.add(asked)) drawn.push(...portion.map(({ token }) => token));
    return drawn;
  };
}
