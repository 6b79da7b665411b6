import type { Report } from "../result.ts";
import { chartSpec } from "./chart_spec.ts";
import { renderSvg } from "../../cli/shared/report/svg.ts";

/**
 * Draws throughput against context length, as an SVG that stands on light and dark pages.
 *
 * @param report What was measured.
 * @returns The SVG document: a panel for each case, decode above prefill, about 900 pixels wide.
 * @throws {RangeError} If no row of the report succeeded.
 */
export async function renderChart(report: Report): Promise<string> {
  return await renderSvg(chartSpec(report));
}
