/** The best rotary pair that heads can share: a complex number, of which each has a complex multiple. */
import { eigenOf, meanDiagonal } from "../../base/linear_algebra.ts";
import type { Shared } from "./shared_subspace.ts";

/**
 * Finds what heads share of a rotary pair, as {@linkcode sharedSubspace} does, with maps that commute with rotations: a pair
 * (x, y) is the complex number x + iy, a rotation is a complex factor, and so is each head's map. What is found for one
 * position holds for every other.
 *
 * @param moment Second moments of the heads' pairs, beside each other [2 heads, 2 heads].
 * @param metrics Of each head what its pair counts [2, 2]: the second moments of the queries that read it. At distances that
 * turn the pair all around, their trace decides alone.
 */
export function sharedPair(moment: Float64Array, metrics: readonly Float64Array[]): Shared {
  const heads = metrics.length;
  const all = 2 * heads;
  // E z_i conj(z_j), of the pairs z
  const re = (i: number, j: number) =>
    moment[2 * i * all + 2 * j] + moment[(2 * i + 1) * all + 2 * j + 1];
  const im = (i: number, j: number) =>
    moment[(2 * i + 1) * all + 2 * j] - moment[2 * i * all + 2 * j + 1];
  const weights = metrics.map((metric) => Math.sqrt(metric[0] + metric[3]));

  // A Hermitian matrix as a real one, [[Re, -Im], [Im, Re]]: it has each eigenvalue twice, and vectors (u, v) for u + iv.
  const real = new Float64Array(all * all);
  for (let i = 0; i < heads; i++) {
    for (let j = 0; j < heads; j++) {
      const weight = weights[i] * weights[j];
      real[i * all + j] = real[(heads + i) * all + heads + j] = weight * re(i, j);
      real[(heads + i) * all + j] = weight * im(i, j);
      real[i * all + heads + j] = -weight * im(i, j);
    }
  }
  const { values, vectors } = eigenOf(real, all);
  const largest = values[0];
  const scale = largest > 0 ? Math.sqrt(2 * meanDiagonal(moment, all) / largest) : 0;
  const back = largest > 0 ? 1 / (scale * largest) : 0;

  const encode = new Float64Array(2 * all);
  const decode = new Float64Array(2 * all);
  for (let i = 0; i < heads; i++) {
    let [x, y] = [0, 0];
    for (let j = 0; j < heads; j++) {
      const [u, v] = [weights[j] * vectors[j], weights[j] * vectors[heads + j]];
      x += re(i, j) * u - im(i, j) * v;
      y += re(i, j) * v + im(i, j) * u;
    }
    setFactor(decode, 2, [2 * i, 0], back * x, back * y);
    const weight = scale * weights[i];
    setFactor(encode, all, [0, 2 * i], weight * vectors[i], -weight * vectors[heads + i]);
  }
  const total = values.reduce((sum, value) => sum + value, 0) / 2;
  return { encode, decode, energy: { kept: largest, total } };
}

/** Writes the complex factor x + iy as a matrix [2, 2] that starts at a row and column of another. */
function setFactor(
  matrix: Float64Array,
  columns: number,
  [row, column]: [number, number],
  x: number,
  y: number,
): void {
  const first = row * columns + column;
  matrix.set([x, -y], first);
  matrix.set([y, x], first + columns);
}
