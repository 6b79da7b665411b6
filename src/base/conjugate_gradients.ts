/** Systems of linear equations that are too large to be written down. */

/** A system that {@linkcode conjugateGradients} solves. */
export interface LinearSystem {
  /** `A x`, of a symmetric positive semidefinite A; its blocks do not mix. */
  apply: (x: Float64Array) => Float64Array;
  /** The right side. */
  right: Float64Array;
  /** An approximation of `A^-1 x`, itself symmetric and positive definite; its blocks do not mix either. */
  precondition: (x: Float64Array) => Float64Array;
  /** Systems of equal size, one after the other, that are solved at once. The default is 1. */
  blocks?: number;
}

/** Residuals below this share of the first are rounding. */
const RESIDUAL = 1e-28;

/**
 * Comes closer to the solution of `A x = right` with every step from 0, by preconditioned conjugate gradients (Hestenes and
 * Stiefel 1952): `x^T A x / 2 - right^T x` falls. Few steps also keep x small in the directions that A hardly knows.
 */
export function conjugateGradients(
  { apply, right, precondition, blocks = 1 }: LinearSystem,
  steps: number,
): Float64Array {
  const size = right.length / blocks;
  const dots = (a: Float64Array, b: Float64Array) =>
    Float64Array.from({ length: blocks }, (_, block) => {
      let sum = 0;
      for (let i = block * size; i < (block + 1) * size; i++) sum += a[i] * b[i];
      return sum;
    });
  const x = new Float64Array(right.length);
  const residual = right.slice();
  let z = precondition(residual);
  let direction = z.slice();
  let sizes = dots(residual, z);
  const rounding = sizes.map((first) => RESIDUAL * first);
  for (let step = 0; step < steps; step++) {
    const applied = apply(direction);
    const curvatures = dots(direction, applied);
    const lengths = sizes.map((size, block) =>
      size > rounding[block] && curvatures[block] > 0 ? size / curvatures[block] : 0
    );
    for (let i = 0; i < x.length; i++) {
      const length = lengths[Math.floor(i / size)];
      x[i] += length * direction[i];
      residual[i] -= length * applied[i];
    }
    z = precondition(residual);
    const next = dots(residual, z);
    direction = z.map((value, i) => {
      const block = Math.floor(i / size);
      return sizes[block] > 0 ? value + next[block] / sizes[block] * direction[i] : 0;
    });
    sizes = next;
  }
  return x;
}
