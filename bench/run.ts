/** From a group of cases to its rows: prepare, verify, time in turns. */
import { DeviceLostError, type Gpu } from "../mod.ts";
import type { Case, CaseGroup } from "./cases.ts";
import type { FirstUses } from "./first_use.ts";
import { CaseInputs } from "./inputs.ts";
import type { Result, Roofline } from "./result.ts";
import { emptyResult, fillInAll, judge } from "./rows.ts";
import { type Effort, timeInTurns } from "./stopwatch.ts";
import { Subject } from "./subject.ts";
import { maxAbsError, TOLERANCE } from "./verify.ts";

/** The needs of measuring beside the cases. */
export interface Measuring {
  /** The length of each measurement. */
  effort: Effort;
  /** The ceilings of the adapter. */
  roofline: Roofline;
  /** Takes in what kernels cost once. */
  firstUses: FirstUses;
}

/** Measures the cases of a group against each other. */
export async function runGroup(
  gpu: Gpu,
  group: CaseGroup,
  { effort, roofline, firstUses }: Measuring,
): Promise<Result[]> {
  const results = group.map(emptyResult);
  // By KV heads and storage, all that cases of a group differ in but their implementation.
  const inputs = new Map<string, CaseInputs>();
  const correct: { subject: Subject; result: Result }[] = [];
  try {
    for (const [i, case_] of group.entries()) {
      const subject = await prepare(gpu, case_, results[i], { inputs, firstUses });
      if (subject) correct.push({ subject, result: results[i] });
    }
    if (correct.length > 0) {
      const calls = correct.map(({ subject }) => subject.encode.bind(subject));
      const times = await timeInTurns(gpu, calls, effort);
      fillInAll(correct.map(({ result }) => result), times, roofline);
    }
    return results;
  } finally {
    for (const { subject } of correct) subject.destroy();
    for (const shared of inputs.values()) shared.destroy();
  }
}

/** A subject whose output is right, or nothing and the failure in the result. */
async function prepare(
  gpu: Gpu,
  case_: Case,
  result: Result,
  { inputs, firstUses }: { inputs: Map<string, CaseInputs>; firstUses: FirstUses },
): Promise<Subject | undefined> {
  let subject: Subject | undefined;
  try {
    const key = `${case_.numKvHeads} in ${case_.kvDtype ?? case_.dtype}`;
    const shared = inputs.get(key) ?? await CaseInputs.create(gpu, case_);
    inputs.set(key, shared);
    subject = await Subject.create(case_, shared);
    await firstUses.measure(gpu, case_, subject.dispatches);
    const error = await maxAbsError(gpu, subject);
    if (judge(result, error, TOLERANCE[case_.dtype])) return subject;
  } catch (error) {
    if (error instanceof DeviceLostError) throw error;
    result.failure = (error as Error).message;
  }
  subject?.destroy();
}
