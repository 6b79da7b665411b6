import type { HostTensor, RopeOptions } from "../mod.ts";

/** A row of numbers at a position, rotated in float64: the textbook definition, pair by pair. */
export function rotatedRow(
  row: ArrayLike<number>,
  position: number,
  options: RopeOptions,
): number[] {
  const { dims = row.length, style = "halves", base = 10000, attentionFactor = 1 } = options;
  const { frequencies } = options;
  const rotated = Array.from(row);
  for (let j = 0; j < dims / 2; j++) {
    const [x, y] = style === "halves" ? [j, j + dims / 2] : [2 * j, 2 * j + 1];
    const usual = base ** (-2 * j / dims);
    const frequency = typeof frequencies === "function"
      ? frequencies(usual, j)
      : frequencies?.[j] ?? usual;
    const angle = position * frequency;
    rotated[x] = attentionFactor * (row[x] * Math.cos(angle) - row[y] * Math.sin(angle));
    rotated[y] = attentionFactor * (row[y] * Math.cos(angle) + row[x] * Math.sin(angle));
  }
  return rotated;
}

/** A tensor whose rows are rotated, each at the position of its index (batch, axis 1, axis 2). */
export function rotatedTensor(
  { data, shape }: HostTensor,
  positionOf: (index: [batch: number, outer: number, inner: number]) => number,
  options: RopeOptions,
): HostTensor {
  const [, outer, inner, size] = shape;
  const rows = Array.from({ length: data.length / size }, (_, row) => {
    const elements = Array.prototype.slice.call(data, row * size, (row + 1) * size);
    const batch = Math.floor(row / (outer * inner));
    return rotatedRow(
      elements,
      positionOf([batch, Math.floor(row / inner) % outer, row % inner]),
      options,
    );
  });
  return { data: rows.flat(), shape };
}
