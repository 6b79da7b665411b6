/** Cutting the rows of a tensor into ranges that uniform bindings hold, where a software driver loads for next to nothing. */
import { greatestCommonDivisor } from "../base/numbers.ts";

/** What every WebGPU device binds as a uniform, and the multiple of bytes at which every device lets a binding begin. */
const UNIFORM_BYTES = 65536;
const OFFSET_ALIGNMENT = 256;

/** Rows of a tensor that belong together, such as those of a sequence. */
export interface RowUnits {
  /** Units, one after the other. */
  count: number;
  /** Rows of a unit. */
  rows: number;
  /** Bytes of a row, in each tensor that is cut alike. */
  rowBytes: readonly number[];
}

/** Neighbouring units that are bound at once. */
export interface UniformRange {
  /** The first of them. */
  firstUnit: number;
  /** How many they are. */
  numUnits: number;
  /** The first row that is bound; it may belong to the unit before. */
  firstRow: number;
}

/** Ranges of units. */
export interface UniformRanges {
  /** Rows of each binding, which may be more than those of its units. */
  rows: number;
  /** Which units each binding holds, in order. */
  ranges: readonly UniformRange[];
}

/** More ranges than cheap loads are worth: each has a dispatch, a binding and parameters of its own. */
const MOST_RANGES = 4096;

/** Cuts units into as few ranges as uniform bindings hold; undefined where a unit does not fit one, or ranges are too many. */
export function uniformRanges({ count, rows, rowBytes }: RowUnits): UniformRanges | undefined {
  const total = count * rows;
  const most = Math.floor(UNIFORM_BYTES / Math.max(...rowBytes));
  if (total <= most) {
    return { rows: total, ranges: [{ firstUnit: 0, numUnits: count, firstRow: 0 }] };
  }
  // Bindings begin at multiples of `step` rows, which is a power of two.
  const step = Math.max(
    ...rowBytes.map((bytes) => OFFSET_ALIGNMENT / greatestCommonDivisor(bytes, OFFSET_ALIGNMENT)),
  );
  // All ranges have as many rows, for one kernel: those of their units, and those between these and the multiple before. The
  // last one ends where the tensor does, and begins at a multiple too.
  const rowsFor = (units: number) => {
    const least = units * rows + step - greatestCommonDivisor(units * rows, step);
    return least + (total - least % step + step) % step;
  };
  let units = Math.floor(most / rows);
  while (units > 0 && rowsFor(units) > most) units--;
  if (units === 0 || count / units > MOST_RANGES) return undefined;
  const bound = rowsFor(units);
  const ranges = Array.from({ length: Math.ceil(count / units) }, (_, i) => {
    const firstUnit = i * units;
    const aligned = Math.floor(firstUnit * rows / step) * step;
    return {
      firstUnit,
      numUnits: Math.min(units, count - firstUnit),
      firstRow: Math.min(aligned, total - bound),
    };
  });
  return { rows: bound, ranges };
}
