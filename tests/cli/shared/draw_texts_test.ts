// The bounds of texts that a model draws.
import { assertEquals, assertThrows } from "@std/assert";
import { textBounds, textTokens } from "../../../cli/shared/draw_texts.ts";

const MESSAGES = { action: "test", cure: "give --text" };

Deno.test("textBounds(): as the tokenizer begins, or with the end of the text before", () => {
  const of = (begin: number[], endOfText: number[]) =>
    textBounds({ encode: () => begin, endOfText }, MESSAGES);
  assertEquals(of([1], [2, 3]), { begin: [1], ends: [2, 3] });
  assertEquals(of([4, 1], []), { begin: [4, 1], ends: [] });
  assertEquals(of([], [2, 3]), { begin: [2], ends: [2, 3] });
  assertThrows(() => of([], []), RangeError, "it can draw none (give --text)");
});

Deno.test("textTokens(): 256, or as many as the model is made for", () => {
  assertEquals([textTokens({ contextLen: 48 }), textTokens({ contextLen: 4096 })], [48, 256]);
});
