/** Reading what `deno run bench --json` writes. */
import type { Report } from "../../bench/mod.ts";

/**
 * Reads a bench's report.
 *
 * @throws {TypeError} If the text is no JSON, or lacks what the planner needs of a report; the message names it.
 */
export function parseReport(text: string, name: string): Report {
  let report: Partial<Report> | null;
  try {
    report = JSON.parse(text);
  } catch (error) {
    throw new TypeError(`Cannot read ${name} as it is no JSON: ${(error as Error).message}`);
  }
  const require = (condition: boolean, what: string) => {
    if (condition) return;
    throw new TypeError(
      `Cannot read ${name} as ${what} is missing (write the file with: deno run bench --json FILE)`,
    );
  };
  require(report?.schema === 1, '"schema": 1');
  require(typeof report?.adapter?.description === "string", '"adapter.description"');
  for (const rate of ["copyGBps", "readGBps", "fmaGFlops"] as const) {
    require(Number(report?.roofline?.[rate]) > 0, `"roofline.${rate}"`);
  }
  require(Array.isArray(report?.results), '"results"');
  return report as Report;
}
