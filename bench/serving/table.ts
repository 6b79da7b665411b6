/** A serving run as a table that people read. */
import { type Column, formatColumns } from "../../cli/shared/report/columns.ts";
import { alignDecimals, shortBytes } from "../../cli/shared/report/units.ts";
import type { LengthDistribution, RequestDistribution } from "./requests.ts";
import type { PrefixResult, ServingReport, ServingRow } from "./result.ts";

/** Writes what was served, a line for each version, and the first tokens of prompts that share some. */
export function formatServing(report: ServingReport): string {
  return [
    ...headOf(report).map(([label, text]) => `${label.padEnd(8)}  ${text}`),
    "",
    ...formatColumns(columnsOf(report.rows)),
    "",
    ...describeColumns(),
    "",
    describePrefix(report.prefix),
  ].join("\n");
}

/** The adapter, the model, the memory and the requests, a line each. */
export function headOf(report: ServingReport): [label: string, text: string][] {
  const { adapter, architecture, weightDtype, budgetBytes, kvDtype } = report;
  const { pageSize, stepTokens, requests } = report;
  const { numLayers, numHeads, headDim, dim } = architecture;
  return [
    ["Adapter", adapter.description],
    [
      "Model",
      `${numLayers} layers of ${numHeads} x ${headDim}, ${dim} wide, random weights in ${weightDtype}`,
    ],
    [
      "Memory",
      `${shortBytes(budgetBytes)} of keys and values in ${kvDtype} for each version, ` +
      `pages of ${pageSize} tokens, steps of at most ${stepTokens}`,
    ],
    ["Requests", describeRequests(requests)],
  ];
}

/** A column for each figure, a row for each version. */
export function columnsOf(rows: readonly ServingRow[]): Column[] {
  const right = (heading: string, cells: string[]): Column => ({ heading, align: "right", cells });
  const figures = (heading: string, of: (row: ServingRow) => number | null) =>
    right(heading, alignDecimals(rows.map(of)));
  const counts = (heading: string, of: (row: ServingRow) => number) =>
    right(heading, rows.map((row) => `${of(row)}`));
  const [{ tokensPerSecond: ofFirst, variant }] = rows;
  return [
    { heading: "variant", align: "left", cells: rows.map(({ variant }) => variant.toUpperCase()) },
    counts("KV heads", ({ numKvHeads }) => numKvHeads),
    counts("pages", ({ pages }) => pages),
    counts("predicted", ({ predictedSequences }) => predictedSequences),
    figures("together", ({ sequences }) => sequences),
    counts("set-backs", ({ setBacks }) => setBacks),
    figures("requests/s", ({ requestsPerSecond }) => requestsPerSecond),
    figures("tokens/s", ({ tokensPerSecond }) => tokensPerSecond),
    figures(`x ${variant.toUpperCase()}`, ({ tokensPerSecond }) => tokensPerSecond / ofFirst),
    figures("first ms p50", ({ firstTokenMs }) => firstTokenMs.p50),
    figures("p99", ({ firstTokenMs }) => firstTokenMs.p99),
    figures("between ms p50", ({ betweenTokensMs }) => betweenTokensMs.p50),
    figures("p99", ({ betweenTokensMs }) => betweenTokensMs.p99),
  ];
}

/** The meaning of the columns. */
export function describeColumns(): string[] {
  return [
    "together: sequences in a step, in the mean from the first set-back to the last moment at which a request waits;",
    "predicted: the planner's largest batch of sequences that hold as many tokens as these requests do in the mean.",
    "first: from a request to its first token, its wait for room included; between: from token to token.",
  ];
}

function describeRequests({ count, rate, prompt, output, seed }: RequestDistribution): string {
  const when = rate === null ? "all at once" : `${rate} a second at random times`;
  return `${count}, ${when}; prompts of ${lengths(prompt)}, outputs of ${
    lengths(output)
  } (log-normal, seed ${seed})`;
}

function lengths({ mean, spread }: LengthDistribution): string {
  return `${mean} tokens (spread ${spread})`;
}

/** The first tokens of prompts that share some. */
export function describePrefix(
  { numKvHeads, sharedTokens, ownTokens, pairs, freshMs, sharedMs, ratio }: PrefixResult,
): string {
  const [fresh, shared] = alignDecimals([freshMs, sharedMs]);
  return `First token of prompts of ${sharedTokens} + ${ownTokens} tokens, ${numKvHeads} KV head${
    numKvHeads === 1 ? "" : "s"
  }: ${fresh} ms; where an earlier one began with the same ${sharedTokens}: ${shared} ms, ${
    ratio.toFixed(2)
  } of it (medians of ${pairs} pairs)`;
}
