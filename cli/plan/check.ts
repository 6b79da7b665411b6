/** Prediction against measurement: each row of a bench's report beside what the roofline says of its shape. */
import { median, movedBytes, operations, type Report, type Result } from "../../bench/mod.ts";
import { alignDecimals } from "../shared/report/units.ts";
import { type Column, formatColumns } from "../shared/report/columns.ts";
import { type DeviceProfile, type Implementation, planAttention, rooflineTime } from "../../mod.ts";
import { ratesFor } from "./measured_rates.ts";

/** Of a usual device: reports do not hold limits, and tiles seldom depend on them. */
const LIMITS = {
  maxStorageBufferBindingSize: 2 ** 32,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupStorageSize: 32768,
  maxComputeWorkgroupsPerDimension: 65535,
};

/** As usual as those limits; tiles ask only whether there are subgroups of some size. */
const SUBGROUP_SIZE = 8;

/** A measured row and its prediction. */
export interface CheckedRow {
  result: Result;
  predictedMs: number;
  /** Predicted over measured time: above 1, the row was faster than predicted. */
  ratio: number;
  /** The ceiling that bounds the prediction. */
  bound: "memory" | "compute";
}

/** Predicts every row that was measured. */
export function checkReport(report: Report): CheckedRow[] {
  const { adapter: { isSoftware, features }, results } = report;
  const subgroupSize = features.includes("subgroups") ? SUBGROUP_SIZE : 0;
  const profile = { isSoftware, subgroupSize, longLoads: false };
  return results.filter(({ failure }) => failure === undefined).map((result) => {
    const flops = operations(result) * computedShare(result, profile);
    const work = { bytes: movedBytes(result), flops };
    const { seconds, bound } = rooflineTime(work, ratesFor(report, result));
    const predictedMs = seconds * 1e3;
    return { result, predictedMs, ratio: predictedMs / result.medianMs, bound };
  });
}

/**
 * Query rows that the kernels compute over those that are asked for, as the plan that runs has them: staged kernels, whose
 * tiles hold 4, compute a group of 6 heads as 8.
 */
function computedShare(result: Result, profile: DeviceProfile): number {
  const impl = result.impl as Implementation;
  const plan = planAttention({ ...result, impl, capacity: result.contextLen }, LIMITS, profile);
  const tileRows = plan.impl === "fused" ? plan.rows * plan.rowGroups : plan.rowTile;
  const rows = plan.groupSize * result.seqLen;
  return Math.ceil(rows / tileRows) * tileRows / rows;
}

/** Writes the rows as a table, and how far predictions are off. */
export function formatCheck(report: Report): string {
  const rows = checkReport(report);
  const failed = report.results.length - rows.length;
  const lines = [`Adapter   ${report.adapter.description}`];
  if (!report.roofline.decode?.length) {
    lines.push(
      "Note      this report has no measured ceilings of decoding: predictions are for plain reads and arithmetic",
    );
  }
  if (failed > 0) {
    lines.push(`Note      ${failed} of ${report.results.length} results failed and are left out`);
  }
  if (rows.length === 0) return [...lines, "", "No row to check."].join("\n") + "\n";

  const text = (heading: string, cellOf: (row: CheckedRow) => string): Column => ({
    heading,
    align: "left",
    cells: rows.map(cellOf),
  });
  const figures = (heading: string, cells: string[]): Column => ({
    heading,
    align: "right",
    cells,
  });
  const count = (heading: string, countOf: (result: Result) => number) =>
    figures(heading, rows.map(({ result }) => `${countOf(result)}`));
  lines.push(
    "",
    ...formatColumns([
      text("case", ({ result }) => result.case),
      text("phase", ({ result }) => result.phase),
      text("variant", ({ result }) => result.variant),
      count("KV heads", ({ numKvHeads }) => numKvHeads),
      text("impl", ({ result }) => result.impl),
      text("dtype", ({ result }) => result.dtype),
      count("batch", ({ batch }) => batch),
      count("context", ({ contextLen }) => contextLen),
      figures("predicted ms", alignDecimals(rows.map(({ predictedMs }) => predictedMs))),
      figures("measured ms", alignDecimals(rows.map(({ result }) => result.medianMs))),
      figures("predicted / measured", rows.map(({ ratio }) => ratio.toFixed(2))),
      text("bound by", ({ bound }) => bound),
    ]),
    "",
  );
  for (const phase of ["decode", "prefill"] as const) {
    const factors = rows.filter(({ result }) => result.phase === phase)
      .map(({ ratio }) => Math.max(ratio, 1 / ratio));
    if (factors.length === 0) continue;
    lines.push(
      `${phase}: off by a factor of ${median(factors).toFixed(2)} in the median and ${
        Math.max(...factors).toFixed(2)
      } at most`,
    );
  }
  return lines.join("\n") + "\n";
}
