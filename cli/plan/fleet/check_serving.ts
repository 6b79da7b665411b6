/** A serving run beside its simulation: the same requests, with the step times that were measured in it. */
import { drawRequests, type ServingReport } from "../../../bench/mod.ts";
import { type Column, formatColumns } from "../../shared/report/columns.ts";
import { alignDecimals } from "../../shared/report/units.ts";
import { MeasuredTimes } from "./measured_times.ts";
import { greatestOf, quantilesOf } from "./quantiles.ts";
import { STEPS_PER_READ } from "./replica.ts";
import { simulate } from "./simulate.ts";

/** A figure that was measured, and as it was simulated. */
export interface Checked {
  measured: number;
  simulated: number;
}

/** One version of the model. */
export interface CheckedServing {
  variant: string;
  numKvHeads: number;
  requestsPerSecond: Checked;
  /** The median of the time to the first token. */
  firstTokenMs: Checked;
  setBacks: Checked;
}

/** Simulates every version of the model. */
export function checkServing(
  { requests: distribution, rows, architecture, stepTokens, pageSize }: ServingReport,
): CheckedServing[] {
  const requests = drawRequests(distribution, architecture.vocabSize)
    .map(({ arrivalMs, prompt, newTokens }) => ({
      ...{ at: arrivalMs / 1e3, prompt: prompt.length, answer: newTokens, mostAnswer: newTokens },
    }));
  return rows.map((row): CheckedServing => {
    const { maxSequences, pages, stepTimes, seconds, requestsPerSecond, setBacks } = row;
    const { overheadMs = 0 } = row;
    const { requests: finished, replicas: [{ counts }] } = simulate(requests, {
      ...{ replicas: 1, maxQueue: 1, maxRunning: maxSequences, maxStepTokens: stepTokens },
      stepsPerRead: STEPS_PER_READ,
      ...{ pages: { total: pages, pageSize }, times: new MeasuredTimes(stepTimes) },
      overheadSeconds: overheadMs / 1e3,
    });
    const end = greatestOf(finished.map(({ endAt }) => endAt));
    const first = quantilesOf(finished.map(({ request: { at }, firstAt }) => firstAt - at));
    return {
      ...{ variant: row.variant.toUpperCase(), numKvHeads: row.numKvHeads },
      requestsPerSecond: {
        measured: requestsPerSecond,
        simulated: requestsPerSecond * seconds / end,
      },
      firstTokenMs: { measured: row.firstTokenMs.p50, simulated: 1e3 * first.p50 },
      setBacks: { measured: setBacks, simulated: counts.setBacks },
    };
  });
}

/** Writes them as a table, simulated over measured. */
export function formatServingCheck(report: ServingReport): string {
  const rows = checkServing(report);
  const column = (heading: string, cells: string[]): Column => ({
    heading,
    align: "right",
    cells,
  });
  const checked = (heading: string, of: (row: CheckedServing) => Checked): Column[] => [
    column(`${heading} measured`, alignDecimals(rows.map((row) => of(row).measured))),
    column("simulated", alignDecimals(rows.map((row) => of(row).simulated))),
    column(
      "ratio",
      rows.map(of).map(({ measured, simulated }) => (simulated / measured).toFixed(2)),
    ),
  ];
  return [
    `Adapter   ${report.adapter.description}`,
    "",
    ...formatColumns([
      { heading: "variant", align: "left", cells: rows.map(({ variant }) => variant) },
      column("KV heads", rows.map(({ numKvHeads }) => `${numKvHeads}`)),
      ...checked("requests/s", ({ requestsPerSecond }) => requestsPerSecond),
      ...checked("first token p50 ms", ({ firstTokenMs }) => firstTokenMs),
      ...checked("set-backs", ({ setBacks }) => setBacks).slice(0, 2),
    ]),
    "",
  ].join("\n");
}
