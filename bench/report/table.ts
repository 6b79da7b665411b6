import type { FirstUse, PeerResult, Report, Result, Times } from "../result.ts";
import type { Tiling } from "../../mod.ts";
import type { Tuned } from "../tune.ts";
import { alignDecimals, formatBytes, latencyUnit } from "../../cli/shared/report/units.ts";
import { type Column, formatColumns } from "../../cli/shared/report/columns.ts";
import { formatGroups } from "./groups.ts";
import { softwareNotes } from "./software.ts";

/**
 * Writes a report as tables for a terminal: the adapter and its roofline, then one table for each
 * case, phase and shape, in the order of their first rows.
 *
 * KV bytes are those of one attention layer: "KV/token" of one token of one sequence, "KV cache" of
 * the whole context and batch. "% copy" is the bandwidth over what a copy reached on the same
 * device, "% roof" the time that the adapter needs for the bytes or the operations alone ("bound by") over the row's,
 * "x MHA" the times that the row is faster than MHA ("-" where MHA was not run), and "max
 * error" the largest difference from the float64 reference. Where K/V heads are not the model's own,
 * "change" and "cosine" tell how far the output is from the model's. A row that failed says why instead. Then comes what
 * kernels cost once: the slowest of them. The last tables are those of other systems, where they were asked for: "x ours"
 * is the times that ours is faster.
 *
 * @param report What was measured.
 * @returns Lines of text, with a newline at the end.
 */
export function formatTable(report: Report): string {
  return [
    describeDevice(report),
    ...formatGroups(report.results, figureColumns),
    ...(report.firstUse.length > 0 ? [formatFirstUse(report.firstUse)] : []),
    ...(report.peers ? [PEERS_TITLE, ...formatGroups(report.peers, peerColumns)] : []),
  ].join("\n\n") + "\n";
}

function describeDevice(report: Report): string {
  return deviceLines(report).map(([label, text]) => `${label.padEnd(8)}  ${text}`).join("\n");
}

/** The adapter and its roofline, a line each. */
export function deviceLines({ adapter, roofline }: Report): [label: string, text: string][] {
  const [copy, read, fma] = [roofline.copyGBps, roofline.readGBps, roofline.fmaGFlops]
    .map((value) => alignDecimals([value])[0]);
  return [
    ["Adapter", adapter.description],
    ["Features", adapter.features.join(", ") || "none"],
    ["Roofline", `copy ${copy} GB/s, read ${read} GB/s, f32 multiply-add ${fma} GFLOP/s`],
    ...softwareNotes(adapter).map((note): [string, string] => ["Note", note]),
  ];
}

function figureColumns(rows: Result[]): Column[] {
  const columns: [heading: string, cells: string[]][] = [
    ...timeColumns(rows),
    ["tokens/s", alignDecimals(rows.map((row) => row.tokensPerSecond))],
    ["KV/token", rows.map((row) => formatBytes(row.kvBytes / (row.batch * row.contextLen)))],
    ["KV cache", rows.map((row) => formatBytes(row.kvBytes))],
    ["GB/s", alignDecimals(rows.map((row) => row.gbPerSecond))],
    ["% copy", alignDecimals(rows.map((row) => 100 * row.bandwidthShare))],
    ["% roof", alignDecimals(rows.map((row) => 100 * row.rooflineShare))],
    ["bound by", rows.map((row) => row.boundBy)],
    ["x MHA", alignDecimals(rows.map((row) => row.speedupOverMha))],
    errorColumn(rows),
  ];
  if (rows.some((row) => row.cosine !== undefined)) {
    columns.push(
      ["change", alignDecimals(rows.map((row) => row.relativeChange ?? null))],
      ["cosine", alignDecimals(rows.map((row) => row.cosine ?? null))],
    );
  }
  return columns.map(([heading, cells]) => ({ heading, align: "right", cells }));
}

const PEERS_TITLE =
  "Beside other systems: same inputs, same rounds, by the wall clock (x ours: how many times longer than ours)";

function peerColumns(rows: PeerResult[]): Column[] {
  const columns: [heading: string, cells: string[]][] = [
    ...timeColumns(rows),
    ["x ours", alignDecimals(rows.map((row) => row.timesOurs))],
    errorColumn(rows),
  ];
  return columns.map(([heading, cells]) => ({ heading, align: "right", cells }));
}

function timeColumns(
  rows: Times[],
): [heading: string, cells: string[]][] {
  const { name, perMs } = latencyUnit(Math.min(...rows.map((row) => row.minMs)));
  return [
    [`median ${name}`, alignDecimals(rows.map((row) => row.medianMs * perMs))],
    [`min ${name}`, alignDecimals(rows.map((row) => row.minMs * perMs))],
    [`p90 ${name}`, alignDecimals(rows.map((row) => row.p90Ms * perMs))],
  ];
}

function errorColumn(rows: Pick<Result, "maxAbsError">[]): [heading: string, cells: string[]] {
  return ["max error", rows.map((row) => row.maxAbsError?.toExponential(1) ?? "NaN")];
}

const SHOWN_FIRST_USES = 6;

/** The first use of kernels: the slowest, and their number. */
function formatFirstUse(firstUse: FirstUse[]): string {
  const total = ({ pipelineMs, firstRunMs }: FirstUse) => pipelineMs + firstRunMs;
  const slowest = firstUse.toSorted((a, b) => total(b) - total(a)).slice(0, SHOWN_FIRST_USES);
  const texts = (["kernel", "case", "phase", "variant", "impl", "dtype"] as const)
    .map((key) => ({
      heading: key,
      align: "left" as const,
      cells: slowest.map((use) => use[key]),
    }));
  const times = [
    ["pipeline ms", slowest.map(({ pipelineMs }) => pipelineMs)],
    ["first run ms", slowest.map(({ firstRunMs }) => firstRunMs)],
    ["total ms", slowest.map(total)],
  ] as const;
  const columns: Column[] = [
    ...texts,
    ...times.map(([heading, values]) => ({
      heading,
      align: "right" as const,
      cells: values.map((value) => `${Math.round(value)}`),
    })),
  ];
  const title = firstUse.length === slowest.length
    ? `First use of ${firstUse.length} kernels`
    : `First use of ${firstUse.length} kernels, the ${slowest.length} slowest`;
  return [
    `${title} (what a driver finds in its disk cache costs less: MESA_SHADER_CACHE_DISABLE=true turns Mesa's off)`,
    ...formatColumns(columns),
  ].join("\n");
}

/**
 * Writes the tile sizes that were found as a table: one line for each number of rows that read the same KV head, and how
 * many times faster they are than the defaults of the device's class.
 */
export function formatTuned(tuned: readonly Tuned[]): string {
  const names = Object.keys(tuned[0]?.tiling ?? {}) as (keyof Tiling)[];
  const columns: Column[] = [
    { heading: "rows", align: "right", cells: tuned.map(({ leastRows }) => `${leastRows}+`) },
    ...names.map((name) => ({
      heading: name,
      align: "right" as const,
      cells: tuned.map(({ tiling }) => `${tiling[name]}`),
    })),
    { heading: "x default", align: "right", cells: alignDecimals(tuned.map(({ gain }) => gain)) },
    {
      heading: "measured on",
      align: "left",
      cells: tuned.map(({ cases }) =>
        cases.map(({ name, phase, variant }) => `${name} ${phase} ${variant}`).join(", ")
      ),
    },
  ];
  return formatColumns(columns).join("\n");
}
