import type { Cell } from "../matrix/matrix.ts";
import { markdownTable } from "./markdown.ts";

/**
 * Writes what came of features on systems as a table in Markdown: a line for each feature, a column for each system.
 *
 * @param adapter The name of the adapter that all of it ran on.
 * @param cells What came of each feature on each system.
 * @returns Lines of text, with a newline at the end.
 */
export function formatMatrix(adapter: string, cells: readonly Cell[]): string {
  const systems = [...new Set(cells.map(({ system }) => system))];
  const features = [...new Set(cells.map(({ feature }) => feature))];
  const sources = [...new Set(cells.flatMap(({ source }) => source ?? []))].sort();
  const textOf = (feature: string, system: string) =>
    describe(cells.find((cell) => cell.feature === feature && cell.system === system)!, sources);
  const table = markdownTable([
    [adapter, ...features],
    ...systems.map((system) => [system, ...features.map((feature) => textOf(feature, system))]),
  ]);
  const links = sources.map((source, i) => `[${i + 1}]: ${source}\n`);
  return links.length === 0 ? table : `${table}\n${links.join("")}`;
}

function describe({ verdict, error, source }: Cell, sources: readonly string[]): string {
  const size = error?.toExponential(0) ?? "NaN";
  switch (verdict) {
    case "right":
      return `right (${size})`;
    case "wrong":
      return `**wrong, without an error** (${size})`;
    default:
      return source === undefined ? verdict : `[${verdict}][${sources.indexOf(source) + 1}]`;
  }
}
