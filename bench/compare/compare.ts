/** Two reports of the bench against each other: what became faster or slower beyond noise. */
import type { Report, Result } from "../result.ts";

/** The fields by which the rows of two reports are the same measurement. */
const IDENTITY = [
  ...["case", "phase", "variant", "impl", "dtype", "kvDtype", "batch", "numHeads", "numKvHeads"],
  ...["headDim", "valueDim", "valuesAre", "seqLen", "contextLen"],
];
/** Samples below which the ends of a spread are chance. */
const FEWEST_SAMPLES = 5;

/** What can be said of a row that both reports have. */
export type Verdict =
  /** Nine tenths of the times lie beyond all of those before, whether or not the adapter's own change is taken out. */
  | "faster"
  | "slower"
  /** The times overlap. */
  | "same"
  /** One of the rows has fewer than five samples. */
  | "unknown"
  /** It failed in one report alone. */
  | "fails now"
  | "works now"
  | "fails";

/** A row of two reports. */
export interface ComparedRow {
  before: Result;
  after: Result;
  /** Median time after over before; absent where one of them failed. */
  ratio?: number;
  /** The change of the adapter's own rate at what bounds the row, in time: what the ratio would be of the same code. */
  adapterRatio?: number;
  verdict: Verdict;
}

/** Two reports side by side. */
export interface Comparison {
  rows: ComparedRow[];
  /** Rows that only one of the reports has. */
  onlyBefore: Result[];
  onlyAfter: Result[];
}

/** Pairs the rows of two reports, and judges each pair. */
export function compareReports(before: Report, after: Report): Comparison {
  const unpaired = new Map(after.results.map((row) => [identityOf(row), row]));
  const rows: ComparedRow[] = [];
  const onlyBefore: Result[] = [];
  for (const row of before.results) {
    const identity = identityOf(row);
    const other = unpaired.get(identity);
    if (other === undefined) onlyBefore.push(row);
    else rows.push(compareRows({ row, report: before }, { row: other, report: after }));
    unpaired.delete(identity);
  }
  return { rows, onlyBefore, onlyAfter: [...unpaired.values()] };
}

function identityOf(row: Result): string {
  const fields: Readonly<Record<string, unknown>> = { ...row };
  return JSON.stringify(IDENTITY.map((name) => fields[name] ?? null));
}

interface RowOfReport {
  row: Result;
  report: Report;
}

function compareRows(before: RowOfReport, after: RowOfReport): ComparedRow {
  const pair = { before: before.row, after: after.row };
  const [failed, fails] = [before, after].map(({ row }) => row.failure !== undefined);
  if (failed || fails) {
    return { ...pair, verdict: failed && fails ? "fails" : fails ? "fails now" : "works now" };
  }
  const rateOf = ({ report: { roofline } }: RowOfReport) =>
    pair.before.boundBy === "bytes" ? roofline.copyGBps : roofline.fmaGFlops;
  const adapterRatio = rateOf(before) / rateOf(after);
  const ratio = pair.after.medianMs / pair.before.medianMs;
  return { ...pair, ratio, adapterRatio, verdict: verdictOf(pair, adapterRatio) };
}

function verdictOf(
  { before, after }: Pick<ComparedRow, "before" | "after">,
  adapterRatio: number,
): Verdict {
  if (Math.min(before.samples, after.samples) < FEWEST_SAMPLES) return "unknown";
  const expected = [1, adapterRatio];
  if (expected.every((by) => after.p90Ms < before.minMs * by)) return "faster";
  if (expected.every((by) => after.minMs > before.p90Ms * by)) return "slower";
  return "same";
}
