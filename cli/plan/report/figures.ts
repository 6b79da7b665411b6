/** The planner's pictures, as specifications of Vega-Lite. */
import type { TopLevelSpec } from "vega-lite";
import { CONFIG, GREY, STYLES } from "../../shared/report/style.ts";
import { throughputAxis } from "../../shared/report/throughput_axis.ts";
import type { CachePlan, Plan, VariantPlan } from "../plan.ts";
import { shortBytes } from "../../shared/report/units.ts";
import { shortCount, tinyBytes } from "./units.ts";

/** Dashes by element type, the first solid. */
const DASHES = [[1, 0], [7, 4], [2, 2], [9, 3, 2, 3]];
/** From an empty device to a full one, and the text on either. */
const FULLNESS = { range: ["#d7ebf7", "#08519c"], textOnLight: "#1a1a1a", textOnDark: "#ffffff" };
const WIDTH = 620;
const HEIGHT = 300;
const CELL = { width: 36, height: 24 };

/** KV cache of one sequence against its context, a line for each variant and element type, and what the device has. */
export function growthFigure(plan: Plan): TopLevelSpec {
  const values = eachCache(plan).flatMap(({ variant, cache }) =>
    firstBatch(cache).map(({ contextLen, kvBytes, batch }) => ({
      variant: variant.label,
      dtype: cache.dtype,
      contextLen,
      bytes: kvBytes / batch,
    }))
  );
  const bytes = values.map((value) => value.bytes);
  const contexts = [...new Set(values.map(({ contextLen }) => contextLen))];
  const budget = plan.freeBytes === null
    ? []
    : [{ bytes: plan.freeBytes, label: `left by the weights: ${shortBytes(plan.freeBytes)}` }];
  const ends = [...bytes, ...budget.map((rule) => rule.bytes)];
  const x = logContext(contexts);
  const y = {
    field: "bytes",
    type: "quantitative" as const,
    scale: {
      type: "log" as const,
      base: 2,
      domain: [Math.min(...ends) / 1.5, Math.max(...ends) * 2],
    },
    axis: { title: "KV cache", values: byteTicks(ends), labelExpr: BYTES_LABEL },
  };
  const { color, shape, strokeDash } = variantAndDtype(plan);
  return {
    ...frame(plan, "KV cache of one sequence against its context"),
    layer: [
      {
        data: { values },
        mark: { type: "line", strokeWidth: 2 },
        encoding: { x, y, color, strokeDash },
      },
      {
        data: { values },
        mark: { type: "point", filled: true, size: 50, opacity: 1 },
        encoding: { x, y, color, shape },
      },
      {
        data: { values: budget },
        mark: { type: "rule", color: GREY, strokeDash: [4, 4] },
        encoding: { y: { field: "bytes", type: "quantitative" } },
      },
      {
        data: { values: budget },
        mark: {
          type: "text",
          align: "left",
          baseline: "bottom",
          dx: 4,
          dy: -3,
          color: GREY,
          fontSize: 12,
        },
        encoding: {
          x: { value: 0 },
          y: { field: "bytes", type: "quantitative" },
          text: { field: "label" },
        },
      },
    ],
  };
}

/** Which contexts and batches fit, a panel for each variant and element type; cells tell the cache's size. */
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

/** Parameters of an attention layer by projection, a bar for each variant. */
export function parametersFigure(plan: Plan): TopLevelSpec {
  const projections = ["q", "k", "v", "o"] as const;
  const values = plan.variants.flatMap(({ label, parameters }) =>
    projections.map((projection, order) => ({
      variant: label,
      projection,
      order,
      parameters: parameters[projection],
    }))
  );
  return {
    ...frame(plan, "Parameters of one attention layer"),
    height: { step: 40 },
    data: { values },
    mark: { type: "bar" },
    encoding: {
      y: {
        field: "variant",
        type: "nominal",
        sort: null,
        axis: { title: null, domain: false, ticks: false },
      },
      x: {
        field: "parameters",
        type: "quantitative",
        axis: { title: "parameters", format: "~s", tickCount: 6 },
      },
      color: {
        field: "projection",
        type: "nominal",
        sort: null,
        // Greys for what sharing leaves alone, colours for what it shrinks.
        scale: { domain: [...projections], range: ["#8c8c8c", "#d55e00", "#2e86d1", "#b8b8b8"] },
      },
      order: { field: "order" },
    },
  };
}

