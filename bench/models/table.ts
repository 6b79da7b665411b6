/** Models on systems as a table that people read. */
import { type Column, formatColumns } from "../../cli/shared/report/columns.ts";
import { alignDecimals, formatBytes } from "../../cli/shared/report/units.ts";
import type { ModelFigures, ModelResult } from "./result.ts";

/** Writes a table for each model and number of sequences; a system that is not right says why instead of its figures. */
export function formatModels(rows: readonly ModelResult[]): string {
  const tables = Map.groupBy(rows, ({ model, sequences }) => `${model}, ${sequences} sequences`);
  return [...tables.values()].map((rows) =>
    [titleOf(rows[0]), formatTable(rows), ...formatWork(rows)].join("\n")
  ).join("\n\n");
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

/** The work that GPUs were given, where there was any: each wait costs Deno 10 ms. */
function formatWork(rows: readonly ModelResult[]): string[] {
  const worked = rows.flatMap(({ system, figures }) =>
    figures && figures.promptWork.dispatches > 0 ? [{ system, ...figures }] : []
  );
  if (worked.length === 0) return [];
  const counts = (heading: string, of: (row: (typeof worked)[number]) => number): Column => ({
    ...{ heading, align: "right" as const, cells: alignDecimals(worked.map(of)) },
  });
  return [
    "",
    ...formatColumns([
      { heading: "work of the GPU", align: "left", cells: worked.map(({ system }) => system) },
      counts("prompt: dispatches", ({ promptWork }) => promptWork.dispatches),
      counts("submits", ({ promptWork }) => promptWork.submits),
      counts("waits", ({ promptWork }) => promptWork.waits),
      counts("one more token: dispatches", ({ stepWork }) => stepWork.dispatches),
      counts("submits", ({ stepWork }) => stepWork.submits),
      counts("waits", ({ stepWork }) => stepWork.waits),
    ]),
  ];
}
