import { assert, assertEquals } from "@std/assert";
import { continuePrompt, logitChange } from "../../../cli/generate/measure.ts";
import { likeliest } from "../../../cli/shared/likeliest.ts";
import { formatPooling, formatSpeed } from "../../../cli/generate/report.ts";

const LETTERS = ["<", "a", "b", "c", ">"];
const tokenizer = {
  endOfText: [4],
  decode: (tokens: readonly number[]) => tokens.map((token) => LETTERS[token]).join(""),
};

/** Says the letters in turn, two at a time, and writes down what is done with it. */
class FakeDecoder {
  readonly log: string[] = [];
  constructor(readonly letters: number[]) {}

  feed(tokens: readonly number[]): Promise<void> {
    this.log.push(`feed ${tokens.length}`);
    return Promise.resolve();
  }

  async *generate({ tokens }: { tokens: number }): AsyncGenerator<number[]> {
    this.log.push(`generate ${tokens}`);
    for (let i = 0; i < tokens; i += 2) {
      await Promise.resolve();
      yield this.letters.slice(i, Math.min(i + 2, tokens));
    }
  }

  truncate(length: number): Promise<void> {
    this.log.push(`truncate ${length}`);
    return Promise.resolve();
  }

  clear(): void {
    this.log.push("clear");
  }
}

async function talk(letters: number[], tokens: number, prompt = [0, 1]) {
  const decoder = new FakeDecoder(letters);
  let text = "";
  const speed = await continuePrompt(decoder, prompt, {
    ...{ tokens, tokenizer, sampling: { temperature: 0, topP: 1, seed: 0 } },
    write: (part) => void (text += part),
    settled: () => Promise.resolve(),
  });
  return { log: decoder.log, text, speed };
}

Deno.test("continuePrompt: runs once before, and then writes prompt and text", async () => {
  const { log, text, speed } = await talk([2, 3, 1], 3);
  assertEquals(log, ["feed 2", "generate 1", "clear", "feed 2", "generate 3", "truncate 5"]);
  assertEquals(text, "<abca\n");
  assertEquals([speed.promptTokens, speed.newTokens], [2, 3]);
  assert(speed.prefillMs >= 0 && speed.decodeMs >= 0);
  const long = await talk([1], 1, new Array(200).fill(1));
  assertEquals(long.log.slice(0, 2), ["feed 73", "generate 1"]);
});

Deno.test("continuePrompt: stops where the text is over", async () => {
  const { text, speed } = await talk([2, 3, 1, 4, 2, 2], 6);
  assertEquals([text, speed.newTokens, speed.decodedTokens], ["<abca\n", 4, 4]);
  // What a batch has past the end is no part of the text, and is taken back.
  const within = await talk([2, 3, 4, 1, 2, 2], 6);
  assertEquals([within.text, within.speed.newTokens], ["<abc\n", 3]);
  assertEquals([within.speed.decodedTokens, within.log.at(-1)], [4, "truncate 5"]);
});

Deno.test("likeliest() and logitChange(): by hand", () => {
  assertEquals(likeliest([0, 3, 1, 5, 5, -1], 3), [1, 0]);
  const before = Float32Array.of(3, 0, 0, 4);
  assertEquals(logitChange(before, before, 2), { tokens: 2, relativeChange: 0, agreement: 1 });
  const after = Float32Array.of(3, 0, 0, -1);
  assertEquals(logitChange(before, after, 2), { tokens: 2, relativeChange: 1, agreement: 0.5 });
});

Deno.test("formatSpeed(): rates, and bytes in full", () => {
  const text = formatSpeed(
    { promptTokens: 1, prefillMs: 8, newTokens: 100, decodedTokens: 112, decodeMs: 560 },
    { cacheBytes: 134760, weightBytes: 1040128 },
    { kvDtype: "int8", weightDtype: "f16", room: 101 },
  );
  assertEquals(text.split("\n"), [
    "prefill  1 token        125 tokens/s",
    "decode   100 tokens     200 tokens/s",
    "cache    134760 bytes   132 KiB in int8, for 101 tokens",
    "weights  1040128 bytes  1016 KiB in f16",
  ]);
});

Deno.test("formatPooling(): what it saves, and how far the outputs are off", () => {
  const text = formatPooling({
    ...{ from: 4, to: 1, method: "first" },
    parameters: { before: 1000, after: 750 },
    cacheBytes: { before: 400, after: 100 },
    change: { tokens: 8, relativeChange: 0.1234, agreement: 0.75 },
  });
  assertEquals(
    text.split("\n"),
    [
      "4 KV heads pooled into 1 (first), and not trained afterwards:",
      "attention parameters  1000 to 750                  25 % less",
      "cache bytes           400 to 100                   75 % less",
      "logits                off by 12.3 % of their size  after 8 tokens",
      "likeliest token       the same after 75 %          of 8 tokens",
    ].map((line) => line),
  );
});
