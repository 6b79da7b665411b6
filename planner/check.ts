/** Prediction against measurement: each row of a bench's report beside what the roofline says of its shape. */
import { movedBytes, operations } from "../bench/counts.ts";
import { alignDecimals } from "../bench/report/units.ts";
import { type Column, formatColumns } from "../bench/report/columns.ts";
import type { Report, Result } from "../bench/result.ts";
import { median } from "../bench/statistics.ts";
import { rooflineTime } from "../mod.ts";
import { ratesFor } from "./measured_rates.ts";

/** A measured row and its prediction. */
export interface CheckedRow {
  result: Result;
  predictedMs: number;
  /** Predicted over measured time: above 1, the row was faster than predicted. */
  ratio: number;
  /** What the prediction waits for. */
  bound: "memory" | "compute";
}

/** Predicts every row that was measured. */
export function checkReport({ roofline, results }: Report): CheckedRow[] {
  return results.filter(({ failure }) => failure === undefined).map((result) => {
    const work = { bytes: movedBytes(result), flops: operations(result) };
    const { seconds, bound } = rooflineTime(work, ratesFor(roofline, result));
    const predictedMs = seconds * 1e3;
    return { result, predictedMs, ratio: predictedMs / result.medianMs, bound };
  });
}

/** Writes the rows as a table, and how far predictions are off. */
export function formatCheck(report: Report): string {
  const rows = checkReport(report);
  const left = report.results.length - rows.length;
  const lines = [`Adapter   ${report.adapter.description}`];
  if (!report.roofline.decode) {
    lines.push(
      "Note      this report has no measured ceilings of decoding: predictions are for plain reads and arithmetic",
    );
  }
  if (left > 0) lines.push(`Note      ${left} failed rows are left out`);
  if (rows.length === 0) return [...lines, "", "No row to check."].join("\n") + "\n";

  const text = (heading: string, cellOf: (row: CheckedRow) => string): Column => ({
    heading,
    align: "left",
    cells: rows.map(cellOf),
  });
  const figures = (heading: string, cells: string[]): Column => ({
    heading,
    align: "right",
    cells,
  });
  const count = (heading: string, countOf: (result: Result) => number) =>
    figures(heading, rows.map(({ result }) => `${countOf(result)}`));
  lines.push(
    "",
    ...formatColumns([
      text("case", ({ result }) => result.case),
      text("phase", ({ result }) => result.phase),
      text("variant", ({ result }) => result.variant),
      count("KV heads", ({ numKvHeads }) => numKvHeads),
      text("impl", ({ result }) => result.impl),
      text("dtype", ({ result }) => result.dtype),
      count("batch", ({ batch }) => batch),
      count("context", ({ contextLen }) => contextLen),
      figures("predicted ms", alignDecimals(rows.map(({ predictedMs }) => predictedMs))),
      figures("measured ms", alignDecimals(rows.map(({ result }) => result.medianMs))),
      figures("predicted / measured", rows.map(({ ratio }) => ratio.toFixed(2))),
      text("bound by", ({ bound }) => bound),
    ]),
    "",
  );
  for (const phase of ["decode", "prefill"] as const) {
    const factors = rows.filter(({ result }) => result.phase === phase)
      .map(({ ratio }) => Math.max(ratio, 1 / ratio));
    if (factors.length === 0) continue;
    lines.push(
      `${phase}: off by a factor of ${median(factors).toFixed(2)} in the median and ${
        Math.max(...factors).toFixed(2)
      } at most`,
    );
  }
  return lines.join("\n") + "\n";
}
