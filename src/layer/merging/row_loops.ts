/**
 * The loops of attention between one row and many, four elements of the rows at a time: these stay in registers along the
 * loop over the many, which is four times as fast as a loop over elements within it.
 */

/** Many rows, and a number for each. */
export interface Rows {
  rows: Float64Array;
  /** Where the first row begins, and the distance to the next. */
  start: number;
  step: number;
  /** The numbers. */
  numbers: Float64Array;
  first: number;
  count: number;
}

/** Adds to the numbers the products of the rows with one: `numbers += rows x`. */
export function addProducts(
  { rows, start, step, numbers, first, count }: Rows,
  x: Float64Array,
  xStart: number,
  size: number,
): void {
  const end = first + count;
  let j = 0;
  for (; j + 4 <= size; j += 4) {
    const a = x[xStart + j];
    const b = x[xStart + j + 1];
    const c = x[xStart + j + 2];
    const d = x[xStart + j + 3];
    for (let i = first, at = start + j; i < end; i++, at += step) {
      numbers[i] += a * rows[at] + b * rows[at + 1] + c * rows[at + 2] + d * rows[at + 3];
    }
  }
  for (; j < size; j++) {
    const a = x[xStart + j];
    for (let i = first, at = start + j; i < end; i++, at += step) numbers[i] += a * rows[at];
  }
}

/** Adds the rows by their numbers to one: `x += numbers rows`. */
export function addSum(
  x: Float64Array,
  xStart: number,
  size: number,
  { rows, start, step, numbers, first, count }: Rows,
): void {
  const end = first + count;
  let j = 0;
  for (; j + 4 <= size; j += 4) {
    let [a, b, c, d] = [0, 0, 0, 0];
    for (let i = first, at = start + j; i < end; i++, at += step) {
      const number = numbers[i];
      a += number * rows[at];
      b += number * rows[at + 1];
      c += number * rows[at + 2];
      d += number * rows[at + 3];
    }
    x[xStart + j] += a;
    x[xStart + j + 1] += b;
    x[xStart + j + 2] += c;
    x[xStart + j + 3] += d;
  }
  for (; j < size; j++) {
    let a = 0;
    for (let i = first, at = start + j; i < end; i++, at += step) a += numbers[i] * rows[at];
    x[xStart + j] += a;
  }
}

/** Adds one to the rows by their numbers: `rows += numbers x`. */
export function addToRows(
  { rows, start, step, numbers, first, count }: Rows,
  x: Float64Array,
  xStart: number,
  size: number,
): void {
  const end = first + count;
  let j = 0;
  for (; j + 4 <= size; j += 4) {
    const a = x[xStart + j];
    const b = x[xStart + j + 1];
    const c = x[xStart + j + 2];
    const d = x[xStart + j + 3];
    for (let i = first, at = start + j; i < end; i++, at += step) {
      const number = numbers[i];
      rows[at] += number * a;
      rows[at + 1] += number * b;
      rows[at + 2] += number * c;
      rows[at + 3] += number * d;
    }
  }
  for (; j < size; j++) {
    const a = x[xStart + j];
    for (let i = first, at = start + j; i < end; i++, at += step) rows[at] += numbers[i] * a;
  }
}
