import { assertEquals, assertLess } from "@std/assert";
import { conjugateGradients } from "../../src/base/conjugate_gradients.ts";
import { product, transposed } from "../../src/base/linear_algebra.ts";
import { assertClose } from "../support/compare.ts";
import { type Random, testRandomly } from "../support/random.ts";

/** Symmetric, with eigenvalues of at least 1. */
function definite(random: Random, size: number): Float64Array {
  const factor = Float64Array.from({ length: size * size }, () => 2 * random.next() - 1);
  const matrix = product(factor, transposed(factor, size), size);
  for (let i = 0; i < size; i++) matrix[i * size + i] += 1;
  return matrix;
}

testRandomly(
  "conjugateGradients() solves each of its blocks, and comes closer each step",
  (random) => {
    const [size, blocks] = [random.integer(1, 9), random.integer(1, 4)];
    const matrices = Array.from({ length: blocks }, () => definite(random, size));
    const solution = Float64Array.from({ length: size * blocks }, () => 2 * random.next() - 1);
    const apply = (x: Float64Array) =>
      Float64Array.from(matrices.flatMap((matrix, block) => [
        ...product(matrix, x.slice(block * size, (block + 1) * size), size),
      ]));
    const right = apply(solution);
    const precondition = (x: Float64Array) =>
      x.map((value, i) => value / matrices[Math.floor(i / size)][i % size * (size + 1)]);
    const system = { apply, right, precondition, blocks };
    assertClose(conjugateGradients(system, 3 * size), solution, 1e-8, "x");

    const height = (x: Float64Array) =>
      apply(x).reduce((sum, value, i) => sum + (value / 2 - right[i]) * x[i], 0);
    let last = 0;
    for (let steps = 1; steps <= size; steps++) {
      const now = height(conjugateGradients(system, steps));
      assertLess(now, last + 1e-12);
      last = now;
    }
  },
);

Deno.test("conjugateGradients() leaves what A does not know, and blocks that are solved", () => {
  const system = {
    apply: (x: Float64Array) => Float64Array.of(2 * x[0], 0, x[2], 0),
    right: Float64Array.of(4, 0, 0, 0),
    precondition: (x: Float64Array) => x,
    blocks: 2,
  };
  assertEquals([...conjugateGradients(system, 5)], [2, 0, 0, 0]);
});
