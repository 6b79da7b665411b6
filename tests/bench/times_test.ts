// From clocks to times, and from times to the rates of an adapter, by numbers made by hand.
import { assertAlmostEquals, assertEquals } from "@std/assert";
import { ratesOf } from "../../bench/roofline.ts";
import { roundsOf, timesOf } from "../../bench/stopwatch.ts";

Deno.test("timesOf() takes nanoseconds of repeated calls apart, sample by sample of each round", () => {
  // Two samples, of 1 and of 4 calls, in three rounds; between them time passes that belongs to none.
  const stamps = [
    ...[0n, 2_000_000n, 5_000_000n, 9_000_000n],
    ...[20_000_000n, 23_000_000n, 30_000_000n, 32_000_000n],
    ...[100_000_000n, 100_500_000n, 200_000_000n, 208_000_000n],
  ];
  assertEquals(timesOf(stamps, [1, 4]), [[2, 3, 0.5], [1, 0.5, 2]]);
  // Nanoseconds since a machine was started may be more than a number holds.
  assertEquals(timesOf([2n ** 63n, 2n ** 63n + 1_000_000n], [2]), [[0.5]]);
});

Deno.test("roundsOf() spends the budget, within bounds", () => {
  const effort = { minRounds: 3, maxRounds: 11, budgetMs: 100 };
  assertEquals([1, 10, 16, 1000].map((roundMs) => roundsOf(roundMs, effort)), [11, 10, 6, 3]);
});

Deno.test("ratesOf() counts what is copied twice, and takes the faster form of each stream", () => {
  const size = { bytes: 2e6, fmaInvocations: 1000 };
  const times = {
    copies: [[4, 4, 100], [8, 2, 8]],
    reads: [[3, 2, 1], [1, 1, 50]],
    fma: [4, 2, 1],
  };
  const rates = ratesOf(size, times);
  // 4e6 bytes in 4 ms; 2e6 bytes in 1 ms.
  assertAlmostEquals(rates.copyGBps, 1);
  assertAlmostEquals(rates.readGBps, 2);
  // Two chains of four lanes, 32 x 16 steps, each a product and a sum: 8192 operations of an invocation, in 2 ms.
  assertAlmostEquals(rates.fmaGFlops, 4.096);
  const slower = ratesOf(size, { ...times, copies: times.copies.toReversed(), fma: [40, 20, 10] });
  assertAlmostEquals(slower.copyGBps, 1);
  assertAlmostEquals(slower.fmaGFlops, 0.4096);
});
