import type { TopLevelSpec } from "vega-lite";
import { contextAxis } from "../../../shared/report/context_axis.ts";
import { dashesBy, variantMarks } from "../../../shared/report/marks.ts";
import { GREY } from "../../../shared/report/style.ts";
import { shortBytes } from "../../../shared/report/units.ts";
import type { CachePlan, Plan } from "../../plan.ts";
import { eachCache } from "../each_cache.ts";
import { frame } from "./frame.ts";

const BYTES_LABEL = "datum.value >= 1099511627776 ? datum.value / 1099511627776 + ' TiB' : " +
  "datum.value >= 1073741824 ? datum.value / 1073741824 + ' GiB' : " +
  "datum.value >= 1048576 ? datum.value / 1048576 + ' MiB' : datum.value / 1024 + ' KiB'";

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
  const x = contextAxis(contexts);
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
  const { color, shape } = variantMarks(plan.variants);
  const strokeDash = dashesBy("dtype", plan.variants[0].caches.map(({ dtype }) => dtype));
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

function firstBatch({ cells }: CachePlan) {
  return cells.filter(({ batch }) => batch === cells[0].batch);
}

/** Every eighth power of two, or every second where the values are close. */
function byteTicks(values: readonly number[]): number[] {
  const first = Math.floor(Math.log2(Math.min(...values)));
  const last = Math.ceil(Math.log2(Math.max(...values)));
  const step = last - first > 8 ? 2 : 1;
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
    .filter((power) => power % step === 0)
    .map((power) => 2 ** power);
}
