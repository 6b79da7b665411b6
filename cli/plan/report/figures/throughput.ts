import type { TopLevelSpec } from "vega-lite";
import { dashesBy } from "../../../shared/report/marks.ts";
import { GREY, STYLES } from "../../../shared/report/style.ts";
import { throughputAxis } from "../../../shared/report/throughput_axis.ts";
import type { Plan } from "../../plan.ts";
import { shortCount } from "../units.ts";
import { frame } from "./frame.ts";

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
        encoding: { ...encoding, strokeDash: dashesBy("dtype", dtypes) },
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
