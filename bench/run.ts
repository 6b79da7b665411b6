/** From a group of cases to its rows: prepare, verify, time in turns. */
import { DeviceLostError, type Gpu } from "../mod.ts";
import type { Case, CaseGroup } from "./cases.ts";
import { cacheBytes, movedBytes, operations } from "./counts.ts";
import type { Result, Roofline } from "./result.ts";
import { median, quantile } from "./statistics.ts";
import { type Effort, timeInTurns } from "./stopwatch.ts";
import { Subject } from "./subject.ts";
import { maxAbsError, TOLERANCE } from "./verify.ts";

/** Measures the cases of a group against each other. */
export async function runGroup(
  gpu: Gpu,
  group: CaseGroup,
  { effort, roofline }: { effort: Effort; roofline: Roofline },
): Promise<Result[]> {
  const results = group.map(emptyResult);
  const correct: { subject: Subject; result: Result }[] = [];
  try {
    for (const [i, case_] of group.entries()) {
      const subject = await prepare(gpu, case_, results[i]);
      if (subject) correct.push({ subject, result: results[i] });
    }
    if (correct.length > 0) {
      const calls = correct.map(({ subject }) => subject.encode.bind(subject));
      const times = await timeInTurns(gpu, calls, effort);
      const mha = times[correct.findIndex(({ result }) => result.variant === "mha")];
      correct.forEach(({ result }, i) => fillIn(result, times[i], mha, roofline));
    }
    return results;
  } finally {
    for (const { subject } of correct) subject.destroy();
  }
}

/** A subject whose output is right, or nothing and the failure in the result. */
async function prepare(gpu: Gpu, case_: Case, result: Result): Promise<Subject | undefined> {
  let subject: Subject | undefined;
  try {
    subject = await Subject.create(gpu, case_);
    const error = await maxAbsError(gpu, subject);
    const tolerance = TOLERANCE[case_.dtype];
    result.maxAbsError = Number.isFinite(error) ? error : null;
    if (error <= tolerance) return subject;
    result.failure = `wrong: error ${error.toExponential(1)} is above ${tolerance}`;
  } catch (error) {
    if (error instanceof DeviceLostError) throw error;
    result.failure = (error as Error).message;
  }
  subject?.destroy();
}

function emptyResult(case_: Case): Result {
  const { name, ...shape } = case_;
  return {
    case: name,
    ...shape,
    impl: "staged",
    medianMs: 0,
    minMs: 0,
    p90Ms: 0,
    samples: 0,
    tokensPerSecond: 0,
    kvBytes: cacheBytes(case_),
    gbPerSecond: 0,
    gflops: 0,
    bandwidthShare: 0,
    maxAbsError: null,
    speedupOverMha: null,
  };
}

function fillIn(
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
  // Pair by pair: what slows the machine for a while slows both of a pair.
  if (mhaTimes) result.speedupOverMha = median(times.map((time, i) => mhaTimes[i] / time));
}
