import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import {
  addOuter,
  choleskyOf,
  eigenOf,
  identity,
  product,
  solveCholesky,
  transposed,
} from "../../src/base/linear_algebra.ts";
import { assertClose } from "../support/compare.ts";
import { type Random, testRandomly } from "../support/random.ts";

function numbers(random: Random, length: number): Float64Array {
  return Float64Array.from({ length }, () => 2 * random.next() - 1);
}

/** A symmetric positive semidefinite matrix of a rank. */
function semidefinite(random: Random, size: number, rank: number): Float64Array {
  const factor = numbers(random, size * rank);
  return product(factor, transposed(factor, rank), rank);
}

testRandomly("product(), transposed() and addOuter() are what loops say", (random) => {
  const [rows, inner, columns] = [1, 2, 3].map(() => random.integer(1, 9));
  const [a, b] = [numbers(random, rows * inner), numbers(random, inner * columns)];
  const expected = Array.from({ length: rows * columns }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < inner; k++) {
      sum += a[Math.floor(i / columns) * inner + k] * b[k * columns + i % columns];
    }
    return sum;
  });
  assertClose(product(a, b, inner), expected, 1e-13, "product");
  const sum = Float64Array.from(expected, () => 1);
  addOuter(sum, transposed(a, inner), b, inner);
  assertClose(sum, expected.map((value) => value + 1), 1e-13, "1 + a b");
  assertEquals(transposed(transposed(a, inner), rows), a);
});

testRandomly("eigenOf(): A v = l v, vectors at right angles, values in order", (random) => {
  const size = random.integer(1, 12);
  for (const rank of [size, random.integer(1, size), 0]) {
    const matrix = rank === 0 ? new Float64Array(size * size) : semidefinite(random, size, rank);
    // Not only positive ones.
    for (let i = 0; i < size; i++) matrix[i * size + i] -= rank === size ? 1 : 0;
    const { values, vectors } = eigenOf(matrix, size);
    const scaled = vectors.map((value, i) => values[Math.floor(i / size)] * value);
    assertClose(product(vectors, matrix, size), scaled, 1e-12, "v A");
    assertClose(product(vectors, transposed(vectors, size), size), identity(size), 1e-12, "v v^T");
    assert(values.every((value, i) => i === 0 || value <= values[i - 1]));
  }
});

Deno.test("eigenOf(): by hand, equal values, and values of very different sizes", () => {
  const { values } = eigenOf(Float64Array.of(2, 1, 1, 2), 2);
  assertClose(values, [3, 1], 1e-15, "values");
  assertEquals([...eigenOf(Float64Array.of(5, 0, 0, 5), 2).values], [5, 5]);
  const far = eigenOf(Float64Array.of(1e-12, 1e-7, 1e-7, 1), 2).values;
  assertLess(Math.abs(far[0] - 1), 1e-13);
  assertThrows(() => eigenOf(Float64Array.of(1, NaN, NaN, 1), 2), RangeError, "finite");
});

testRandomly("choleskyOf() and solveCholesky(), also where a matrix is singular", (random) => {
  const size = random.integer(1, 12);
  for (const rank of [size + 3, random.integer(1, size)]) {
    const matrix = semidefinite(random, size, rank);
    const l = choleskyOf(matrix, size);
    assertClose(product(l, transposed(l, size), size), matrix, 1e-11, "L L^T");
    assert(l.every((value, i) => i % size <= Math.floor(i / size) || value === 0));
    const columns = random.integer(1, 4);
    // What has a solution is solved.
    const right = product(matrix, numbers(random, size * columns), size);
    const x = solveCholesky(l, size, right);
    assertClose(product(matrix, x, size), right, 1e-7, "A x");
  }
});

Deno.test("choleskyOf(): a direction without a share is left out", () => {
  const l = choleskyOf(Float64Array.of(4, 2, 2, 1), 2);
  assertEquals([...l], [2, 0, 1, 0]);
  assertEquals([...solveCholesky(l, 2, Float64Array.of(4, 2))], [1, 0]);
  assertEquals([...choleskyOf(new Float64Array(4), 2)], [0, 0, 0, 0]);
});
