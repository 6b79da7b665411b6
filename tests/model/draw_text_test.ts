// Texts that a model draws itself: none goes on behind its end.
import { assertEquals } from "@std/assert";
import { drawText, drawWith } from "../../src/model/draw_text.ts";

const BEGIN = 1;
const END = 2;

/** A decoder that draws given tokens, in portions, and knows what it holds. */
function decoderOf(draws: readonly (readonly number[])[], portion: number) {
  const held: number[] = [];
  const asked: { tokens: number; seed?: number }[] = [];
  return {
    held,
    asked,
    get length() {
      return held.length;
    },
    feed(tokens: readonly number[]) {
      held.push(...tokens);
      return Promise.resolve();
    },
    truncate(length: number) {
      held.length = length;
      return Promise.resolve();
    },
    async *generate({ tokens, seed }: { tokens: number; seed?: number }) {
      const drawn = draws[asked.length].slice(0, tokens);
      asked.push({ tokens, seed });
      for (let i = 0; i < drawn.length; i += portion) {
        const some = drawn.slice(i, i + portion);
        held.push(...some);
        yield await Promise.resolve(some);
      }
    },
  };
}

Deno.test("drawText(): the next text begins where one ends, with seeds of their own", async () => {
  for (const portion of [1, 2, 3, 8]) {
    const decoder = decoderOf([[5, 6, END, 7, 7, 7, 7, 7], [8, END, 7, 7, 7], [9, 9]], portion);
    const options = { tokens: 9, begin: [BEGIN], ends: [END], seed: 40 };
    const text = await drawText(drawWith(decoder), options);
    assertEquals(text, [BEGIN, 5, 6, END, BEGIN, 8, END, BEGIN, 9]);
    assertEquals(decoder.held, text);
    assertEquals(decoder.asked, [
      { tokens: 8, seed: 40 },
      { tokens: 4, seed: 41 },
      { tokens: 1, seed: 42 },
    ]);
  }
});

Deno.test("drawText(): an end that begins texts is not doubled", async () => {
  const decoder = decoderOf([[5, BEGIN, 7, 7], [8, 8, 8, 8]], 4);
  const options = { tokens: 5, begin: [BEGIN], ends: [BEGIN, END], seed: 0 };
  assertEquals(await drawText(drawWith(decoder), options), [BEGIN, 5, BEGIN, 8, 8]);
});

Deno.test("drawText(): as many tokens as asked for, whatever begins a text", async () => {
  for (const tokens of [2, 3, 4, 5, 6]) {
    const decoder = decoderOf([[END, 7, 7, 7], [7, 7, 7, 7]], 4);
    const options = { tokens, begin: [BEGIN, 3], ends: [END], seed: 0 };
    assertEquals(
      await drawText(drawWith(decoder), options),
      [BEGIN, 3, END, BEGIN, 3, 7].slice(0, tokens),
    );
  }
});
