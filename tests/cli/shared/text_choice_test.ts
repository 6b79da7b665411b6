// Tokens and their texts, by a tokenizer of bytes that does to a text's first space what SentencePiece does.
import { assertEquals } from "@std/assert";
import { completionFormat } from "../../../cli/serve/responses.ts";
import { TextChoice } from "../../../cli/shared/generation/text_choice.ts";

const BYTES = [[0x20, 0x61], [0x62], [0xc3], [0xa9], [0x20, 0x63]];
const tokenizer = {
  decode: (tokens: readonly number[]) =>
    new TextDecoder().decode(Uint8Array.from(tokens.flatMap((token) => BYTES[token])))
      .replace(/^ /, ""),
};

function choice(prompt: readonly number[]): TextChoice {
  return new TextChoice(tokenizer, { prompt, endTokens: [], stops: [], maxTokens: 99 });
}

Deno.test("TextChoice: each token has the text that it completes, where it stands in the whole", () => {
  for (const cuts of [[5], [1, 1, 1, 1, 1], [3, 2]]) {
    const one = choice([0]);
    const tokens = [0, 2, 3, 4, 1].map((token) => ({ token }));
    const parts = cuts.map((count) => one.push(tokens.splice(0, count)));
    assertEquals(parts.map(({ text }) => text).join(""), " aé cb");
    assertEquals(
      parts.flatMap(({ tokens }) => tokens.map(({ text, offset }) => [text, offset])),
      [[" a", 0], ["", 2], ["é", 2], [" c", 3], ["b", 5]],
    );
  }
});

Deno.test("TextChoice: the likeliest tokens have the text that they would have had there", () => {
  const one = choice([1]);
  const likeliest = [4, 2, 1].map((token) => ({ token, logprob: -1 }));
  const part = one.push([{ token: 2, logprob: -1 }, { token: 3, logprob: -2, likeliest }]);
  assertEquals(part.tokens[1].likeliest!.map(({ text }) => text), ["\uFFFD c", "", "\uFFFDb"]);
  const head = { id: "i", created: 0, model: "m" };
  // deno-lint-ignore no-explicit-any
  const event = completionFormat().event(head, { index: 0, ...part, finish: null }, true) as any;
  assertEquals(event.choices[0].logprobs, {
    ...{ tokens: ["", "é"], token_logprobs: [-1, -2], text_offset: [0, 0] },
    top_logprobs: [{}, { "\uFFFD c": -1, "": -1, "\uFFFDb": -1 }],
  });
});
