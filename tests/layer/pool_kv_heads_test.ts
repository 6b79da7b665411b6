import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { poolKvHeads } from "../../mod.ts";
import { testRandomly } from "../support/random.ts";

Deno.test("poolKvHeads() averages neighbours, or takes the first", () => {
  // Four heads of size 1 with three inputs each.
  const weights = [1, 2, 3, 3, 4, 5, 10, 20, 30, 30, 40, 50];
  const pool = (
    to: number,
    method?: "mean" | "first",
  ) => [...poolKvHeads(weights, { from: 4, to, method })];
  assertEquals(pool(4), weights);
  assertEquals(pool(2), [2, 3, 4, 20, 30, 40]);
  assertEquals(pool(1), [11, 16.5, 22]);
  assertEquals(pool(2, "first"), [1, 2, 3, 10, 20, 30]);
  assertEquals(pool(1, "first"), [1, 2, 3]);
});

Deno.test("poolKvHeads() sums in float64", () => {
  const weights = new Float32Array([2 ** 24, 1, 1, 2]);
  assertEquals([...poolKvHeads(weights, { from: 4, to: 1 })], [(2 ** 24 + 4) / 4]);
  assertEquals([...poolKvHeads([1e16, 1, -1e16], { from: 3, to: 3 })], [1e16, 1, -1e16]);
});

testRandomly("poolKvHeads() in two steps is poolKvHeads() in one", (random) => {
  const [a, b, to] = [random.integer(1, 4), random.integer(1, 4), random.integer(1, 3)];
  const from = a * b * to;
  const { data } = random.tensor([from, random.integer(1, 5), random.integer(1, 7)]);
  for (const method of ["mean", "first"] as const) {
    const once = poolKvHeads(data, { from, to, method });
    const middle = poolKvHeads(data, { from, to: b * to, method });
    const twice = poolKvHeads(middle, { from: b * to, to, method });
    once.forEach((value, i) => assertAlmostEquals(value, twice[i], 1e-12));
  }
});

Deno.test("poolKvHeads() refuses heads and rows that do not divide", () => {
  const pool = (elements: number, options: unknown) => () =>
    poolKvHeads(new Float32Array(elements), options as { from: number; to: number });
  assertThrows(pool(12, { from: 4, to: 3 }), RangeError, "from=4, to=3");
  assertThrows(pool(12, { from: 2, to: 4 }), RangeError, "from=2, to=4");
  assertThrows(pool(12, { from: 5, to: 1 }), RangeError, "elements=12, from=5");
  assertThrows(pool(12, { from: 4, to: 0 }), RangeError, "to=0");
  assertThrows(pool(12, { from: 4, to: "1" }), TypeError, 'to="1"');
  assertThrows(pool(12, { from: 4, to: 1, method: "max" }), TypeError, 'method="max"');
});
