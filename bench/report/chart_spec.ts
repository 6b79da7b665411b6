import type { TopLevelSpec } from "vega-lite";
import type { Report, Result } from "../result.ts";
import { contextAxis } from "../../cli/shared/report/context_axis.ts";
import { dashesBy, variantMarks } from "../../cli/shared/report/marks.ts";
import { throughputAxis } from "../../cli/shared/report/throughput_axis.ts";
import { CONFIG, STYLES } from "../../cli/shared/report/style.ts";
import { softwareNotes } from "./software.ts";

/** In pixels, as are all sizes here. */
const WIDTH = 900;
const PADDING = 8;
const PANEL_HEIGHT = 180;
/** Room for tick labels, and with the axis title; fixed, so that panels line up. */
const LABEL_WIDTH = 42;
const BESIDE_PANEL = LABEL_WIDTH + 18;
/** Between a panel with all its text and the next; and between frames, for the text of both. */
const COLUMN_GAP = 22;
const ROW_SPACING = 92;

/**
 * Describes a chart of throughput against context length: a row group for each phase, in it a panel
 * for each case, in it a line for each variant and implementation. Both scales are logarithmic, so
 * that equal ratios are equal distances. Rows that failed are left out, and the subtitle says so.
 *
 * @param report What was measured.
 * @returns A Vega-Lite specification, about 900 pixels wide.
 * @throws {RangeError} If no row of the report succeeded.
 */
export function chartSpec(report: Report): TopLevelSpec {
  const rows = report.results.filter((row) => row.failure === undefined && row.tokensPerSecond > 0);
  if (rows.length === 0) {
    throw new RangeError(
      "Cannot draw a chart as at least one result must have succeeded: " +
        `current values results=${report.results.length}, succeeded=0; the table says why`,
    );
  }
  const groups = (["decode", "prefill"] as const)
    .map((phase) => ({
      phase,
      panels: Map.groupBy(rows.filter((row) => row.phase === phase), describePanel),
    }))
    .filter(({ panels }) => panels.size > 0);
  const columns = columnsFor(Math.max(...groups.map(({ panels }) => panels.size)));
  const columnWidth = Math.floor((WIDTH - 2 * PADDING - COLUMN_GAP * (columns - 1)) / columns);
  return {
    title: {
      text: `Attention throughput on ${report.adapter.description}`,
      subtitle: describeReport(report, rows),
      offset: 12,
    },
    background: "transparent",
    padding: PADDING,
    spacing: 24,
    vconcat: groups.map(({ phase, panels }) => ({
      title: { text: phase === "decode" ? "Decode" : "Prefill", fontSize: 16, offset: 6 },
      columns,
      bounds: "flush" as const,
      spacing: { column: BESIDE_PANEL + COLUMN_GAP, row: ROW_SPACING },
      concat: Array.from(panels, ([title, panelRows]) => ({
        title: { text: title, subtitle: describeHeads(panelRows), fontSize: 13 },
        width: columnWidth - BESIDE_PANEL,
        height: PANEL_HEIGHT,
        data: {
          values: panelRows.map((row) => ({
            variant: STYLES[row.variant].label,
            line: describeLine(row),
            kvHeads: row.numKvHeads,
            contextLen: row.contextLen,
            tokensPerSecond: row.tokensPerSecond,
          })),
        },
        encoding: positions(panelRows),
        layer: lineAndPoints(rows),
      })),
    })),
    config: CONFIG,
  };
}

/** As few rows of panels as three columns allow, and then as few columns. */
function columnsFor(panels: number): number {
  return Math.ceil(panels / Math.ceil(panels / 3));
}

/** The title of a panel, unlike those of the others of its phase. */
function describePanel({ case: name, phase, batch, seqLen, contextLen }: Result): string {
  const usualSeqLen = phase === "decode" ? 1 : contextLen;
  return `${name}, batch ${batch}` + (seqLen === usualSeqLen ? "" : `, ${seqLen} new tokens`);
}

function describeHeads(rows: Result[]): string {
  const kvHeads = [...new Set(rows.map((row) => row.numKvHeads))].sort((a, b) => b - a);
  return `${rows[0].numHeads} x ${rows[0].headDim}, KV heads ${kvHeads.join(" / ")}`;
}

/** The name of a line, unlike those of the others of its variant: with the storage of K and V where it is another. */
function describeLine({ impl, dtype, kvDtype }: Result): string {
  return `${impl}, ${dtype}` + (kvDtype === undefined ? "" : `/${kvDtype}`);
}

function describeReport({ adapter, results }: Report, drawn: Result[]): string[] {
  const lines = ["New tokens per second against context length, on logarithmic scales"];
  const kinds = new Set(drawn.map(describeLine));
  if (kinds.size === 1) lines[0] += ` (${[...kinds][0]})`;
  lines.push(...softwareNotes(adapter));
  const failed = results.length - drawn.length;
  if (failed > 0) lines.push(`${failed} of ${results.length} results failed and are left out`);
  return lines;
}

function positions(rows: Result[]) {
  const contexts = [...new Set(rows.map((row) => row.contextLen))].sort((a, b) => a - b);
  return {
    x: contextAxis(contexts),
    y: throughputAxis(rows.map(({ tokensPerSecond }) => tokensPerSecond), {
      minExtent: LABEL_WIDTH,
      maxExtent: LABEL_WIDTH,
    }),
  };
}

/** The same for every panel, so that they share their legends. */
function lineAndPoints(rows: Result[]) {
  const variants = (["mha", "gqa", "mqa", "mla"] as const)
    .filter((variant) => rows.some((row) => row.variant === variant))
    .map((variant) => ({ variant, label: STYLES[variant].label }));
  const { color, shape } = variantMarks(variants);
  const strokeDash = dashesBy("line", [...new Set(rows.map(describeLine))]);
  return [
    {
      mark: { type: "line" as const, strokeWidth: 2 },
      encoding: { color, strokeDash, detail: { field: "kvHeads" } },
    },
    {
      mark: { type: "point" as const, filled: true, size: 50, opacity: 1 },
      encoding: { color, shape },
    },
  ];
}
