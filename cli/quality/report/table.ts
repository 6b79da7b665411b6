import { type Column, formatColumns } from "../../shared/report/columns.ts";
import { formatMerge } from "../../shared/report/merge_table.ts";
import { alignDecimals, formatBytes } from "../../shared/report/units.ts";
import type { Report, Row } from "../result.ts";

/**
 * Writes a report as a table: a line for each change. "NLL" is the mean negative log-likelihood of a token in nats, "x" how
 * many times larger the perplexity is than without a change, "agreement" the share of tokens for which the likeliest is the
 * same. Below it stands what merging kept of each layer.
 */
export function formatTable(report: Report): string {
  const { rows } = report;
  return [
    ...headOf(report).map(([label, text]) => `${label.padEnd(7)}  ${text}`),
    "",
    ...formatColumns(columnsOf(rows)),
    ...rows.flatMap(({ numKvHeads, merge }) =>
      merge ? ["", mergeTitle(numKvHeads), ...formatMerge(merge)] : []
    ),
  ].join("\n");
}

/** The model, the adapter and the text, a line each. */
export function headOf({ model, adapter, text }: Report): [label: string, text: string][] {
  return [
    ["Model", model],
    ["Adapter", adapter.description],
    ["Text", `${text.source}: ${text.tokens} tokens predicted`],
  ];
}

/** The title of what merging kept. */
export function mergeTitle(numKvHeads: number): string {
  return `Merged into ${numKvHeads} KV heads`;
}

/** A column for each part of a change and for each figure, a row for each change. */
export function columnsOf(rows: readonly Row[]): Column[] {
  const [unchanged] = rows;
  const left = (heading: string, cellOf: (row: Row) => string): Column => ({
    ...{ heading, align: "left", cells: rows.map(cellOf) },
  });
  const right = (heading: string, cells: string[]): Column => ({ heading, align: "right", cells });
  const ratios = rows.map(({ perplexity }) => perplexity / unchanged.perplexity);
  return [
    left("change", ({ change }) => change),
    left("cache", ({ kvDtype }) => kvDtype),
    left("made of", ({ transform }) => transform ?? "-"),
    right("window", rows.map(({ window }) => window === undefined ? "-" : `${window}`)),
    right("sinks", rows.map(({ sinks }) => sinks === undefined ? "-" : `${sinks}`)),
    right("KV heads", rows.map(({ numKvHeads }) => `${numKvHeads}`)),
    left("pooled", ({ pool }) => pool ?? "-"),
    right("KV cache", rows.map(({ cacheBytes }) => formatBytes(cacheBytes))),
    right("NLL", rows.map(({ nll }) => nll.toFixed(4))),
    right("perplexity", alignDecimals(rows.map(({ perplexity }) => perplexity))),
    right("x", ratios.map((ratio) => ratio.toFixed(3))),
    right("agreement", rows.map(({ agreement }) => `${(100 * agreement).toFixed(1)} %`)),
  ];
}
