/** Measured gradients as a table that people read. */
import { type Column, formatColumns } from "../../cli/shared/report/columns.ts";
import { alignDecimals } from "../../cli/shared/report/units.ts";
import type { GradientResult } from "./measure.ts";

/** Writes a line for each row; one that is wrong says why instead of its figures. */
export function formatGradients(rows: readonly GradientResult[]): string {
  const right = (heading: string, cells: string[]): Column => ({
    ...{ heading, align: "right" as const, cells },
  });
  const left = (heading: string, cells: string[]): Column => ({
    ...{ heading, align: "left" as const, cells },
  });
  const figures = (heading: string, of: (row: GradientResult) => number | null): Column =>
    right(heading, alignDecimals(rows.map((row) => row.failure === undefined ? of(row) : null)));
  const lines = formatColumns([
    right("tokens", rows.map(({ tokens }) => `${tokens}`)),
    right(
      "heads",
      rows.map(({ numHeads, numKvHeads, headDim }) =>
        `${numHeads} over ${numKvHeads} x ${headDim}`
      ),
    ),
    left("system", rows.map(({ system }) => system)),
    left("what", rows.map(({ what }) => what)),
    figures("ms", ({ medianMs }) => medianMs),
    figures("times ours", ({ timesOurs }) => timesOurs),
    figures("MB", ({ bytes }) => bytes === null ? null : bytes / 1e6),
    right("error", rows.map(({ maxRelativeError }) => maxRelativeError?.toExponential(1) ?? "")),
  ]);
  return lines.map((line, i) => {
    const failure = rows[i - 1]?.failure;
    return failure === undefined ? line : `${line}  FAILED: ${failure}`;
  }).join("\n");
}
