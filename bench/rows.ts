/** The rows of a report: what was measured, with the figures that follow from it. */
import type { Case } from "./cases.ts";
import { cacheBytes, movedBytes, operations } from "./counts.ts";
import type { Bound, Result, Roofline, Shape } from "./result.ts";
import { speedup, summaryOf } from "./statistics.ts";

/** A row that says what is to be measured. */
export function emptyResult(case_: Case): Result {
  const { name, ...shape } = case_;
  return {
    case: name,
    ...shape,
    medianMs: 0,
    minMs: 0,
    p90Ms: 0,
    samples: 0,
    tokensPerSecond: 0,
    kvBytes: cacheBytes(case_),
    gbPerSecond: 0,
    gflops: 0,
    bandwidthShare: 0,
    boundBy: "bytes",
    rooflineShare: 0,
    maxAbsError: null,
    speedupOverMha: null,
  };
}

/** Notes the largest error of a row's output, which may be NaN, and whether it is small enough. */
export function judge(result: Result, error: number, tolerance: number): boolean {
  result.maxAbsError = Number.isFinite(error) ? error : null;
  if (error <= tolerance) return true;
  result.failure = `wrong: error ${error.toExponential(1)} is above ${tolerance}`;
  return false;
}

/**
 * Fills in what was measured in turns: times per call [row][round]. Each row is held against MHA of its implementation and
 * storage, where that is among them.
 */
export function fillInAll(
  results: readonly Result[],
  times: readonly (readonly number[])[],
  roofline: Roofline,
): void {
  results.forEach((result, i) => {
    const mha = results.findIndex(({ variant, impl, kvDtype }) =>
      variant === "mha" && impl === result.impl && kvDtype === result.kvDtype
    );
    fillIn(result, times[i], times[mha], roofline);
  });
}

function fillIn(
  result: Result,
  times: readonly number[],
  mhaTimes: readonly number[] | undefined,
  roofline: Roofline,
): void {
  Object.assign(result, summaryOf(times));
  result.tokensPerSecond = result.batch * result.seqLen / result.medianMs * 1e3;
  result.gbPerSecond = movedBytes(result) / result.medianMs / 1e6;
  result.gflops = operations(result) / result.medianMs / 1e6;
  result.bandwidthShare = result.gbPerSecond / roofline.copyGBps;
  const { ms, boundBy } = floorOf(result, roofline);
  result.boundBy = boundBy;
  result.rooflineShare = ms / result.medianMs;
  if (mhaTimes) result.speedupOverMha = speedup(times, mhaTimes);
}

/** The least time that a shape takes on a roofline, and what it is spent on. */
export function floorOf(shape: Shape, roofline: Roofline): { ms: number; boundBy: Bound } {
  const bytesMs = movedBytes(shape) / Math.max(roofline.copyGBps, roofline.readGBps) / 1e6;
  const operationsMs = operations(shape) / roofline.fmaGFlops / 1e6;
  return bytesMs > operationsMs
    ? { ms: bytesMs, boundBy: "bytes" }
    : { ms: operationsMs, boundBy: "operations" };
}
