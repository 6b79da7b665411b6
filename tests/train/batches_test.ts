import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { Batches } from "../../src/train/mod.ts";
import { rateAt } from "../../src/train/schedule.ts";

Deno.test("Batches: sequences are parts of the text, and those of a step depend on seed and step", () => {
  const text = Array.from({ length: 50 }, (_, i) => i);
  const options = { seqLen: 4, batch: 3, seed: 7 };
  const batches = new Batches(text, options);
  for (const sequence of batches.at(3)) {
    assertEquals([...sequence], Array.from({ length: 5 }, (_, i) => sequence[0] + i));
  }
  assertEquals(new Batches(text, options).at(3), batches.at(3));
  assertNotEquals(batches.at(4), batches.at(3));
  assertNotEquals(new Batches(text, { ...options, seed: 8 }).at(3), batches.at(3));
});

Deno.test("Batches: every place of the text comes, the last one too", () => {
  const batches = new Batches([0, 1, 2, 3, 4, 5], { seqLen: 2, batch: 50 });
  const first = new Set(batches.at(0).map(([token]) => token));
  assertEquals([...first].sort(), [0, 1, 2, 3]);
});

Deno.test("Batches: a text that is shorter than a sequence, and numbers that are none", () => {
  const make = (tokens: number[], options: object = {}) =>
    new Batches(tokens, { ...{ seqLen: 3, batch: 1 }, ...options });
  assertThrows(() => make([1, 2, 3]), RangeError, "tokens=3, seqLen=3");
  assert(make([1, 2, 3, 4]).at(0).length === 1);
  assertThrows(() => make([1, 2, 3, 4], { batch: 0 }), RangeError, "batch=0");
  assertThrows(() => make([1, 2, 3, 4]).at(-1), RangeError, "step=-1");
});

Deno.test("rateAt: up in a line, down as half a cosine, and no further", () => {
  const schedule = { rate: 2, warmup: 4, steps: 12, finalShare: 0.25 };
  const rates = Array.from({ length: 15 }, (_, step) => rateAt(step, schedule));
  assertEquals(rates.slice(0, 5), [0.5, 1, 1.5, 2, 2]);
  assert(Math.abs(rates[8] - 1.25) < 1e-12);
  assert(rates.slice(4, 12).every((rate, i) => rate > rates[5 + i]));
  assertEquals(rates.slice(12), [0.5, 0.5, 0.5]);
  const rising = { ...schedule, steps: 4 };
  assertEquals([3, 4, 5].map((step) => rateAt(step, rising)), [2, 2, 0.5]);
});
