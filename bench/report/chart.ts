import type { Report } from "../result.ts";
import { chartSpec } from "./_chart_spec.ts";

/**
 * Draws throughput against context length, as an SVG that stands on light and dark pages.
 *
 * Vega does the drawing; it is loaded by the first call, so that nothing else needs it.
 *
 * @param report What was measured.
 * @returns The SVG document: a panel for each case, decode above prefill, about 900 pixels wide.
 * @throws {RangeError} If no row of the report succeeded.
 */
export async function renderChart(report: Report): Promise<string> {
  const spec = chartSpec(report);
  const [vega, vegaLite] = await Promise.all([import("vega"), import("vega-lite")]);
  const view = new vega.View(vega.parse(vegaLite.compile(spec).spec), { renderer: "none" });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
