/** Models on systems as tables that people read. */
import { type Column, formatColumns, left, right } from "../../cli/shared/report/columns.ts";
import { alignDecimals, shortBytes } from "../../cli/shared/report/units.ts";
import { softwareNotes } from "../report/software.ts";
import type { KernelFigures, ModelFigures, ModelResult, ModelsReport } from "./result.ts";

/** Kernels of a system that have a line: those that take the longest in a step. */
const KERNELS = 6;

/** A row that was measured. */
export type MeasuredRow = ModelResult & { figures: ModelFigures };

/** Writes tables for each model and number of sequences; a system that is not right says why instead of its figures. */
export function formatModels(report: ModelsReport): string {
  return [
    headOf(report).map(([label, text]) => `${label.padEnd(8)}  ${text}`),
    ...groupsOf(report.rows).flatMap((rows) => [
      [titleOf(rows[0]), ...linesOf(columnsOf(rows))],
      linesOf(workColumnsOf(rows)),
      linesOf(kernelColumnsOf(rows)),
      untimedOf(rows),
    ]),
  ].filter((lines) => lines.length > 0).map((lines) => lines.join("\n")).join("\n\n");
}

/** The adapter and what it is, a line each. */
export function headOf({ adapter }: ModelsReport): [label: string, text: string][] {
  return [
    ["Adapter", adapter.description],
    ...softwareNotes(adapter).map((note): [string, string] => ["Note", note]),
  ];
}

/** The rows of each model and number of sequences. */
export function groupsOf(rows: readonly ModelResult[]): ModelResult[][] {
  return [...Map.groupBy(rows, ({ model, sequences }) => `${model}, ${sequences}`).values()];
}

/** The model of a group, and what was asked of it. */
export function titleOf(
  { model, sequences, promptTokens, newTokens }: ModelResult,
): string {
  const together = sequences === 1 ? "1 sequence" : `${sequences} sequences together`;
  return `${model}: ${together}, prompts of ${promptTokens}, ${newTokens} new tokens`;
}

/** The figures of each system of a group. */
export function columnsOf(rows: readonly ModelResult[]): Column[] {
  const figures = (heading: string, of: (figures: ModelFigures) => number | null) =>
    right(heading, alignDecimals(rows.map(({ figures }) => figures ? of(figures) : null)));
  const bytes = (heading: string, of: (figures: ModelFigures) => number | null) =>
    right(
      heading,
      rows.map(({ figures }) => {
        const count = figures && of(figures);
        return count === undefined || count === null ? "-" : shortBytes(count);
      }),
    );
  const columns = [
    left("system", rows.map(({ system }) => system)),
    figures("load s", ({ loadMs }) => loadMs / 1e3),
    figures("first token ms", ({ firstTokenMs }) => firstTokenMs),
    figures("prefill tok/s", ({ prefillPerSecond }) => prefillPerSecond),
    figures("x ours", ({ prefillTimesOurs }) => prefillTimesOurs),
    figures("decode tok/s", ({ decodePerSecond }) => decodePerSecond),
    figures("x ours", ({ decodeTimesOurs }) => decodeTimesOurs),
    bytes("cache", ({ cacheBytes }) => cacheBytes),
    bytes("process", ({ residentBytes }) => residentBytes),
  ];
  return rows.every(({ verdict }) => verdict === "right")
    ? columns
    : [...columns, left("", rows.map(wordsOf))];
}

/** The reason why a system has no figures. */
export function wordsOf({ verdict, message }: ModelResult): string {
  if (verdict === "right") return "";
  return `${verdict === "wrong" ? "WRONG" : verdict}: ${message}`;
}

/** The rows whose systems gave work to a GPU. */
export function workedOf(rows: readonly ModelResult[]): MeasuredRow[] {
  return rows.filter((row): row is MeasuredRow => (row.figures?.promptWork.dispatches ?? 0) > 0);
}

