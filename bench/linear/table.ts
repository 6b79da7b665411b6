/** Measured projections as a table that people read. */
import { type Column, formatColumns } from "../../cli/shared/report/columns.ts";
import { alignDecimals } from "../../cli/shared/report/units.ts";
import type { LinearResult } from "./measure.ts";

/** Writes a line for each row; one that is wrong says why instead of its figures. */
export function formatLinear(rows: readonly LinearResult[]): string {
  const right = (heading: string, cells: string[]): Column => ({
    ...{ heading, align: "right" as const, cells },
  });
  const figures = (heading: string, of: (row: LinearResult) => number): Column => {
    const values = rows.map((row) => row.failure === undefined ? of(row) : null);
    return right(heading, alignDecimals(values));
  };
  const lines = formatColumns([
    right("tokens", rows.map(({ tokens }) => `${tokens}`)),
    right("matrix", rows.map(({ outputs, inputs }) => `${outputs} x ${inputs}`)),
    { heading: "weights", align: "left", cells: rows.map(({ dtype }) => dtype) },
    figures("ms", ({ medianMs }) => medianMs),
    figures("GB/s", ({ gbPerSecond }) => gbPerSecond),
    figures("% copy", ({ copyShare }) => 100 * copyShare),
    figures("GFLOP/s", ({ gflops }) => gflops),
    figures("% multiply-add", ({ fmaShare }) => 100 * fmaShare),
    right("error", rows.map(({ maxRelativeError }) => maxRelativeError?.toExponential(1) ?? "NaN")),
  ]);
  return lines.map((line, i) => {
    const failure = rows[i - 1]?.failure;
    return failure === undefined ? line : `${line}  FAILED: ${failure}`;
  }).join("\n");
}
