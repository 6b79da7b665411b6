/** Sequences that run together and pages in use, over time. */
import type { TopLevelSpec } from "vega-lite";
import { dashesBy, variantMarks } from "../../cli/shared/report/marks.ts";
import { CONFIG, STYLES } from "../../cli/shared/report/style.ts";
import { shortBytes } from "../../cli/shared/report/units.ts";
import { softwareNotes } from "../report/software.ts";
import type { Moment, ServingReport, ServingRow } from "./result.ts";

/** In pixels. */
const WIDTH = 820;
const PANEL_HEIGHT = 200;

/**
 * Describes the chart: a panel of sequences, a panel of pages, in each a line for each version.
 *
 * @returns A Vega-Lite specification, about 900 pixels wide.
 */
export function servingSpec(report: ServingReport): TopLevelSpec {
  const { adapter, budgetBytes, requests: { count }, rows } = report;
  const panels = [
    { title: "sequences in a step", of: ({ sequences }: Moment) => sequences },
    {
      title: "pages in use (%)",
      of: ({ pages }: Moment, row: ServingRow) => 100 * pages / row.pages,
    },
  ];
  return {
    title: {
      text: `${count} requests under ${shortBytes(budgetBytes)} of cache on ${adapter.description}`,
      subtitle: [
        "The same requests, by versions of one model that share key/value heads or do not",
        ...softwareNotes(adapter),
      ],
      offset: 12,
    },
    background: "transparent",
    padding: 8,
    spacing: 24,
    vconcat: panels.map(({ title, of }) => ({
      ...{ width: WIDTH, height: PANEL_HEIGHT },
      data: { values: rows.flatMap((row) => pointsOf(row, of)) },
      mark: { type: "line" as const, strokeWidth: 1.5, interpolate: "step-before" as const },
      encoding: {
        x: {
          ...{ field: "seconds", type: "quantitative" as const },
          axis: { title: "seconds since the first request", grid: false },
        },
        y: { field: "value", type: "quantitative" as const, axis: { title, minExtent: 36 } },
        color: colorsOf(rows),
        strokeDash: dashesBy("heads", rows.map(headsOf)),
      },
    })),
    config: CONFIG,
  };
}

function pointsOf(row: ServingRow, of: (moment: Moment, row: ServingRow) => number) {
  return row.moments.map((moment) => ({
    variant: STYLES[row.variant].label,
    heads: headsOf(row),
    seconds: moment.ms / 1000,
    value: of(moment, row),
  }));
}

function headsOf({ numKvHeads }: ServingRow): string {
  return `${numKvHeads} KV head${numKvHeads === 1 ? "" : "s"}`;
}

function colorsOf(rows: readonly ServingRow[]) {
  const variants = [...new Set(rows.map(({ variant }) => variant))];
  return variantMarks(variants.map((variant) => ({ variant, label: STYLES[variant].label }))).color;
}