/** Attention's tokens per second against the group size, with the corner where it stops to wait for memory. */
export function throughputFigure(plan: Plan): TopLevelSpec {
  const points = plan.groups.flatMap(({ dtype, points }) =>
    points.map((point) => ({ dtype, ...point }))
  );
  const sizes = points.filter(({ bound }) => bound !== "both").map(({ groupSize }) => groupSize);
  const dtypes = plan.groups.map(({ dtype }) => dtype);
  const { contextLen } = plan.groups[0];
  const title = `Attention alone can decode so fast: one sequence of ${
    shortCount(contextLen)
  } tokens`;
  const corners = points.filter(({ bound }) => bound === "both")
    .map((point) => ({ ...point, label: `corner: ${point.groupSize.toPrecision(3)}` }));
  const encoding = {
    x: {
      field: "groupSize",
      type: "quantitative" as const,
      scale: { type: "log" as const, base: 2, nice: false, padding: 14 },
      axis: { title: "query heads per KV head", values: [...new Set(sizes)], format: "d" },
    },
    y: throughputAxis(points.map(({ tokensPerSecond }) => tokensPerSecond)),
  };
  return {
    ...frame(plan, title),
    layer: [
      {
        data: { values: points },
        mark: { type: "line", strokeWidth: 2, color: STYLES.mqa.color },
        encoding: { ...encoding, strokeDash: dtypeDashes(dtypes) },
      },
      {
        data: { values: points.filter(({ bound }) => bound !== "both") },
        mark: { type: "point", filled: true, size: 50, opacity: 1, color: STYLES.mqa.color },
        encoding,
      },
      {
        data: { values: corners },
        mark: {
          type: "point",
          shape: "diamond",
          size: 130,
          strokeWidth: 2,
          opacity: 1,
          color: STYLES.mha.color,
        },
        encoding,
      },
      {
        data: { values: corners },
        mark: {
          type: "text",
          align: "left",
          baseline: "top",
          dx: 10,
          dy: 8,
          fontSize: 12,
          color: GREY,
        },
        encoding: { ...encoding, text: { field: "label" } },
      },
    ],
  } as TopLevelSpec;
}

function frame({ model, device }: Plan, title: string) {
  return {
    title: { text: title, subtitle: `${model.name} on ${device.name}`, offset: 10, fontSize: 16 },
    background: "transparent",
    padding: 8,
    width: WIDTH,
    height: HEIGHT,
    config: CONFIG,
  };
}

function eachCache(plan: Plan): { variant: VariantPlan; cache: CachePlan }[] {
  const [{ caches }] = plan.variants;
  return caches.flatMap((_, i) =>
    plan.variants.map((variant) => ({ variant, cache: variant.caches[i] }))
  );
}

function firstBatch({ cells }: CachePlan) {
  return cells.filter(({ batch }) => batch === cells[0].batch);
}

function panelTitle(plan: Plan, { label }: VariantPlan, { dtype }: CachePlan): string {
  return plan.variants[0].caches.length === 1 ? label : `${label}, ${dtype}`;
}

const BYTES_LABEL = "datum.value >= 1099511627776 ? datum.value / 1099511627776 + ' TiB' : " +
  "datum.value >= 1073741824 ? datum.value / 1073741824 + ' GiB' : " +
  "datum.value >= 1048576 ? datum.value / 1048576 + ' MiB' : datum.value / 1024 + ' KiB'";

/** Every eighth power of two, or every second where the values are close. */
function byteTicks(values: readonly number[]): number[] {
  const first = Math.floor(Math.log2(Math.min(...values)));
  const last = Math.ceil(Math.log2(Math.max(...values)));
  const step = last - first > 8 ? 2 : 1;
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
    .filter((power) => power % step === 0)
    .map((power) => 2 ** power);
}

function logContext(contexts: number[]) {
  return {
    field: "contextLen",
    type: "quantitative" as const,
    scale: { type: "log" as const, base: 2, nice: false, padding: 12 },
    axis: {
      title: "context (tokens)",
      values: contexts,
      labelExpr: "datum.value % 1024 ? datum.value : datum.value / 1024 + 'K'",
    },
  };
}

/** Colour and point by variant, dashes by element type. */
function variantAndDtype({ variants }: Plan) {
  const domain = variants.map(({ label }) => label);
  const field = { field: "variant", type: "nominal" as const };
  const styles = variants.map(({ variant }) => STYLES[variant]);
  return {
    color: { ...field, scale: { domain, range: styles.map(({ color }) => color) } },
    shape: { ...field, scale: { domain, range: styles.map(({ shape }) => shape) } },
    strokeDash: dtypeDashes(variants[0].caches.map(({ dtype }) => dtype)),
  };
}

function dtypeDashes(dtypes: readonly string[]) {
  return {
    field: "dtype",
    type: "nominal" as const,
    scale: { domain: [...dtypes], range: dtypes.map((_, i) => DASHES[i]) },
    legend: dtypes.length === 1
      ? null
      : { symbolType: "stroke", symbolSize: 500, symbolStrokeColor: GREY },
  };
}
