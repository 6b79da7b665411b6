/** A table of adapters. */
import { type Column, formatColumns, left, right } from "../../cli/shared/report/columns.ts";
import { alignDecimals } from "../../cli/shared/report/units.ts";
import type { Report, Result } from "../result.ts";
import { geometricMean } from "../statistics.ts";
import type { AdapterReport } from "./measure.ts";

/**
 * Writes a row for each adapter with its ceilings, then a row for each phase, variant, implementation and element type: new
 * tokens per second of each adapter, the geometric mean over the cases of that kind that every adapter measured, and their
 * number. An adapter that failed, or a case of it, says why.
 */
export function formatAdapters(adapters: readonly AdapterReport[]): string {
  const reports = adapters.flatMap(({ report }) => report ?? []);
  const ceilings = (heading: string, of: (report: Report) => number): Column =>
    right(heading, alignDecimals(adapters.map(({ report }) => report ? of(report) : null)));
  const lines = formatColumns([
    left("adapter", adapters.map(({ adapter }) => adapter)),
    ceilings("copy GB/s", ({ roofline }) => roofline.copyGBps),
    ceilings("read GB/s", ({ roofline }) => roofline.readGBps),
    ceilings("GFLOP/s", ({ roofline }) => roofline.fmaGFlops),
  ]);
  const common = commonCases(reports);
  const rows = (reports[0]?.results ?? []).filter((row) => common.has(keyOf(row)));
  const kinds = Map.groupBy(rows, kindOf);
  const rates = adapters.flatMap(({ adapter, report }): Column[] => {
    if (!report) return [];
    const byKind = Map.groupBy(report.results.filter((row) => common.has(keyOf(row))), kindOf);
    const means = [...kinds.keys()].map((kind) =>
      geometricMean(byKind.get(kind)!.map(({ tokensPerSecond }) => tokensPerSecond))
    );
    return [right(adapter, alignDecimals(means))];
  });
  const rateLines = kinds.size === 0 ? [] : [
    "",
    "Tokens per second, the geometric mean over the cases that every adapter measured:",
    ...formatColumns([
      left("kind", [...kinds.keys()]),
      right("cases", Array.from(kinds.values(), (rows) => `${rows.length}`)),
      ...rates,
    ]),
  ];
  const failures = adapters.flatMap(({ adapter, report, failure }) => [
    ...(failure === undefined ? [] : [`FAILED: ${adapter}: ${failure}`]),
    ...(report?.results ?? []).flatMap((row) =>
      row.failure === undefined
        ? []
        : [`FAILED: ${adapter}: ${row.case} ${row.phase} ${row.variant}: ${row.failure}`]
    ),
  ]);
  return [...lines, ...rateLines, ...failures].join("\n");
}

/** The cases that all reports have, and that failed in none. */
function commonCases(reports: readonly Report[]): Set<string> {
  const [first = new Set<string>(), ...rest] = reports.map(({ results }) =>
    new Set(results.filter(({ failure }) => failure === undefined).map(keyOf))
  );
  return rest.reduce((common, keys) => common.intersection(keys), first);
}

/** "decode MQA, fused, f32": what a rate is of, whatever the case; K and V have a type where theirs is another one. */
function kindOf({ phase, variant, impl, dtype, kvDtype = dtype }: Result): string {
  const storage = kvDtype === dtype ? "" : `, K and V in ${kvDtype}`;
  return `${phase} ${variant.toUpperCase()}, ${impl}, ${dtype}${storage}`;
}

function keyOf(row: Result): string {
  const { phase, variant, impl, dtype, kvDtype, batch, numKvHeads, seqLen, contextLen } = row;
  return [row.case, phase, variant, impl, dtype, kvDtype, batch, numKvHeads, seqLen, contextLen]
    .join(" ");
}
