/** What came of a runtime, from what it reported. Pure. */
import type { Report } from "./guest.ts";

/** What came of a runtime, in words. */
export interface Verdict {
  status: "passed" | "failed" | "skipped";
  /** One line. */
  summary: string;
  /** Of what failed, a line each. */
  failures: readonly string[];
}

/** Judges what a runtime reported: nothing is passed that was not reported right, up to the end. */
export function judge(reports: readonly Report[]): Verdict {
  const of = <Kind extends Report["kind"]>(kind: Kind) =>
    reports.filter((report): report is Extract<Report, { kind: Kind }> => report.kind === kind);
  const [unavailable] = of("unavailable");
  if (unavailable) return { status: "skipped", summary: unavailable.why, failures: [] };

  const [gpu] = of("gpu");
  const cases = of("case");
  const wrong = cases.filter(({ error, tolerance }) => error === null || error > tolerance);
  const failures = [
    ...wrong.map(({ name, error, tolerance }) =>
      `${name}: off by ${error ?? "NaN"}, more than ${tolerance}`
    ),
    ...of("failed").map(({ name, why }) => `${name}: ${why}`),
    ...(gpu && of("end").length === 1 ? [] : ["it ended before it was through"]),
    ...(cases.length > 0 ? [] : ["no case was computed"]),
  ];
  const right = cases.length - wrong.length;
  const worst = Math.max(0, ...cases.map(({ error }) => error ?? NaN));
  const subgroups = !gpu?.subgroups
    ? "no subgroups"
    : gpu.enableSubgroups
    ? "subgroups, declared"
    : "subgroups, not declared";
  const parts = [
    `${gpu?.adapter ?? "no adapter"} (${subgroups}, ${gpu?.f16 ? "f16" : "no f16"})`,
    `${right} of ${right + failures.length} right, worst error ${worst.toExponential(1)}`,
    ...skips(of("skipped")),
  ];
  const status = failures.length === 0 ? "passed" : "failed";
  return { status, summary: parts.join("; "), failures };
}

/** Cases that were skipped, by the reason. */
function skips(skipped: readonly { why: string }[]): string[] {
  const reasons = [...new Set(skipped.map(({ why }) => why))];
  return reasons.map((reason) =>
    `${skipped.filter(({ why }) => why === reason).length} skipped as ${reason}`
  );
}
