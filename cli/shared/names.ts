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

/** The names that begin with what is wanted, or else the three that it takes the fewest edits to, nearest first. */
export function nearestNames(wanted: string, names: readonly string[]): string[] {
  const beginning = names.filter((name) => name.toLowerCase().startsWith(wanted));
  if (beginning.length > 0) return beginning;
  return names.map((name) => ({ name, distance: editDistance(wanted, name.toLowerCase()) }))
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
