/** The figures that `deno run generate` prints after the text. */
import { formatColumns } from "../shared/report/columns.ts";
import { shortBytes } from "../shared/report/units.ts";
import type { LogitChange, Speed } from "./measure.ts";
import type { PoolMethod } from "../shared/model_options.ts";

/** The memory of a decoder on the device. */
export interface Memory {
  cacheBytes: number;
  weightBytes: number;
}

/** The savings and the costs of pooling KV heads. */
export interface PoolingCost {
  from: number;
  to: number;
  method: PoolMethod;
  /** Parameters of the projections of all attention layers. */
  parameters: { before: number; after: number };
  cacheBytes: { before: number; after: number };
  change: LogitChange;
}

/** Writes the speed of continuing a text, and its memory. */
export function formatSpeed(
  { promptTokens, prefillMs, newTokens, decodedTokens, decodeMs, passes }: Speed,
  { cacheBytes, weightBytes }: Memory,
  { kvDtype, weightDtype, room }: { kvDtype: string; weightDtype: string; room: number },
): string {
  const rows = [
    ["prefill", count(promptTokens), rate(promptTokens, prefillMs)],
    ["decode", count(newTokens), rate(decodedTokens, decodeMs)],
    ...(passes === undefined ? [] : [
      ["passes", `${passes}`, `${Number((decodedTokens / passes).toPrecision(3))} tokens each`],
    ]),
    ["cache", `${cacheBytes} bytes`, `${shortBytes(cacheBytes)} in ${kvDtype}, for ${count(room)}`],
    ["weights", `${weightBytes} bytes`, `${shortBytes(weightBytes)} in ${weightDtype}`],
  ];
  return table(rows);
}

/** Writes the savings and the costs of pooling KV heads. */
export function formatPooling(
  { from, to, method, parameters, cacheBytes, change }: PoolingCost,
): string {
  const saved = ({ before, after }: { before: number; after: number }) =>
    `${percent(1 - after / before)} less`;
  const { relativeChange, agreement, tokens } = change;
  const rows = [
    ["attention parameters", `${parameters.before} to ${parameters.after}`, saved(parameters)],
    ["cache bytes", `${cacheBytes.before} to ${cacheBytes.after}`, saved(cacheBytes)],
    ["logits", `off by ${percent(relativeChange)} of their size`, `after ${count(tokens)}`],
    ["likeliest token", `the same after ${percent(agreement)}`, `of ${count(tokens)}`],
  ];
  const how = method === "merged" ? `merged into ${to}` : `pooled into ${to} (${method})`;
  const title = `${from} KV heads ${how}, and not trained afterwards:`;
  return `${title}\n${table(rows)}`;
}

function table(rows: readonly string[][]): string {
  const columns = rows[0].map((_, i) => ({
    heading: "",
    align: "left" as const,
    cells: rows.map((row) => row[i]),
  }));
  return formatColumns(columns).slice(1).join("\n");
}

function count(tokens: number): string {
  return `${tokens} token${tokens === 1 ? "" : "s"}`;
}

function rate(tokens: number, ms: number): string {
  return `${Number((1000 * tokens / ms).toPrecision(3))} tokens/s`;
}

function percent(share: number): string {
  return `${Number((100 * share).toPrecision(3))} %`;
}
