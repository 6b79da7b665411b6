import type { TopLevelSpec } from "vega-lite";
import { CONFIG, GREY } from "../../../shared/report/style.ts";
import type { CachePlan, Plan, VariantPlan } from "../../plan.ts";
import { eachCache } from "../each_cache.ts";
import { shortCount, tinyBytes } from "../units.ts";
import { frame } from "./frame.ts";

/** From an empty device to a full one, and the text on either. */
const FULLNESS = { range: ["#d7ebf7", "#08519c"], textOnLight: "#1a1a1a", textOnDark: "#ffffff" };
const CELL = { width: 36, height: 24 };

/** The contexts and batches that fit, a panel for each variant and element type; cells hold the size of the cache. */
export function feasibleFigure(plan: Plan): TopLevelSpec {
  const free = plan.freeBytes ?? Infinity;
  const panels = eachCache(plan).map(({ variant, cache }) => ({
    title: { text: panelTitle(plan, variant, cache), fontSize: 13 },
    width: { step: CELL.width },
    height: { step: CELL.height },
    data: {
      values: cache.cells.map(({ contextLen, batch, kvBytes, fits }) => ({
        context: shortCount(contextLen),
        batch: `${batch}`,
        used: kvBytes / free,
        fits,
        label: tinyBytes(kvBytes),
      })),
    },
    encoding: {
      x: {
        field: "batch",
        type: "ordinal" as const,
        sort: null,
        axis: { title: "batch", labelAngle: 0, domain: false, ticks: false },
      },
      y: {
        field: "context",
        type: "ordinal" as const,
        sort: null,
        axis: { title: null, domain: false, ticks: false },
      },
    },
    layer: [
      {
        transform: [{ filter: "datum.fits" }],
        mark: { type: "rect" as const, cornerRadius: 2 },
        encoding: {
          color: {
            field: "used",
            type: "quantitative" as const,
            scale: { domain: [0, 1], range: FULLNESS.range },
            legend: {
              format: "%",
              gradientLength: 200,
              gradientThickness: 10,
            },
          },
        },
      },
      {
        transform: [{ filter: "!datum.fits" }],
        mark: {
          type: "rect" as const,
          filled: false,
          stroke: GREY,
          strokeOpacity: 0.35,
          cornerRadius: 2,
        },
      },
      {
        mark: { type: "text" as const, fontSize: 11 },
        encoding: {
          text: { field: "label" },
          color: {
            condition: [
              { test: "!datum.fits", value: GREY },
              { test: "datum.used > 0.5", value: FULLNESS.textOnDark },
            ],
            value: FULLNESS.textOnLight,
          },
        },
      },
    ],
  }));
  const { title, ...rest } = frame(plan, "Which contexts and batches fit");
  const meaning = [
    "Rows are contexts in tokens. Cells tell the size of the KV cache (M, G, T: MiB, GiB, TiB):",
    "the darker, the more of what the weights leave; framed cells do not fit",
  ];
  return {
    ...rest,
    title: { ...title, subtitle: [title.subtitle, ...meaning] },
    columns: plan.variants.length,
    bounds: "flush",
    spacing: { column: 60, row: 84 },
    concat: panels,
    config: { ...CONFIG, scale: { bandPaddingInner: 0.06 } },
  } as TopLevelSpec;
}

function panelTitle(plan: Plan, { label }: VariantPlan, { dtype }: CachePlan): string {
  return plan.variants[0].caches.length === 1 ? label : `${label}, ${dtype}`;
}
