import {
  addOuter,
  addToDiagonal,
  choleskyOf,
  meanDiagonal,
  solveCholesky,
  transposed,
} from "../../base/linear_algebra.ts";

/** Share of the mean of the second moments that is added to each: directions that inputs hardly have are not blown up. */
const RIDGE = 1e-3;

/** Second moments of inputs, with a ridge: changes are kept small in directions of which inputs say little. */
export class Ridge {
  readonly #width: number;
  readonly #triangle: Float64Array;

  /** @param moments `inputs^T inputs` [width, width], or a share of it. */
  constructor(moments: Float64Array) {
    this.#width = Math.sqrt(moments.length);
    const sum = moments.slice();
    addToDiagonal(sum, this.#width, RIDGE * meanDiagonal(moments, this.#width));
    this.#triangle = choleskyOf(sum, this.#width);
  }

  /** The inverse times `right` [width, columns]. */
  solve(right: Float64Array): Float64Array {
    return solveCholesky(this.#triangle, this.#width, right);
  }

  /**
   * The change of a matrix [out, width] that makes up for the most of what its outputs lack. They never lack more with it.
   *
   * @param cross `inputs^T errors` [width, out], the same share as of the moments.
   */
  change(cross: Float64Array): Float64Array {
    return transposed(this.solve(cross), cross.length / this.#width);
  }
}

/** `inputs^T others`, of as many rows of both. */
export function crossOf(inputs: Float64Array, others: Float64Array, rows: number): Float64Array {
  const cross = new Float64Array(inputs.length / rows * (others.length / rows));
  addOuter(cross, inputs, others, rows);
  return cross;
}
