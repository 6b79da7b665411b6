/** Small dense matrices in float64, row by row in one array. */

/** Eigenvalues from the largest to the smallest; vector i is row i of [size, size]. */
export interface Eigen {
  values: Float64Array;
  vectors: Float64Array;
}

/** Sweeps of Jacobi's method take five to ten. */
const MAX_SWEEPS = 60;
/** Off-diagonal elements below this share of the whole are rounding. */
const OFF_DIAGONAL = 1e-15;
/** A pivot below this share of the largest diagonal element is rounding. */
const PIVOT = 1e-13;

/**
 * Eigenvalues and eigenvectors of a symmetric matrix [size, size], by Jacobi's cyclic rotations (Golub and Van Loan,
 * "Matrix Computations", section 8.5): about `40 size^3` multiplications.
 *
 * @throws {RangeError} If a number is not finite.
 */
export function eigenOf(matrix: Float64Array, size: number): Eigen {
  const a = matrix.slice();
  const vectors = identity(size);
  for (let sweep = 0; !isDiagonal(a, size); sweep++) {
    if (sweep === MAX_SWEEPS) {
      throw new RangeError("Cannot find eigenvectors as all numbers must be finite");
    }
    for (let p = 0; p < size; p++) {
      for (let q = p + 1; q < size; q++) {
        const element = a[p * size + q];
        if (element === 0) continue;
        const ratio = (a[q * size + q] - a[p * size + p]) / (2 * element);
        const tangent = (ratio < 0 ? -1 : 1) / (Math.abs(ratio) + Math.hypot(ratio, 1));
        const cosine = 1 / Math.hypot(tangent, 1);
        const sine = tangent * cosine;
        turn(a, { first: p, second: q, count: size, step: size }, cosine, sine);
        turn(a, { first: p * size, second: q * size, count: size, step: 1 }, cosine, sine);
        turn(vectors, { first: p * size, second: q * size, count: size, step: 1 }, cosine, sine);
      }
    }
  }
  const order = Array.from({ length: size }, (_, i) => i)
    .sort((i, j) => a[j * size + j] - a[i * size + i]);
  const sorted = new Float64Array(size * size);
  order.forEach((from, to) =>
    sorted.set(vectors.subarray(from * size, (from + 1) * size), to * size)
  );
  return { values: Float64Array.from(order, (i) => a[i * size + i]), vectors: sorted };
}

/** Turns two rows or columns, the elements at `first + i step` and `second + i step`, into each other. */
function turn(
  a: Float64Array,
  { first, second, count, step }: Record<"first" | "second" | "count" | "step", number>,
  cosine: number,
  sine: number,
): void {
  for (let i = 0, p = first, q = second; i < count; i++, p += step, q += step) {
    const x = a[p];
    const y = a[q];
    a[p] = cosine * x - sine * y;
    a[q] = sine * x + cosine * y;
  }
}

function isDiagonal(a: Float64Array, size: number): boolean {
  let [off, all] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    const square = a[i] * a[i];
    all += square;
    if (i % size !== Math.floor(i / size)) off += square;
  }
  return off <= OFF_DIAGONAL ** 2 * all;
}

/**
 * The lower triangle L with `L L^T = matrix`, of a symmetric positive semidefinite matrix [size, size]. A pivot that is
 * rounding counts as 0, and its column is 0.
 */
export function choleskyOf(matrix: Float64Array, size: number): Float64Array {
  const l = new Float64Array(size * size);
  let largest = 0;
  for (let i = 0; i < size; i++) largest = Math.max(largest, matrix[i * size + i]);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * size + j];
      for (let k = 0; k < j; k++) sum -= l[i * size + k] * l[j * size + k];
      const pivot = l[j * size + j];
      if (i > j) l[i * size + j] = pivot === 0 ? 0 : sum / pivot;
      else if (sum > PIVOT * largest) l[i * size + i] = Math.sqrt(sum);
    }
  }
  return l;
}

