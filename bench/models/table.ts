/** Models on systems as a table that people read. */
import { type Column, formatColumns } from "../../cli/shared/report/columns.ts";
import { alignDecimals, formatBytes } from "../../cli/shared/report/units.ts";
import type { ModelFigures, ModelResult } from "./result.ts";

/** Writes a table for each model and number of sequences; a system that is not right says why instead of its figures. */
export function formatModels(rows: readonly ModelResult[]): string {
  const tables = Map.groupBy(rows, ({ model, sequences }) => `${model}, ${sequences} sequences`);
  return [...tables.values()].map((rows) => `${titleOf(rows[0])}\n${formatTable(rows)}`)
    .join("\n\n");
}

function titleOf({ model, sequences, promptTokens, newTokens }: ModelResult): string {
  const together = sequences === 1 ? "1 sequence" : `${sequences} sequences together`;
  return `${model}: ${together}, prompts of ${promptTokens}, ${newTokens} new tokens`;
}

function formatTable(rows: readonly ModelResult[]): string {
  const right = (heading: string, cells: string[]): Column => ({
    ...{ heading, align: "right" as const, cells },
  });
  const figures = (heading: string, of: (figures: ModelFigures) => number | null): Column =>
    right(heading, alignDecimals(rows.map(({ figures }) => figures ? of(figures) : null)));
  const bytes = (heading: string, of: (figures: ModelFigures) => number | null): Column =>
    right(
      heading,
      rows.map(({ figures }) => {
        const count = figures && of(figures);
        return count === undefined || count === null ? "-" : formatBytes(count);
      }),
    );
  const lines = formatColumns([
    { heading: "system", align: "left", cells: rows.map(({ system }) => system) },
    figures("load s", ({ loadMs }) => loadMs / 1e3),
    figures("first token ms", ({ firstTokenMs }) => firstTokenMs),
    figures("prefill tok/s", ({ prefillPerSecond }) => prefillPerSecond),
    figures("x ours", ({ prefillTimesOurs }) => prefillTimesOurs),
    figures("decode tok/s", ({ decodePerSecond }) => decodePerSecond),
    figures("x ours", ({ decodeTimesOurs }) => decodeTimesOurs),
    bytes("cache", ({ cacheBytes }) => cacheBytes),
    bytes("process", ({ residentBytes }) => residentBytes),
  ]);
  return lines.map((line, i) => {
    const row = rows[i - 1];
    return row === undefined || row.verdict === "right" ? line : `${line}  ${wordsOf(row)}`;
  }).join("\n");
}

function wordsOf({ verdict, message }: ModelResult): string {
  return `${verdict === "wrong" ? "WRONG" : verdict}: ${message}`;
}
