// Files of prompts: one bad line spoils no other, and what is done is not done again.
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import type { Engine, SequenceRequest } from "../../../cli/shared/generation/engine.ts";
import {
  type PromptResult,
  readPrompts,
  readResults,
  runPrompts,
} from "../../../cli/shared/generation/prompts.ts";

const DEFAULTS = { maxTokens: 4, temperature: 0, topP: 1, seed: 0 };
const tokenizer = {
  vocabSize: 128,
  endOfText: [0],
  encode: (text: string) => [...text].map((letter) => letter.charCodeAt(0)),
  decode: (tokens: readonly number[]) =>
    String.fromCharCode(...tokens.filter((token) => token > 0)),
};

/** Answers a prompt by its own letters, then ends; counts how many run at once. */
function echo(): { engine: Engine; asked: SequenceRequest[]; most: () => number } {
  const asked: SequenceRequest[] = [];
  let [running, most] = [0, 0];
  const engine = {
    contextLen: 12,
    submit(request: SequenceRequest) {
      asked.push(request);
      most = Math.max(most, ++running);
      return {
        cancel: () => void running--,
        async *[Symbol.asyncIterator]() {
          for (const token of [...request.tokens, 0]) {
            await new Promise((resolve) => setTimeout(resolve));
            yield [{ token }];
          }
        },
      };
    },
    stats: () => {
      throw new Error("not asked");
    },
    destroy() {},
  };
  return { engine, asked, most: () => most };
}

Deno.test("prompts: each line by itself, bad ones with their reason", async () => {
  const { engine, asked, most } = echo();
  const lines = readPrompts([
    '{"prompt": "ab"}',
    '{"id": "x", "prompt": "abcdef", "max_tokens": 3, "temperature": 0.5, "seed": 9}',
    "",
    '{"prompt": "ab',
    '{"prompt": "ab", "tempo": 1}',
    '{"id": "x", "prompt": "b"}',
    '{"prompt": [99, 98]}',
    '{"prompt": [500]}',
    '{"prompt": "abcdefghijkl"}',
    '{"prompt": "a.b", "stop": "."}',
  ].join("\n"));
  const results: PromptResult[] = [];
  await runPrompts(engine, tokenizer, lines, {
    ...{ together: 3, defaults: DEFAULTS },
    onResult: (result) => Promise.resolve(void results.push(result)),
  });
  assertEquals(most(), 3);
  const result = (id: string) => results.find((one) => one.id === id)!;
  assertEquals(results.length, 9);
  assertEquals(result("1"), { id: "1", text: "ab", finish: "stop", promptTokens: 2, tokens: 3 });
  assertEquals(result("x"), { id: "x", text: "abc", finish: "length", promptTokens: 6, tokens: 3 });
  const { temperature, seed } = asked.find(({ tokens }) => tokens.length === 6)!;
  assertEquals([temperature, seed], [0.5, 9]);
  const error = (id: string) => (result(id) as { error: string }).error;
  assertStringIncludes(error("4"), "the line must be JSON");
  assertStringIncludes(error("5"), 'Unrecognized key: "tempo"');
  assertEquals(error("line 6"), "id x stands on an earlier line");
  assertEquals(result("7"), { id: "7", text: "cb", finish: "stop", promptTokens: 2, tokens: 3 });
  assertEquals(error("8"), "there is no token 500");
  assertStringIncludes(error("9"), "they have 12 and 4 tokens, and the context 12");
  assertEquals(result("10"), { id: "10", text: "a", finish: "stop", promptTokens: 3, tokens: 2 });
});

Deno.test("prompts: results that are there are known, a half line is not", () => {
  const { ids, whole } = readResults('{"id": "1"}\n{"id": 2}\n{"id": "3", "te');
  assertEquals([[...ids], whole], [["1", "2"], '{"id": "1"}\n{"id": 2}\n']);
  assertEquals(readResults("").ids.size, 0);
  assertThrows(() => readResults("dear diary\n"), RangeError, "name another --out");
});
