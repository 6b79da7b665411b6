/** A bench's report in sections of a page: each a picture, and a table of what it shows. */
import type { TopLevelSpec } from "vega-lite";
import { type Column, left, right } from "../../cli/shared/report/columns.ts";
import type { Section } from "../../cli/shared/report/section.ts";
import { alignDecimals, formatBytes } from "../../cli/shared/report/units.ts";
import type { FirstUse, Report, Result } from "../result.ts";
import { chartSpec } from "./chart_spec.ts";
import { cacheSpec, firstUseSpec, roofSpec } from "./page_specs.ts";

/** First uses on a page: the slowest. */
const FIRST_USES = 20;

/**
 * All sections of a report; rows that failed are left out, and the first section says how many.
 *
 * @throws {RangeError} If no row succeeded.
 */
export function sectionsOf(report: Report): Section[] {
  const rows = report.results.filter(({ failure }) => failure === undefined);
  const failed = report.results.length - rows.length;
  return [
    {
      id: "throughput",
      title: "Throughput against context",
      text: "New tokens a second over the whole batch, on logarithmic scales." +
        (failed > 0
          ? ` ${failed} of ${report.results.length} results failed and are left out.`
          : ""),
      columns: [...labelsOf(rows), ...timesOf(rows)],
      figure: chartSpec(report),
    },
    {
      id: "roof",
      title: "Share of the roof",
      text:
        "The time that the adapter needs for a row's bytes or operations alone, over the row's: 100 % is as fast as it can be.",
      columns: [
        ...labelsOf(rows),
        figures("% roof", rows, ({ rooflineShare }) => 100 * rooflineShare),
        left("bound by", rows.map(({ boundBy }) => boundBy)),
        figures("GB/s", rows, ({ gbPerSecond }) => gbPerSecond),
        figures("% copy", rows, ({ bandwidthShare }) => 100 * bandwidthShare),
      ],
      figure: roofSpec(rows),
    },
    {
      id: "cache",
      title: "Cache bytes against tokens a second",
      text: "Keys and values of one attention layer, for the whole context and batch.",
      columns: [
        ...labelsOf(rows),
        right("KV cache", rows.map(({ kvBytes }) => formatBytes(kvBytes))),
        figures("tokens/s", rows, ({ tokensPerSecond }) => tokensPerSecond),
      ],
      figure: cacheSpec(rows),
    },
    ...(report.firstUse.length > 0 ? [firstUseSection(report.firstUse)] : []),
  ];
}

/** What tells rows apart. */
function labelsOf(rows: readonly Result[]): Column[] {
  const texts = (["case", "phase", "variant", "impl", "dtype"] as const)
    .map((name) => left(name, rows.map((row) => row[name])));
  const counts =
    ([["KV heads", "numKvHeads"], ["batch", "batch"], ["context", "contextLen"]] as const)
      .map(([heading, name]) => right(heading, rows.map((row) => `${row[name]}`)));
  return [...texts, ...counts];
}

function timesOf(rows: readonly Result[]): Column[] {
  return [
    figures("median ms", rows, ({ medianMs }) => medianMs),
    figures("tokens/s", rows, ({ tokensPerSecond }) => tokensPerSecond),
    figures("x MHA", rows, ({ speedupOverMha }) => speedupOverMha),
  ];
}

function figures(
  heading: string,
  rows: readonly Result[],
  valueOf: (row: Result) => number | null,
): Column {
  return right(heading, alignDecimals(rows.map(valueOf)));
}

function firstUseSection(firstUse: readonly FirstUse[]): Section {
  const total = ({ pipelineMs, firstRunMs }: FirstUse) => pipelineMs + firstRunMs;
  const slowest = firstUse.toSorted((a, b) => total(b) - total(a)).slice(0, FIRST_USES);
  const texts = (["kernel", "case", "phase", "variant", "impl", "dtype"] as const)
    .map((name) => left(name, slowest.map((use) => use[name])));
  const times = (heading: string, of: (use: FirstUse) => number) =>
    right(heading, alignDecimals(slowest.map(of)));
  const figure: TopLevelSpec = firstUseSpec(slowest);
  return {
    id: "first-use",
    title: "First use of kernels",
    text: slowest.length === firstUse.length
      ? "What each kernel costs once."
      : `What kernels cost once: the ${slowest.length} slowest of ${firstUse.length}.`,
    columns: [
      ...texts,
      times("pipeline ms", ({ pipelineMs }) => pipelineMs),
      times("first run ms", ({ firstRunMs }) => firstRunMs),
      times("total ms", total),
    ],
    figure,
  };
}
