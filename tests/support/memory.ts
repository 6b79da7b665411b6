/** Memory over a long run. */

/** Whether it grows all the time, as a leak does: allocators grow in steps, the last ones late. */
export function growsThroughout(bytes: readonly number[]): boolean {
  const quarters = [0, 1, 2, 3].map((i) =>
    bytes.slice(i * bytes.length / 4, (i + 1) * bytes.length / 4)
  );
  return quarters.every((quarter, i) =>
    i === 0 || Math.min(...quarter) > Math.max(...quarters[i - 1])
  );
}
