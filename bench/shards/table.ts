/** Times over shards as a table that people read. */
import { formatColumns, left, right } from "../../cli/shared/report/columns.ts";
import { alignDecimals } from "../../cli/shared/report/units.ts";
import { median } from "../statistics.ts";
import type { ShardFigures, ShardRow, ShardsFrom, ShardsReport } from "./result.ts";

/** Writes the adapter, a line for each context, and from which context on shards are faster. */
export function formatShards({ adapter, roofline, shape, rows, from }: ShardsReport): string {
  const { copyGBps, readGBps, fmaGFlops } = roofline;
  const [copy, read, fma] = [copyGBps, readGBps, fmaGFlops].map((rate) => rate.toPrecision(3));
  const { shards, numHeads, numKvHeads, headDim } = shape;
  return [
    `Adapter   ${adapter.description}`,
    `Roofline  copy ${copy} GB/s, read ${read} GB/s, multiply-add ${fma} GFLOP/s`,
    `Layer     ${numHeads} query heads of ${headDim} over ${numKvHeads} of keys and values in f32`,
    ...waitsOf(rows),
    "",
    ...tableOf(rows, shards),
    ...(from ? ["", ...answersOf(from, shards)] : []),
  ].join("\n");
}

function waitsOf(rows: readonly ShardRow[]): string[] {
  const right = rows.flatMap(({ figures }) => figures ?? []);
  if (right.length === 0) return [];
  const ms = (name: "read" | "round") =>
    median(right.map((figures) => figures[name].medianMs)).toPrecision(2);
  return [`Waits     a readback ${ms("read")} ms (twice a layer), a round ${ms("round")} ms`];
}

function tableOf(rows: readonly ShardRow[], shards: number): string[] {
  const figures = (heading: string, of: (figures: ShardFigures) => number) =>
    right(heading, alignDecimals(rows.map(({ figures }) => figures ? of(figures) : null)));
  const lines = formatColumns([
    right("context", rows.map(({ contextLen }) => contextLen.toLocaleString("en-US"))),
    figures("local ms", ({ local }) => local.medianMs),
    figures("predicted", ({ predicted }) => predicted.local),
    figures(`${shards} shards ms`, ({ shards }) => shards.medianMs),
    figures("predicted", ({ predicted }) => predicted.oneDevice),
    figures("on own devices", ({ predicted }) => predicted.ownDevices),
    right("faster", rows.map(({ figures }) => figures ? fasterOf(figures) : "-")),
    right("error", rows.map(({ error }) => error?.toExponential(1) ?? "NaN")),
  ]);
  return lines.map((line, i) => {
    const failure = rows[i - 1]?.failure;
    return failure === undefined ? line : `${line}  FAILED: ${failure}`;
  });
}

function fasterOf({ speedup }: ShardFigures): string {
  if (speedup > 1) return `shards ${speedup.toPrecision(3)}x`;
  return `local ${(1 / speedup).toPrecision(3)}x`;
}

function answersOf(
  { measured, predicted, predictedAtShare, share }: ShardsFrom,
  shards: number,
): string[] {
  const from = (tokens: number | null, never: string) =>
    tokens === null ? never : `from ${tokens.toLocaleString("en-US")} tokens on`;
  const percent = Math.round(100 * share);
  const answers = [
    ["on this one device, measured", from(measured, "at none of these contexts")],
    ["on this one device, predicted", "at no context, as all read by the same memory"],
    ["on devices of their own, predicted", from(predicted, "at no context")],
    [
      `the same at ${percent} % of the ceilings, which local attention reaches`,
      from(predictedAtShare, "at no context"),
    ],
  ];
  return formatColumns([
    left(`${shards} shards are faster`, answers.map(([where]) => `  ${where}`)),
    left("", answers.map(([, when]) => when)),
  ]);
}
