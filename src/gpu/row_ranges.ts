/** Rows of a matrix, in the ranges that uniform bindings hold. */
import { greatestCommonDivisor } from "../base/numbers.ts";

/** Neighbouring rows, and their bytes in the matrix. */
export interface RowRange {
  firstRow: number;
  rows: number;
  offset: number;
  size: number;
}

/** The limits of a device that say what a uniform binding holds, and where it may begin. */
export type UniformLimits = Pick<
  GPUSupportedLimits,
  "maxUniformBufferBindingSize" | "minUniformBufferOffsetAlignment"
>;

/** Fewest rows of a range: of fewer, what is done once for each range would cost more than cheap loads save. */
const LEAST_ROWS = 32;

/**
 * Cuts rows into ranges. Software drivers load from storage lane by lane, behind checks of their own, and from uniforms all
 * lanes at once: such a load costs a fifteenth on Mesa's lavapipe, whether lanes load the same numbers or not.
 *
 * @returns The ranges, the last of which may be smaller; none where rows are so long that few of them fit.
 */
export function rowRanges(
  { maxUniformBufferBindingSize, minUniformBufferOffsetAlignment }: UniformLimits,
  rows: number,
  rowBytes: number,
): RowRange[] {
  const step = minUniformBufferOffsetAlignment /
    greatestCommonDivisor(rowBytes, minUniformBufferOffsetAlignment);
  const most = Math.floor(maxUniformBufferBindingSize / rowBytes);
  // What is bound whole begins where the buffer does.
  const rangeRows = rows <= most ? rows : Math.floor(most / step) * step;
  if (rangeRows < Math.min(rows, LEAST_ROWS)) return [];
  return Array.from({ length: Math.ceil(rows / rangeRows) }, (_, i) => {
    const firstRow = i * rangeRows;
    const own = Math.min(rangeRows, rows - firstRow);
    return { firstRow, rows: own, offset: firstRow * rowBytes, size: own * rowBytes };
  });
}
