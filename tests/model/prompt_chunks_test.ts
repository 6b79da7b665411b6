// The chunks in which a prompt is fed.
import { assert, assertEquals } from "@std/assert";
import { promptChunks } from "../../src/model/prompt_chunks.ts";
import { testRandomly } from "../support/random.ts";

Deno.test("promptChunks: the rest goes in powers of 8", () => {
  const lengths = (tokens: number, maxSeqLen: number) =>
    promptChunks(Array(tokens).fill(0), maxSeqLen).map(({ length }) => length);
  assertEquals(lengths(1, 64), [1]);
  assertEquals(lengths(64, 64), [64]);
  assertEquals(lengths(150, 64), [64, 64, 8, 8, 1, 1, 1, 1, 1, 1]);
  assertEquals(lengths(9, 5), [5, 1, 1, 1, 1]);
  assertEquals(lengths(600, 1000), [512, 64, 8, 8, 8]);
});

testRandomly("promptChunks: chunks are the prompt, within maxSeqLen, of few lengths", (random) => {
  const maxSeqLen = random.integer(1, 200);
  const tokens = Array.from({ length: random.integer(1, 1000) }, () => random.integer(0, 9));
  const chunks = promptChunks(tokens, maxSeqLen);
  assertEquals(chunks.flat(), tokens);
  for (const { length } of chunks) {
    const isPower = [1, 8, 64, 512].includes(length);
    assert(length === maxSeqLen || isPower && length < maxSeqLen, `${length} of ${maxSeqLen}`);
  }
});
