/** The style of every figure: colours, fonts, and marks by variant. */
import type { TopLevelSpec } from "vega-lite";
import type { CacheVariant } from "../variant.ts";

/** Colours after Okabe and Ito, who chose them for every kind of colour vision. */
export const STYLES: Record<CacheVariant, { label: string; color: string; shape: string }> = {
  mha: { label: "MHA", color: "#d55e00", shape: "square" },
  gqa: { label: "GQA", color: "#009e73", shape: "triangle-up" },
  mqa: { label: "MQA", color: "#2e86d1", shape: "circle" },
  mla: { label: "MLA", color: "#cc79a7", shape: "diamond" },
};

/** Contrasts alike with white pages and with dark ones; the background is left to the page. */
export const GREY = "#7a7a7a";
export const FAINT_GREY = "#80808040";

/** For every specification: text and lines in grey, titles to the left, legends above. */
export const CONFIG: TopLevelSpec["config"] = {
  font: "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif",
  view: { stroke: null },
  title: {
    anchor: "start",
    color: GREY,
    subtitleColor: GREY,
    fontSize: 18,
    subtitleFontSize: 12,
    subtitlePadding: 4,
  },
  axis: {
    labelColor: GREY,
    titleColor: GREY,
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: "normal",
    domainColor: GREY,
    tickColor: GREY,
    gridColor: FAINT_GREY,
    labelOverlap: "greedy",
  },
  legend: {
    orient: "top",
    title: null,
    labelColor: GREY,
    labelFontSize: 13,
    symbolStrokeWidth: 2,
    clipHeight: 16,
    padding: 6,
    columnPadding: 14,
  },
};
