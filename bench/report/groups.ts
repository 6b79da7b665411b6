import type { Result } from "../result.ts";
import { type Column, formatColumns, padColumns } from "../../cli/shared/report/columns.ts";

/** The fields in which rows differ. */
type Row =
  & Pick<
    Result,
    | "case"
    | "phase"
    | "variant"
    | "impl"
    | "dtype"
    | "kvDtype"
    | "batch"
    | "numHeads"
    | "numKvHeads"
  >
  & Pick<Result, "headDim" | "seqLen" | "contextLen" | "failure">;

/**
 * Writes one table for each case, phase and shape, in the order of their first rows.
 *
 * @param rows The rows of all tables.
 * @param figures The columns of figures of the rows that have some; a row that failed says why instead.
 */
export function formatGroups<R extends Row>(rows: R[], figures: (rows: R[]) => Column[]): string[] {
  const groups = Map.groupBy(rows, describeShape);
  return Array.from(groups, ([shape, rows]) => `${shape}\n${formatRows(rows, figures)}`);
}

/** The fields that the rows of a table share. */
function describeShape(row: Row): string {
  return `${row.case}, ${row.phase}: ${row.numHeads} heads x ${row.headDim}, batch ${row.batch}, ` +
    `seqLen ${row.seqLen}, context ${row.contextLen}`;
}

function formatRows<R extends Row>(rows: R[], figures: (rows: R[]) => Column[]): string {
  const labels: Column[] = [
    { heading: "variant", align: "left", cells: rows.map((row) => row.variant) },
    { heading: "KV heads", align: "right", cells: rows.map((row) => `${row.numKvHeads}`) },
    { heading: "impl", align: "left", cells: rows.map((row) => row.impl) },
    { heading: "dtype", align: "left", cells: rows.map(({ dtype }) => dtype) },
    ...(rows.some(({ kvDtype }) => kvDtype !== undefined)
      ? [{
        ...{ heading: "K and V", align: "left" } as const,
        cells: rows.map(({ dtype, kvDtype = dtype }) => kvDtype),
      }]
      : []),
  ];
  const labelLines = padColumns(labels);
  const figureLines = formatColumns(figures(rows.filter((row) => row.failure === undefined)));
  const lines = [`${labelLines[0]}  ${figureLines[0]}`];
  let next = 1;
  rows.forEach((row, i) => {
    const rest = row.failure === undefined
      ? figureLines[next++]
      : `FAILED: ${row.failure.replaceAll(/\s+/g, " ")}`;
    lines.push(`${labelLines[i + 1]}  ${rest}`);
  });
  return lines.join("\n");
}
