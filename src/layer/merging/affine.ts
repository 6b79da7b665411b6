/** Projections in float64, each as one matrix: what the fits of a merge change. */
import { addOuter, transposed } from "../../base/linear_algebra.ts";
import { addSum } from "./row_loops.ts";
import type { Projection } from "../attention_weights.ts";

/** A projection as [out, inputs + 1]: the last column is its bias, and stays 0 where it has none. */
export interface Affine {
  out: number;
  matrix: Float64Array;
  hasBias: boolean;
}

/** The matrix of a projection. */
export function affineOf({ weight, bias }: Projection): Affine {
  const [out, inputs] = weight.shape;
  const matrix = new Float64Array(out * (inputs + 1));
  for (let row = 0; row < out; row++) {
    for (let i = 0; i < inputs; i++) {
      matrix[row * (inputs + 1) + i] = weight.data[row * inputs + i];
    }
    matrix[row * (inputs + 1) + inputs] = bias?.data[row] ?? 0;
  }
  return { out, matrix, hasBias: bias !== undefined };
}

/** The projection of a matrix. */
export function projectionOf({ out, matrix, hasBias }: Affine): Projection {
  const width = matrix.length / out;
  const inputs = width - 1;
  const weight = new Float64Array(out * inputs);
  const bias = new Float64Array(out);
  for (let row = 0; row < out; row++) {
    weight.set(matrix.subarray(row * width, row * width + inputs), row * inputs);
    bias[row] = matrix[row * width + inputs];
  }
  return {
    weight: { data: weight, shape: [out, inputs] },
    ...(hasBias && { bias: { data: bias, shape: [out] } }),
  };
}

/** Rows [rows, width] with one more column of a value: 1 is what biases are multiplied with. */
export function withColumn(data: ArrayLike<number>, width: number, value: number): Float64Array {
  const rows = new Float64Array(data.length / width * (width + 1)).fill(value);
  for (let i = 0; i < data.length; i++) rows[i + Math.floor(i / width)] = data[i];
  return rows;
}

/** `x matrix^T`: rows [rows, width] times a matrix [out, width]. */
export function project(x: Float64Array, matrix: Float64Array, out: number): Float64Array {
  const width = matrix.length / out;
  const columns = transposed(matrix, width);
  const result = new Float64Array(x.length / width * out);
  for (let row = 0; row < x.length / width; row++) {
    const rows = {
      rows: columns,
      start: 0,
      step: out,
      numbers: x,
      first: row * width,
      count: width,
    };
    addSum(result, row * out, out, rows);
  }
  return result;
}

/** A matrix [out, width] whose last column is 0 where there is no bias. */
export function withoutBias(matrix: Float64Array, { out, hasBias }: Affine): Float64Array {
  const width = matrix.length / out;
  if (!hasBias) { for (let i = width - 1; i < matrix.length; i += width) matrix[i] = 0; }
  return matrix;
}

/** The gradient of an affine map whose outputs' is `rows` [rows, out], over its inputs x [rows, width]: `rows^T x`. */
export function gradientOf(affine: Affine, rows: Float64Array, x: Float64Array): Float64Array {
  const gradient = new Float64Array(affine.matrix.length);
  addOuter(gradient, rows, x, rows.length / affine.out);
  return withoutBias(gradient, affine);
}

/** An affine map with a change added to its matrix. */
export function changed(affine: Affine, change: Float64Array): Affine {
  return { ...affine, matrix: affine.matrix.map((value, i) => value + change[i]) };
}
