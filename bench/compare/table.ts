/** A comparison of two reports as a table that people read. */
import { type Column, formatColumns } from "../../cli/shared/report/columns.ts";
import { alignDecimals } from "../../cli/shared/report/units.ts";
import type { AdapterInfo, Report, Result } from "../result.ts";
import { median } from "../statistics.ts";
import type { ComparedRow, Comparison, Verdict } from "./compare.ts";

/** A report and what it is called. */
export interface NamedReport {
  name: string;
  report: Report;
}

/** The verdicts in the order of the summary. */
const VERDICTS: readonly Verdict[] = [
  ...["fails now", "slower", "faster", "works now", "same", "unknown", "fails"] as const,
];

/**
 * Writes a comparison: the two reports, a line for each row that changed, and how many did not. "x before" is the median time
 * over that before, "x adapter" what the adapter's own rate would have made of it.
 */
export function formatComparison(
  before: NamedReport,
  after: NamedReport,
  comparison: Comparison,
): string {
  const { rows, onlyBefore, onlyAfter } = comparison;
  const changed = rows.filter(({ verdict }) => verdict !== "same" && verdict !== "fails");
  const ratios = rows.flatMap(({ ratio }) => ratio ?? []);
  return [
    [
      `Before   ${describe(before)}`,
      `After    ${describe(after)}`,
      ...noteOf(before.report.adapter, after.report.adapter),
    ].join("\n"),
    ...(changed.length > 0 ? [formatColumns(columnsOf(changed)).join("\n")] : []),
    [
      `${rows.length} rows in both: ${summary(rows)}`,
      ...(ratios.length > 0
        ? [`median of all times over those before: ${median(ratios).toFixed(3)}`]
        : []),
      ...onlyIn(before.name, onlyBefore),
      ...onlyIn(after.name, onlyAfter),
    ].join("\n"),
  ].join("\n\n");
}

function describe({ name, report: { adapter, roofline } }: NamedReport): string {
  const [copy, fma] = [roofline.copyGBps, roofline.fmaGFlops].map((value) => value.toPrecision(3));
  return `${name}: ${adapter.description}, copy ${copy} GB/s, multiply-add ${fma} GFLOP/s`;
}

function noteOf(before: AdapterInfo, after: AdapterInfo): string[] {
  return before.description === after.description
    ? []
    : ["Note     the adapters differ: a change is the adapter's as much as the code's"];
}

function columnsOf(rows: readonly ComparedRow[]): Column[] {
  const left = (heading: string, cellOf: (row: ComparedRow) => string): Column => ({
    ...{ heading, align: "left" as const, cells: rows.map(cellOf) },
  });
  const right = (heading: string, cells: string[]): Column => ({
    ...{ heading, align: "right" as const, cells },
  });
  const numbers = (values: (number | undefined)[]) =>
    alignDecimals(values.map((value) => value ?? null));
  return [
    left("verdict", ({ verdict }) => verdict),
    left("case", ({ after }) => describeRow(after)),
    right("ms before", numbers(rows.map(({ ratio, before }) => ratio && before.medianMs))),
    right("ms after", numbers(rows.map(({ ratio, after }) => ratio && after.medianMs))),
    right("x before", rows.map(({ ratio }) => ratio?.toFixed(3) ?? "-")),
    right("x adapter", rows.map(({ adapterRatio }) => adapterRatio?.toFixed(3) ?? "-")),
  ];
}

function describeRow(row: Result): string {
  const { variant, impl, dtype, kvDtype, phase, contextLen, batch } = row;
  const types = kvDtype === undefined ? dtype : `${dtype} over ${kvDtype}`;
  return [row.case, phase, variant, impl, types, `context ${contextLen}`, `batch ${batch}`]
    .join(" ");
}

function summary(rows: readonly ComparedRow[]): string {
  const counts = VERDICTS.map((verdict) => ({
    verdict,
    count: rows.filter((row) => row.verdict === verdict).length,
  }));
  return counts.filter(({ count }) => count > 0)
    .map(({ verdict, count }) => `${count} ${verdict}`).join(", ") || "none";
}

function onlyIn(name: string, rows: readonly Result[]): string[] {
  return rows.length === 0 ? [] : [`${rows.length} rows in ${name} alone`];
}
