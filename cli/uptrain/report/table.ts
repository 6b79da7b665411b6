import { type Column, formatColumns } from "../../shared/report/columns.ts";
import { formatMerge } from "../../shared/report/merge_table.ts";
import { alignDecimals, formatBytes } from "../../shared/report/units.ts";
import type { Report, TrainingReport } from "../result.ts";

/**
 * Writes a report as a table: a line for each stage of the model. "x" is how many times larger the perplexity is than the
 * original's, "agreement" the share of tokens for which the likeliest is the original's.
 */
export function formatTable(
  { model, out, adapter, text, contextLen, stages, merge, training }: Report,
): string {
  const [original] = stages;
  const column = (heading: string, align: Column["align"], cells: string[]): Column => ({
    ...{ heading, align, cells },
  });
  const columns = [
    column("stage", "left", stages.map(({ stage }) => stage)),
    column("KV heads", "right", stages.map(({ numKvHeads }) => `${numKvHeads}`)),
    column("KV cache", "right", stages.map(({ cacheBytes }) => formatBytes(cacheBytes))),
    column("NLL", "right", stages.map(({ nll }) => nll.toFixed(4))),
    column("perplexity", "right", alignDecimals(stages.map(({ perplexity }) => perplexity))),
    column(
      "x",
      "right",
      stages.map(({ perplexity }) => (perplexity / original.perplexity).toFixed(3)),
    ),
    column(
      "agreement",
      "right",
      stages.map(({ agreement }) => `${(100 * agreement).toFixed(1)} %`),
    ),
  ];
  return [
    `Model    ${model}`,
    `Adapter  ${adapter.description}`,
    `Texts    ${text.source}: ${text.learned} tokens, and ${text.heldOut} held out to measure by`,
    `Cache    for ${contextLen} tokens`,
    ...(training ? [`Trained  ${trainingLine(training)}`] : []),
    `Written  ${out}`,
    "",
    ...formatColumns(columns),
    ...(merge ? ["", ...formatMerge(merge)] : []),
  ].join("\n");
}

function trainingLine({ options, curve, seconds }: TrainingReport): string {
  const { tokens } = curve.at(-1)!;
  const from = options.teacher === "own" ? "the original" : "the texts alone";
  return `${tokens} tokens from ${from}, ${(tokens / seconds).toFixed(0)} tokens/s`;
}
