/** Gradients of ours and of others: prepared, verified, and timed in turns by the wall clock. */
import type { Gpu } from "../../mod.ts";
import { failureOf, messageOf } from "../peers/attempt.ts";
import type { Peer } from "../peers/peer.ts";
import type { Times } from "../result.ts";
import { speedup, summaryOf } from "../statistics.ts";
import { type Effort, timeWorkInTurns, type Work } from "../stopwatch.ts";
import { prepareOnehead } from "./onehead.ts";
import { type GradientCase, type PreparedGradient, randomInputs } from "./system.ts";
import { errorOf, expectedGradients, TOLERANCE } from "./verify.ts";

/** One measured row. */
export interface GradientResult extends GradientCase, Times {
  /** "onehead", or another system with its version. */
  system: string;
  what: "forward" | "backward" | "forward + backward";
  /** Its time over that of ours in the same rounds: of our forward for a part, of both for the whole of others. */
  timesOurs: number | null;
  /** Largest error over the largest magnitude of a gradient; null where there is none. */
  maxRelativeError: number | null;
  /** Bytes of all tensors and of scratch; null of others. */
  bytes: number | null;
  /** The reason why the row is wrong; such a row has no trustworthy times. */
  failure?: string;
}

/** What is timed, and its row. */
interface Contender {
  row: GradientResult;
  work: Work;
}

/** Measures ours, forward and backward also apart, and the others, over the same inputs and in the same rounds. */
export async function measureGradient(
  gpu: Gpu,
  gradientCase: GradientCase,
  others: readonly Pick<Peer, "name" | "prepareGradient">[],
  effort: Effort,
): Promise<GradientResult[]> {
  const inputs = randomInputs(gradientCase);
  const expected = expectedGradients(gradientCase, inputs);
  const prepared: PreparedGradient[] = [];
  const rows: GradientResult[] = [];
  const contenders: Contender[] = [];
  const add = (
    made: Pick<GradientResult, "system" | "what"> & Partial<GradientResult>,
    work?: Work,
  ) => {
    const none = { medianMs: NaN, minMs: NaN, p90Ms: NaN, samples: 0 };
    const row = {
      ...{ ...gradientCase, ...none, timesOurs: null, maxRelativeError: null, bytes: null },
      ...made,
    };
    rows.push(row);
    if (work && row.failure === undefined) contenders.push({ row, work });
  };
  const verified = async (made: PreparedGradient) => {
    prepared.push(made);
    await made.run(1);
    return verdictOn(errorOf(inputs, await made.gradients(), expected));
  };
  try {
    const ours = await prepareOnehead(gpu, gradientCase, inputs);
    const { bytes } = ours;
    const verdict = await verified(ours);
    add({ system: "onehead", what: "forward" }, ours.parts.forward);
    add({ system: "onehead", what: "backward", ...verdict }, ours.parts.backward);
    add({ system: "onehead", what: "forward + backward", ...verdict, bytes }, ours.run);
    for (const system of others) {
      const what = "forward + backward";
      const { name } = system;
      try {
        const made = await system.prepareGradient(gradientCase, inputs);
        add({ system: name, what, ...await verified(made) }, made.run);
      } catch (error) {
        add({ system: name, what, failure: messageOf(error) });
      }
    }
    const times = await timeWorkInTurns(contenders.map(({ work }) => work), effort);
    fillInTimes(contenders.map(({ row }) => row), times);
    return rows;
  } finally {
    for (const made of prepared) await made.destroy();
  }
}

/** An error, and what is wrong with it. */
function verdictOn(error: number): Pick<GradientResult, "maxRelativeError" | "failure"> {
  const maxRelativeError = Number.isFinite(error) ? error : null;
  return error <= TOLERANCE
    ? { maxRelativeError }
    : { maxRelativeError, failure: failureOf({ verdict: "wrong", error }) };
}

/** Fills in what was measured in turns: times per call [row][round]. */
export function fillInTimes(
  rows: readonly GradientResult[],
  times: readonly (readonly number[])[],
): void {
  const timesOf = (what: GradientResult["what"]) =>
    times[rows.findIndex((row) => row.system === "onehead" && row.what === what)];
  rows.forEach((row, i) => {
    Object.assign(row, summaryOf(times[i]));
    const base = timesOf(row.what === "backward" ? "forward" : row.what);
    if (base) row.timesOurs = speedup(base, times[i]);
  });
}
