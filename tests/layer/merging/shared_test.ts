// What heads share, by what it is to make least: the weighted error of what is read back.
import { assertAlmostEquals, assertGreaterOrEqual, assertLess } from "@std/assert";
import { identity, product, transposed } from "../../../src/base/linear_algebra.ts";
import { crossOf, Ridge } from "../../../src/layer/merging/ridge.ts";
import { sharedPair } from "../../../src/layer/merging/shared_pair.ts";
import { type Shared, sharedSubspace } from "../../../src/layer/merging/shared_subspace.ts";
import { assertClose } from "../../support/compare.ts";
import { type Random, testRandomly } from "../../support/random.ts";

function numbers(random: Random, length: number): Float64Array {
  return Float64Array.from({ length }, () => 2 * random.next() - 1);
}

/** Second moments of random numbers. */
function momentOf(random: Random, size: number): Float64Array {
  const factor = numbers(random, size * size);
  return product(factor, transposed(factor, size), size);
}

/** `E |M (x - decode encode x)|^2`, the sum over heads whose metrics are `M^T M`. */
function errorOf(
  { encode, decode }: Pick<Shared, "encode" | "decode">,
  moment: Float64Array,
  metrics: readonly Float64Array[],
): number {
  const all = Math.sqrt(moment.length);
  const size = all / metrics.length;
  const kept = product(decode, encode, size);
  const lost = identity(all).map((value, i) => value - kept[i]);
  const errors = product(product(lost, moment, all), transposed(lost, all), all);
  return metrics.reduce((sum, metric, head) => {
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        sum += metric[i * size + j] * errors[(head * size + i) * all + head * size + j];
      }
    }
    return sum;
  }, 0);
}

testRandomly(
  "sharedSubspace(): no other loses less, and the energy says what it loses",
  (random) => {
    const [size, heads] = [random.integer(1, 4), random.integer(1, 4)];
    const moment = momentOf(random, size * heads);
    const metrics = Array.from({ length: heads }, () => momentOf(random, size));
    const { encode, decode, energy } = sharedSubspace(moment, metrics);
    const error = errorOf({ encode, decode }, moment, metrics);
    assertAlmostEquals(error, energy.total - energy.kept, 1e-9 * energy.total);
    for (let i = 0; i < 20; i++) {
      const near = (matrix: Float64Array) =>
        matrix.map((value) => value + 10 ** -random.integer(0, 4) * (2 * random.next() - 1));
      const other = { encode: near(encode), decode: near(decode) };
      assertGreaterOrEqual(errorOf(other, moment, metrics), error - 1e-9 * energy.total);
    }
    // As large as what it stands for.
    const shared = product(
      product(encode, moment, size * heads),
      transposed(encode, size * heads),
      size * heads,
    );
    const usual = identity(size * heads).reduce((sum, one, i) => sum + one * moment[i], 0) /
      (size * heads);
    assertClose(shared, identity(size).map((one) => one * usual), 1e-9, "shared moments");
  },
);

testRandomly(
  "sharedPair(): no other complex factors lose less, and they are complex factors",
  (random) => {
    const heads = random.integer(1, 5);
    const moment = momentOf(random, 2 * heads);
    const queries = Array.from({ length: heads }, () => momentOf(random, 2));
    const { encode, decode, energy } = sharedPair(moment, queries);
    // Rotations all around leave of a metric its trace.
    const metrics = queries.map((metric) => {
      const strength = metric[0] + metric[3];
      return Float64Array.of(strength, 0, 0, strength);
    });
    const error = errorOf({ encode, decode }, moment, metrics);
    assertAlmostEquals(error, energy.total - energy.kept, 1e-9 * energy.total);
    const factor = (matrix: Float64Array, first: number, columns: number) => {
      const [a, b, c, d] = [first, first + 1, first + columns, first + columns + 1].map((i) =>
        matrix[i]
      );
      assertClose([a, b], [d, -c], 0, "a complex factor");
    };
    for (let head = 0; head < heads; head++) {
      factor(encode, 2 * head, 2 * heads);
      factor(decode, 4 * head, 2);
    }
    for (let i = 0; i < 20; i++) {
      const near = (matrix: Float64Array, columns: number) => {
        const other = matrix.slice();
        for (let row = 0; row < matrix.length / columns; row += 2) {
          for (let column = 0; column < columns; column += 2) {
            const size = 10 ** -random.integer(0, 4);
            const [x, y] = [size * (2 * random.next() - 1), size * (2 * random.next() - 1)];
            const first = row * columns + column;
            other[first] += x;
            other[first + 1] -= y;
            other[first + columns] += y;
            other[first + columns + 1] += x;
          }
        }
        return other;
      };
      const other = { encode: near(encode, 2 * heads), decode: near(decode, 2) };
      assertGreaterOrEqual(errorOf(other, moment, metrics), error - 1e-9 * energy.total);
    }
  },
);

testRandomly(
  "Ridge: what inputs say much about is found, what they say little about stays",
  (random) => {
    const rows = 200;
    const x = numbers(random, 2 * rows).map((value, i) => i % 2 ? 1e-6 * value : value);
    const noise = numbers(random, rows).map((value) => 1e-3 * value);
    const errors = noise.map((value, row) => value + 3 * x[2 * row] + 1000 * x[2 * row + 1]);
    const [much, little] = new Ridge(crossOf(x, x, rows)).change(crossOf(x, errors, rows));
    assertAlmostEquals(much, 3, 0.02);
    assertLess(Math.abs(little), 0.01);
  },
);
