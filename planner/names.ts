/** Finding things by names that people type. */

/**
 * The item of this name, upper or lower case.
 *
 * @throws {RangeError} If there is none; the message suggests the nearest names.
 */
export function findByName<Item extends { name: string }>(
  kind: string,
  items: readonly Item[],
  name: string,
): Item {
  const wanted = name.toLowerCase();
  const found = items.find((item) => item.name.toLowerCase() === wanted);
  if (found) return found;
  const nearest = nearestNames(wanted, items.map((item) => item.name));
  throw new RangeError(
    `Cannot plan as there is no ${kind} "${name}" (did you mean ${
      nearest.join(" or ")
    }?): --help lists all`,
  );
}

/** Up to three names, nearest first: those that begin alike, then those that take the fewest edits. */
export function nearestNames(wanted: string, names: readonly string[]): string[] {
  const distanceOf = (name: string) => {
    const lower = name.toLowerCase();
    return lower.startsWith(wanted) ? 0 : editDistance(wanted, lower);
  };
  return names.map((name) => ({ name, distance: distanceOf(name) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ name }) => name);
}

/** Insertions, deletions and replacements from one word to another (Levenshtein 1966). */
function editDistance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = above[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(above[j] + 1, row[j - 1] + 1, replaced));
    }
    above = row;
  }
  return above[b.length];
}
