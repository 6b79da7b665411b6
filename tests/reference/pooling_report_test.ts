import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import {
  mergeKvHeads,
  outputChange,
  poolingChange,
  poolingReport,
  referenceLayer,
} from "../../mod.ts";
import { type Random, testRandomly } from "../support/random.ts";

const [DIM, SIZES] = [12, { numHeads: 4, headDim: 4 }];

function layer(random: Random, kvHeads: number) {
  const projection = (rows: number, columns: number) => ({
    weight: random.tensor([rows, columns]),
  });
  const kv = () => projection(kvHeads * SIZES.headDim, DIM);
  return { q: projection(16, DIM), k: kv(), v: kv(), o: projection(DIM, 16) };
}

testRandomly(
  "poolingReport(): each way as by itself, on inputs that nothing is fitted to",
  (random) => {
    const weights = layer(random, 2);
    const [x, heldOut] = [random.tensor([2, 40, DIM]), random.tensor([1, 9, DIM])];
    const options = { ...SIZES, from: 2, to: 1, window: 7, rope: { base: 100 } };
    const { mean, first, merged } = poolingReport(weights, x, { ...options, heldOut, rounds: 2 });
    for (const [method, change] of Object.entries({ mean, first } as const)) {
      const given = { ...options, method: method as "mean" | "first" };
      assertEquals(change, poolingChange(weights, heldOut, given));
    }
    const { from, to, ...shape } = options;
    const byHand = mergeKvHeads(weights, x, { ...options, rounds: 2 });
    const before = referenceLayer(weights, heldOut, { ...shape, numKvHeads: from });
    const after = referenceLayer(byHand.weights, heldOut, { ...shape, numKvHeads: to });
    assertEquals(merged, { ...outputChange(before.data, after.data), report: byHand.report });
    const flattered = poolingReport(weights, x, { ...options, rounds: 2 });
    assert(flattered.merged.relativeChange !== merged.relativeChange);
    assertLess(flattered.merged.relativeChange, flattered.mean.relativeChange);
  },
);

testRandomly("poolingReport(): refuses what one of the ways refuses", (random) => {
  const weights = layer(random, 4);
  const x = random.tensor([1, 5, DIM]);
  const report = (options: object) => () =>
    poolingReport(weights, x, { ...SIZES, from: 4, to: 1, ...options });
  assertThrows(report({ to: 3 }), RangeError, "from must be a multiple of to");
  assertThrows(report({ heldOut: random.tensor([1, 5, 3]) }), RangeError);
  assertThrows(report({ rounds: -1 }), RangeError, "rounds=-1");
  assertThrows(() => poolingReport(weights, x, null as never), TypeError, "options");
});