/**
 * Solves `L L^T x = right`, with the triangle of {@linkcode choleskyOf}.
 *
 * @param right [size, columns]
 * @returns x [size, columns]; rows whose pivot is 0 are 0.
 */
export function solveCholesky(
  l: Float64Array,
  size: number,
  right: Float64Array,
): Float64Array {
  const columns = right.length / size;
  const x = right.slice();
  const eliminate = (i: number, j: number, factor: number) => {
    if (factor === 0) return;
    for (let c = 0; c < columns; c++) x[i * columns + c] -= factor * x[j * columns + c];
  };
  const divide = (i: number) => {
    const pivot = l[i * size + i];
    for (let c = i * columns; c < (i + 1) * columns; c++) x[c] = pivot === 0 ? 0 : x[c] / pivot;
  };
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < i; j++) eliminate(i, j, l[i * size + j]);
    divide(i);
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let j = i + 1; j < size; j++) eliminate(i, j, l[j * size + i]);
    divide(i);
  }
  return x;
}

/** `a b`, of [rows, inner] and [inner, columns]. */
export function product(a: Float64Array, b: Float64Array, inner: number): Float64Array {
  const [rows, columns] = [a.length / inner, b.length / inner];
  const result = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < inner; k++) {
      const factor = a[i * inner + k];
      if (factor === 0) continue;
      for (let j = 0; j < columns; j++) result[i * columns + j] += factor * b[k * columns + j];
    }
  }
  return result;
}

/** `a^T`, of [rows, columns]. */
export function transposed(a: Float64Array, columns: number): Float64Array {
  const rows = a.length / columns;
  return Float64Array.from(a, (_, i) => a[i % rows * columns + Math.floor(i / rows)]);
}

/** 1 on the diagonal, 0 elsewhere. */
export function identity(size: number): Float64Array {
  const matrix = new Float64Array(size * size);
  for (let i = 0; i < size; i++) matrix[i * size + i] = 1;
  return matrix;
}

/** Adds to every element of the diagonal. */
export function addToDiagonal(matrix: Float64Array, size: number, value: number): void {
  for (let i = 0; i < size; i++) matrix[i * size + i] += value;
}

/** The mean of the diagonal: that of the eigenvalues too. */
export function meanDiagonal(matrix: Float64Array, size: number): number {
  let sum = 0;
  for (let i = 0; i < size; i++) sum += matrix[i * size + i];
  return sum / size;
}

/**
 * Adds `a^T b` to a sum [aWidth, bWidth], of rows a [rows, aWidth] and b [rows, bWidth]. Four rows at a time, as loading and
 * storing the sum costs as much as a product.
 */
export function addOuter(
  sum: Float64Array,
  a: Float64Array,
  b: Float64Array,
  rows: number,
): void {
  const [aWidth, bWidth] = [a.length / rows, b.length / rows];
  const whole = rows - rows % 4;
  for (let row = 0; row < whole; row += 4) {
    const [b0, b1, b2, b3] = [0, 1, 2, 3].map((i) => (row + i) * bWidth);
    for (let i = 0, at = row * aWidth; i < aWidth; i++, at++) {
      const [a0, a1] = [a[at], a[at + aWidth]];
      const [a2, a3] = [a[at + 2 * aWidth], a[at + 3 * aWidth]];
      const to = i * bWidth;
      for (let j = 0; j < bWidth; j++) {
        sum[to + j] += a0 * b[b0 + j] + a1 * b[b1 + j] + a2 * b[b2 + j] + a3 * b[b3 + j];
      }
    }
  }
  for (let row = whole; row < rows; row++) {
    for (let i = 0; i < aWidth; i++) {
      const factor = a[row * aWidth + i];
      for (let j = 0; j < bWidth; j++) sum[i * bWidth + j] += factor * b[row * bWidth + j];
    }
  }
}
