/** From a group of cases to its rows: prepare, verify, time in turns. */
import { DeviceLostError, type Gpu } from "../mod.ts";
import type { Case, CaseGroup } from "./cases.ts";
import type { FirstUses } from "./first_use.ts";
import type { Result, Roofline } from "./result.ts";
import { emptyResult, fillIn, judge } from "./rows.ts";
import { type Effort, timeInTurns } from "./stopwatch.ts";
import { Subject } from "./subject.ts";
import { maxAbsError, TOLERANCE } from "./verify.ts";

/** What measuring needs beside the cases. */
export interface Measuring {
  /** How long to measure. */
  effort: Effort;
  /** What the adapter can do at all. */
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
  const correct: { subject: Subject; result: Result }[] = [];
  try {
    for (const [i, case_] of group.entries()) {
      const subject = await prepare(gpu, case_, results[i], firstUses);
      if (subject) correct.push({ subject, result: results[i] });
    }
    if (correct.length > 0) {
      const calls = correct.map(({ subject }) => subject.encode.bind(subject));
      const times = await timeInTurns(gpu, calls, effort);
      correct.forEach(({ result }, i) => {
        const mha = correct.findIndex((other) =>
          other.result.variant === "mha" && other.result.impl === result.impl
        );
        fillIn(result, times[i], times[mha], roofline);
      });
    }
    return results;
  } finally {
    for (const { subject } of correct) subject.destroy();
  }
}

/** A subject whose output is right, or nothing and the failure in the result. */
async function prepare(
  gpu: Gpu,
  case_: Case,
  result: Result,
  firstUses: FirstUses,
): Promise<Subject | undefined> {
  let subject: Subject | undefined;
  try {
    subject = await Subject.create(gpu, case_);
    await firstUses.measure(gpu, case_, subject.dispatches);
    const error = await maxAbsError(gpu, subject);
    if (judge(result, error, TOLERANCE[case_.dtype])) return subject;
  } catch (error) {
    if (error instanceof DeviceLostError) throw error;
    result.failure = (error as Error).message;
  }
  subject?.destroy();
}
