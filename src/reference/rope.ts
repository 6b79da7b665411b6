/** Rotary positions in float64, as an oracle for the kernels. */
import type { RopeOptions } from "../cache/rope.ts";

/** A row of numbers at a position, rotated: the textbook definition, pair by pair. */
export function ropedRow(
  row: ArrayLike<number>,
  position: number,
  options: RopeOptions,
): number[] {
  const { firstDim = 0, style = "halves", base = 10000, attentionFactor = 1 } = options;
  const { dims = row.length - firstDim, frequencies } = options;
  const rotated = Array.from(row);
  for (let j = 0; j < dims / 2; j++) {
    const pair = style === "halves" ? [j, j + dims / 2] : [2 * j, 2 * j + 1];
    const [x, y] = pair.map((h) => firstDim + h);
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
