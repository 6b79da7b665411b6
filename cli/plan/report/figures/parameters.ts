import type { TopLevelSpec } from "vega-lite";
import type { Plan } from "../../plan.ts";
import { frame } from "./frame.ts";

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
