/** Trainings from scratch as a table that people read. */
import { formatColumns, right } from "../../cli/shared/report/columns.ts";
import { shortBytes } from "../../cli/shared/report/units.ts";
import type { HeadsReport, Row, Variant } from "./result.ts";

/** "1 KV head" */
export function headsName({ numKvHeads }: Pick<Variant, "numKvHeads">): string {
  return numKvHeads === 1 ? "1 KV head" : `${numKvHeads} KV heads`;
}

/** "1 KV head, feed-forward 172" */
export function variantName(variant: Pick<Variant, "numKvHeads" | "hiddenDim">): string {
  return `${headsName(variant)}, feed-forward ${variant.hiddenDim}`;
}

/**
 * Writes a line for each version. Losses are in nats, the mean of the seeds; differences are from the most KV heads by the
 * same seed. What no seed tells apart is said below.
 */
export function formatHeads(
  { model, adapter, architecture, text, training, rows, runs }: HeadsReport,
): string {
  const { numLayers, dim, numHeads, headDim, vocabSize } = architecture;
  const { tokens, batch, rate } = training;
  const seeds = rows[0].losses.length;
  const signed = (value: number) => `${value < 0 ? "" : "+"}${value.toFixed(4)}`;
  const differences = (of: (difference: NonNullable<Row["difference"]>) => number) =>
    rows.map(({ difference }) => difference === null ? "" : signed(of(difference)));
  const minutes = runs.reduce((sum, { seconds }) => sum + seconds, 0) / 60;
  const lines = formatColumns([
    right("KV heads", rows.map(({ numKvHeads }) => `${numKvHeads}`)),
    right("feed-forward", rows.map(({ hiddenDim }) => `${hiddenDim}`)),
    right("parameters", rows.map(({ parameters }) => parameters.toLocaleString("en-US"))),
    right("KV/token", rows.map(({ kvBytesPerToken }) => shortBytes(kvBytesPerToken))),
    right("perplexity", rows.map(({ mean }) => Math.exp(mean).toFixed(3))),
    right("loss", rows.map(({ mean }) => mean.toFixed(4))),
    right("deviation", rows.map(({ deviation }) => deviation?.toFixed(4) ?? "-")),
    right("difference", differences(({ mean }) => mean)),
    right("least", differences(({ least }) => least)),
    right("greatest", differences(({ greatest }) => greatest)),
  ]);
  return [
    `Model    ${numLayers} layers of ${dim}, ${numHeads} query heads of ${headDim}, ${vocabSize} tokens (${model})`,
    `Adapter  ${adapter.description}`,
    `Texts    ${text.source}: ${text.learned} tokens, and ${text.heldOut} held out to measure by`,
    `Trained  ${tokens} tokens each, ${batch} x ${text.seqLen} a step, rate ${rate}, ${seeds} seed${
      seeds === 1 ? "" : "s"
    }, ${minutes.toFixed(0)} min`,
    "",
    ...lines,
    ...verdict(rows),
  ].join("\n");
}

/** Names the versions that seeds do not tell from the first one. */
function verdict([first, ...others]: readonly Row[]): string[] {
  if (first.losses.length === 1) {
    return ["", "One seed does not say how far seeds are apart (--seeds)."];
  }
  const same = others.filter(({ difference }) =>
    difference!.least <= 0 && difference!.greatest >= 0
  );
  if (same.length === 0) return [];
  const names = same.map((row) => `\n  ${variantName(row)}`).join("");
  return [
    "",
    `Seeds do not agree on whether these are better or worse than ${variantName(first)}:${names}`,
  ];
}
