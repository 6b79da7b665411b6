/** The best subspace that heads can share where each reads it by a linear map of its own: principal components. */
import {
  choleskyOf,
  eigenOf,
  meanDiagonal,
  product,
  transposed,
} from "../../base/linear_algebra.ts";

/** Maps into what several heads share, and out of it: as many elements as one head has. */
export interface Shared {
  /** From the heads, beside each other, to what they share [size, heads size]. */
  encode: Float64Array;
  /** Back to the heads, as well as can be [heads size, size]. */
  decode: Float64Array;
  energy: Energy;
}

/** The square of what is kept, and of what there was. */
export interface Energy {
  kept: number;
  total: number;
}

/** Directions below this share of the largest are rounding. */
const ROUNDING = 1e-13;

/**
 * Finds what heads share where each may have any linear map of it: their principal components.
 *
 * @param moment Second moments of the heads' elements, beside each other [heads size, heads size].
 * @param metrics Of each head what its elements count [size, size]: `M^T M` of the map M that reads them.
 * @returns What they share; its elements are equally large, and on average as large as the heads' are.
 */
export function sharedSubspace(moment: Float64Array, metrics: readonly Float64Array[]): Shared {
  const all = Math.sqrt(moment.length);
  const size = all / metrics.length;
  const roots = new Float64Array(all * all); // B: B^T B has the metrics as its diagonal blocks
  metrics.forEach((metric, head) => {
    const root = transposed(choleskyOf(metric, size), size);
    for (let i = 0; i < size; i++) {
      const row = (head * size + i) * all + head * size;
      roots.set(root.subarray(i * size, (i + 1) * size), row);
    }
  });
  const rooted = product(roots, moment, all);
  const { values, vectors } = eigenOf(product(rooted, transposed(roots, all), all), all);
  const largest = vectors.subarray(0, size * all); // U^T

  const encode = product(largest, roots, all); // U^T B
  const decode = product(transposed(rooted, all), transposed(largest, all), all); // S B^T U
  const usual = meanDiagonal(moment, all);
  for (let i = 0; i < size; i++) {
    const isThere = values[i] > ROUNDING * values[0];
    const scale = isThere ? Math.sqrt(usual / values[i]) : 0;
    const back = isThere ? 1 / (scale * values[i]) : 0;
    for (let j = 0; j < all; j++) {
      encode[i * all + j] *= scale;
      decode[j * size + i] *= back;
    }
  }
  const sum = (of: Float64Array) => of.reduce((sum, value) => sum + value, 0);
  return { encode, decode, energy: { kept: sum(values.subarray(0, size)), total: sum(values) } };
}
