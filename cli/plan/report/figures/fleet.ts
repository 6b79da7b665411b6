import type { TopLevelSpec } from "vega-lite";
import { logTicks } from "../../../shared/report/log_ticks.ts";
import { dashesBy, variantMarks } from "../../../shared/report/marks.ts";
import type { FleetPlan } from "../../fleet/fleet.ts";
import type { Plan } from "../../plan.ts";
import { frame } from "./frame.ts";

/** GPUs against requests per second, a line for each variant and element type that is in time. */
export function fleetFigure(plan: Plan, { variants }: FleetPlan): TopLevelSpec {
  const values = variants.flatMap(({ label, dtype, needs }) =>
    needs.flatMap(({ rate, gpus }) => gpus === null ? [] : [{ variant: label, dtype, rate, gpus }])
  );
  const encoding = {
    x: { ...logAxis("rate", "requests/s", values.map(({ rate }) => rate)) },
    y: { ...logAxis("gpus", "GPUs", values.map(({ gpus }) => gpus)) },
  };
  const { color, shape } = variantMarks(plan.variants);
  const strokeDash = dashesBy("dtype", [...new Set(variants.map(({ dtype }) => dtype))]);
  return {
    ...frame(plan, "GPUs for requests"),
    data: { values },
    layer: [
      { mark: { type: "line", strokeWidth: 2 }, encoding: { ...encoding, color, strokeDash } },
      {
        mark: { type: "point", filled: true, size: 50, opacity: 1 },
        encoding: { ...encoding, color, shape },
      },
    ],
  };
}

function logAxis(field: string, title: string, values: readonly number[]) {
  const ticks = values.length === 0 ? [1, 10] : logTicks(values);
  return {
    field,
    type: "quantitative" as const,
    scale: { type: "log" as const, domain: [ticks[0], ticks.at(-1)!], nice: false },
    axis: { title, values: ticks, format: "~s" },
  };
}
