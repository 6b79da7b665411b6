/** Reading what `deno run bench --json` writes. */
import type { Report } from "../result.ts";
import { sentence } from "../../src/base/check.ts";
import { isJsonObject, parseJsonObject } from "../../src/base/json.ts";

/** The fields of a row that are its shape. */
const SIZES = ["batch", "numHeads", "numKvHeads", "headDim", "seqLen", "contextLen"];
/** The fields of a row that are its times, and the number of samples that these are figures of. */
const TIMES = ["medianMs", "minMs", "p90Ms", "samples"];
/** Most of each, and most bytes and operations then stay numbers that are exact. */
const LARGEST = 2 ** 31;

/**
 * Reads a bench's report.
 *
 * @throws {TypeError} If the text is no JSON, or lacks what the planner needs of a report; the message names it.
 */
export function parseReport(text: string, name: string): Report {
  let report: Partial<Report>;
  try {
    report = parseJsonObject(text, name);
  } catch (cause) {
    throw new TypeError((cause as Error).message, { cause });
  }
  const require = (condition: boolean, what: string) => {
    if (condition) return;
    throw new TypeError(
      `Cannot read ${name} as ${what} is missing (write the file with: deno run bench --json FILE)`,
    );
  };
  require(report.schema === 1, '"schema": 1');
  require(typeof report.adapter?.description === "string", '"adapter.description"');
  require(Array.isArray(report.adapter?.features), '"adapter.features"');
  for (const rate of ["copyGBps", "readGBps", "fmaGFlops"] as const) {
    require(Number(report.roofline?.[rate]) > 0, `"roofline.${rate}"`);
  }
  require(Array.isArray(report.results), '"results"');
  report.results!.forEach((row, i) => checkRow(name, `results.${i}`, row));
  return report as Report;
}

/** Throws where a row that was measured has no shape or no time: what is computed of it would be nonsense, or never end. */
function checkRow(file: string, place: string, row: unknown): void {
  const fail = (rule: string, values: Record<string, unknown>) =>
    new TypeError(sentence(`read ${file}`, rule, values));
  if (!isJsonObject(row)) throw fail(`"${place}" must be an object`, { [place]: row });
  if (row.failure !== undefined) return;
  for (const size of SIZES) {
    const value = row[size];
    if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= LARGEST) continue;
    throw fail(`"${size}" of "${place}" must be a whole number from 1 to ${LARGEST}`, {
      [size]: value,
    });
  }
  for (const time of TIMES) {
    const value = row[time];
    if (typeof value === "number" && value > 0 && value < Infinity) continue;
    throw fail(`"${time}" of "${place}" must be above 0`, { [time]: value });
  }
}
