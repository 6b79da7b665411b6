/** A table of adapters. */
import { type Column, formatColumns } from "../../cli/shared/report/columns.ts";
import { alignDecimals } from "../../cli/shared/report/units.ts";
import type { Phase, Report, Result } from "../result.ts";
import { geometricMean } from "../statistics.ts";
import type { AdapterReport } from "./measure.ts";

const VARIANTS = ["mha", "gqa", "mqa", "mla"] as const;
const PHASES: readonly Phase[] = ["decode", "prefill"];

/**
 * Writes a row for each adapter: its ceilings, and new tokens per second by phase and variant, the geometric mean over the cases
 * that every adapter measured. An adapter that failed, or a case of it, says why.
 */
export function formatAdapters(adapters: readonly AdapterReport[]): string {
  const reports = adapters.flatMap(({ report }) => report ?? []);
  const common = commonCases(reports);
  const figures = (heading: string, of: (report: Report) => number | null): Column => ({
    ...{ heading, align: "right" },
    cells: alignDecimals(adapters.map(({ report }) => report ? of(report) : null)),
  });
  const rates = PHASES.flatMap((phase) =>
    VARIANTS.flatMap((variant) => {
      const isOf = (result: Result) => result.phase === phase && result.variant === variant;
      if (
        !reports.some(({ results }) => results.some((row) => isOf(row) && common.has(keyOf(row))))
      ) {
        return [];
      }
      return figures(`${phase} ${variant.toUpperCase()}`, ({ results }) =>
        geometricMean(
          results.filter((row) => isOf(row) && common.has(keyOf(row)))
            .map(({ tokensPerSecond }) => tokensPerSecond),
        ));
    })
  );
  const lines = formatColumns([
    { heading: "adapter", align: "left", cells: adapters.map(({ adapter }) => adapter) },
    figures("copy GB/s", ({ roofline }) => roofline.copyGBps),
    figures("read GB/s", ({ roofline }) => roofline.readGBps),
    figures("GFLOP/s", ({ roofline }) => roofline.fmaGFlops),
    ...rates,
  ]);
  const failures = adapters.flatMap(({ adapter, report, failure }) => [
    ...(failure === undefined ? [] : [`FAILED: ${adapter}: ${failure}`]),
    ...(report?.results ?? []).flatMap((row) =>
      row.failure === undefined
        ? []
        : [`FAILED: ${adapter}: ${row.case} ${row.phase} ${row.variant}: ${row.failure}`]
    ),
  ]);
  return [
    ...lines,
    "",
    `Tokens per second, the geometric mean over the ${common.size} cases that every adapter measured.`,
    ...failures,
  ].join("\n");
}

/** The cases that all reports have, and that failed in none. */
function commonCases(reports: readonly Report[]): Set<string> {
  const [first = new Set<string>(), ...rest] = reports.map(({ results }) =>
    new Set(results.filter(({ failure }) => failure === undefined).map(keyOf))
  );
  return rest.reduce((common, keys) => common.intersection(keys), first);
}

function keyOf(row: Result): string {
  const { phase, variant, impl, dtype, kvDtype, batch, numKvHeads, seqLen, contextLen } = row;
  return [row.case, phase, variant, impl, dtype, kvDtype, batch, numKvHeads, seqLen, contextLen]
    .join(" ");
}
