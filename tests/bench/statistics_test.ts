// What the bench makes of times, by numbers made by hand.
import { assertAlmostEquals, assertEquals } from "@std/assert";
import { geometricMean, median, quantile, speedup, summaryOf } from "../../bench/statistics.ts";

Deno.test("quantile() interpolates between neighbours", () => {
  assertEquals(quantile([5], 0.9), 5);
  assertAlmostEquals(quantile([1, 2, 3, 4, 5], 0.9), 4.6);
  assertEquals([0, 0.5, 1].map((p) => quantile([7, 1, 4], p)), [1, 4, 7]);
});

Deno.test("median() orders numbers as numbers, and leaves them as they were", () => {
  assertEquals(median([3, 1, 2]), 2);
  assertEquals(median([4, 1]), 2.5);
  const samples = [9, 100, 10, 1e-7, 20];
  assertEquals(median(samples), 10);
  assertEquals(samples, [9, 100, 10, 1e-7, 20]);
});

Deno.test("summaryOf() is the middle, the least, the ninth tenth and the number of the times", () => {
  const times = [11, 3, 100, 2, 9, 7, 1, 4, 8, 5, 6];
  assertEquals(summaryOf(times), { medianMs: 6, minMs: 1, p90Ms: 11, samples: 11 });
});

Deno.test("speedup() is how often a base takes as long, pair by pair", () => {
  assertEquals(speedup([1, 2, 4], [2, 4, 8]), 2);
  assertEquals(speedup([8], [2]), 0.25);
  // The machine is ten times slower in the last two rounds. The middle times alone would say 2.5.
  assertEquals(speedup([1, 2, 10, 20], [3, 6, 30, 60]), 3);
  assertEquals(speedup([2, 2, 2], [4, 6, 100]), 3);
});

Deno.test("geometricMean() of a factor and its inverse is 1", () => {
  assertAlmostEquals(geometricMean([4, 0.25]), 1);
  assertAlmostEquals(geometricMean([2, 8]), 4);
  assertEquals([geometricMean([3]), geometricMean([2, 0])], [3, 0]);
});