/** The work that GPUs were given, where there was any, and the share of the time in kernels; each wait costs Deno 10 ms. */
export function workColumnsOf(rows: readonly ModelResult[]): Column[] {
  const worked = workedOf(rows);
  const figures = (heading: string, of: (figures: ModelFigures) => number | null) =>
    right(heading, alignDecimals(worked.map(({ figures }) => of(figures))));
  const counts = (heading: string, of: (figures: ModelFigures) => number) =>
    right(heading, alignCounts(worked.map(({ figures }) => of(figures))));
  return [
    left("where the time goes", worked.map(({ system }) => system)),
    figures("prompt: ms", ({ firstTokenMs }) => firstTokenMs),
    figures("in kernels", (figures) => kernelMsOf(figures, "prompt")),
    counts("dispatches", ({ promptWork }) => promptWork.dispatches),
    counts("submits", ({ promptWork }) => promptWork.submits),
    counts("waits", ({ promptWork }) => promptWork.waits),
    figures("one more token: ms", ({ stepMs }) => stepMs),
    figures("in kernels", (figures) => kernelMsOf(figures, "step")),
    counts("dispatches", ({ stepWork }) => stepWork.dispatches),
    counts("submits", ({ stepWork }) => stepWork.submits),
    counts("waits", ({ stepWork }) => stepWork.waits),
  ];
}

/** Milliseconds in all kernels; null where these have no times. */
export function kernelMsOf({ kernels }: ModelFigures, part: "prompt" | "step"): number | null {
  if (!kernels) return null;
  return kernels.reduce((sum, kernel) => sum + kernel[part].milliseconds, 0);
}

/** The kernels of each system, those that take the longest in a step one by one. */
export function kernelColumnsOf(rows: readonly ModelResult[]): Column[] {
  const lines = workedOf(rows).flatMap(({ system, figures: { kernels } }) =>
    kernelsShown(kernels ?? []).map((kernel) => ({ system, ...kernel }))
  );
  const figures = (heading: string, of: (line: KernelFigures) => number) =>
    right(heading, alignDecimals(lines.map(of)));
  return [
    left("kernels", lines.map(({ system }) => system)),
    left("", lines.map(({ name }) => name)),
    figures("prompt: ms", ({ prompt }) => prompt.milliseconds),
    right("dispatches", alignCounts(lines.map(({ prompt }) => prompt.dispatches))),
    figures("one more token: ms", ({ step }) => step.milliseconds),
    right("dispatches", alignCounts(lines.map(({ step }) => step.dispatches))),
  ];
}

/** The kernels that take the longest, and the rest of them as one. */
export function kernelsShown(kernels: readonly KernelFigures[]): KernelFigures[] {
  const rest = kernels.slice(KERNELS);
  if (rest.length < 2) return [...kernels];
  const sum = (part: "prompt" | "step") => ({
    milliseconds: rest.reduce((sum, kernel) => sum + kernel[part].milliseconds, 0),
    dispatches: rest.reduce((sum, kernel) => sum + kernel[part].dispatches, 0),
  });
  const name = `${rest.length} others`;
  return [...kernels.slice(0, KERNELS), { name, prompt: sum("prompt"), step: sum("step") }];
}

/** A sentence for each system whose kernels could not be timed. */
export function untimedOf(rows: readonly ModelResult[]): string[] {
  return workedOf(rows).filter(({ figures }) => !figures.kernels)
    .map(({ system }) => `${system}: no times of kernels, as its device gave no timestamps.`);
}

/** Counts, with decimals where some are means that need them. */
function alignCounts(counts: number[]): string[] {
  return counts.every(Number.isInteger) ? counts.map((count) => `${count}`) : alignDecimals(counts);
}

/** The lines of a table that has any rows. */
function linesOf(columns: Column[]): string[] {
  if (columns[0].cells.length === 0) return [];
  return formatColumns(columns);
}
