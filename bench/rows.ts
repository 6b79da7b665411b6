/** The rows of a report: what was measured, with the figures that follow from it. */
import type { Case } from "./cases.ts";
import { cacheBytes, movedBytes, operations } from "./counts.ts";
import type { Bound, Result, Roofline, Shape } from "./result.ts";
import { median, quantile } from "./statistics.ts";

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

/** Fills in what was measured: times per call, and those of MHA in the same rounds where it was run. */
export function fillIn(
  result: Result,
  times: readonly number[],
  mhaTimes: readonly number[] | undefined,
  roofline: Roofline,
): void {
  result.medianMs = median(times);
  result.minMs = Math.min(...times);
  result.p90Ms = quantile(times, 0.9);
  result.samples = times.length;
  result.tokensPerSecond = result.batch * result.seqLen / result.medianMs * 1e3;
  result.gbPerSecond = movedBytes(result) / result.medianMs / 1e6;
  result.gflops = operations(result) / result.medianMs / 1e6;
  result.bandwidthShare = result.gbPerSecond / roofline.copyGBps;
  const { ms, boundBy } = floorOf(result, roofline);
  result.boundBy = boundBy;
  result.rooflineShare = ms / result.medianMs;
  // Pair by pair: what slows the machine for a while slows both of a pair.
  if (mhaTimes) result.speedupOverMha = median(times.map((time, i) => mhaTimes[i] / time));
}

/** The least time that a shape takes on a roofline, and what it is spent on. */
export function floorOf(shape: Shape, roofline: Roofline): { ms: number; boundBy: Bound } {
  const bytesMs = movedBytes(shape) / Math.max(roofline.copyGBps, roofline.readGBps) / 1e6;
  const operationsMs = operations(shape) / roofline.fmaGFlops / 1e6;
  return bytesMs > operationsMs
    ? { ms: bytesMs, boundBy: "bytes" }
    : { ms: operationsMs, boundBy: "operations" };
}
