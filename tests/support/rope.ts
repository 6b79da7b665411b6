import type { HostTensor, RopeOptions } from "../../mod.ts";
import { ropedRow } from "../../src/reference/rope.ts";

/** A tensor whose rows are rotated, each at the position of its index (batch, axis 1, axis 2). */
export function ropedTensor(
  { data, shape }: HostTensor,
  positionOf: (index: [batch: number, outer: number, inner: number]) => number,
  options: RopeOptions,
): HostTensor {
  const [, outer, inner, size] = shape;
  const rows = Array.from({ length: data.length / size }, (_, row) => {
    const elements = Array.prototype.slice.call(data, row * size, (row + 1) * size);
    const batch = Math.floor(row / (outer * inner));
    return ropedRow(
      elements,
      positionOf([batch, Math.floor(row / inner) % outer, row % inner]),
      options,
    );
  });
  return { data: rows.flat(), shape };
}
