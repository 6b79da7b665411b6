import { formatPage } from "../../cli/shared/report/page.ts";
import type { Report } from "../result.ts";
import { sectionsOf } from "./sections.ts";
import { deviceLines } from "./table.ts";

/**
 * Writes a report as a page.
 *
 * @throws {RangeError} If no row of the report succeeded.
 */
export function formatHtml(report: Report): Promise<string> {
  return formatPage({
    title: `Attention on ${report.adapter.description}`,
    head: deviceLines(report),
    sections: sectionsOf(report),
    notes: [],
  });
}
