import { assertEquals } from "@std/assert";
import { cacheBytes, movedBytes, operations } from "../../bench/counts.ts";

const DECODE = {
  ...{ batch: 1, numHeads: 32, numKvHeads: 32, headDim: 128, seqLen: 1, contextLen: 4096 },
  dtype: "f16" as const,
};

Deno.test("cacheBytes() are 16,384 per token for 32 heads of 128 in f16, and 512 for one", () => {
  assertEquals(cacheBytes(DECODE), 16384 * 4096);
  assertEquals(cacheBytes({ ...DECODE, numKvHeads: 1 }), 512 * 4096);
  assertEquals(cacheBytes({ ...DECODE, dtype: "f32", batch: 3 }), 3 * 2 * 16384 * 4096);
});

Deno.test("movedBytes() are the cache, the queries and the outputs", () => {
  assertEquals(movedBytes(DECODE), 16384 * 4096 + 2 * 32 * 128 * 2);
});

Deno.test("cacheBytes() of values within keys are those of keys", () => {
  const latent = { ...DECODE, numHeads: 128, numKvHeads: 1, headDim: 576, valueDim: 512 };
  assertEquals(cacheBytes(latent), 4096 * (576 + 512) * 2);
  assertEquals(cacheBytes({ ...latent, valuesAre: "keys" }), 4096 * 576 * 2);
  const queriesAndOutputs = 128 * (576 + 512) * 2;
  assertEquals(movedBytes({ ...latent, valuesAre: "keys" }), 4096 * 576 * 2 + queriesAndOutputs);
});

Deno.test("operations() are two multiply-adds per pair and element", () => {
  assertEquals(operations(DECODE), 32 * 4096 * 4 * 128);
});
