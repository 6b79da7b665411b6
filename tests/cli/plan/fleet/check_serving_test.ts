// A serving run beside its simulation, and the step times that it is simulated with.
import { assertAlmostEquals, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { isServing, parseServing, type ServingReport } from "../../../../bench/mod.ts";
import { checkServing, formatServingCheck } from "../../../../cli/plan/fleet/check_serving.ts";
import { fitPositive, MeasuredTimes } from "../../../../cli/plan/fleet/measured_times.ts";
import { quantilesOf } from "../../../../cli/plan/fleet/quantiles.ts";
import { drawRequests } from "../../../../cli/plan/fleet/requests.ts";
import { simulate } from "../../../../cli/plan/fleet/simulate.ts";
import type { StepTimes, TimedWork } from "../../../../cli/plan/fleet/step_times.ts";
import { runCommand } from "../../../../cli/plan/command.ts";
import { testRandomly } from "../../../support/random.ts";

type Row = ServingReport["rows"][number];
type StepTime = Row["stepTimes"][number];

/** Two requests of 3 and 2 tokens at once, one after the other, in steps of 10 ms. */
function reportOf(changes: Partial<Row> = {}): ServingReport {
  const alike = (mean: number) => ({ mean, spread: 0 });
  const row: Row = {
    ...{ variant: "mqa", numKvHeads: 1, bytesPerToken: 8, maxSequences: 1, pages: 9 },
    ...{ predictedSequences: 1, sequences: null, setBacks: 0 },
    ...{ seconds: 0.05, requestsPerSecond: 40, tokensPerSecond: 80 },
    ...{ firstTokenMs: { p50: 25, p99: 50 }, betweenTokensMs: { p50: 0, p99: 0 }, moments: [] },
    stepTimes: [3, 1, 2].map((tokens) => ({
      ...{ steps: 2, tokens, sequences: 1, meanContext: 3 + tokens ** 2, ms: 10 },
    })),
    ...changes,
  };
  return {
    ...{ schema: 1, adapter: { description: "test", isSoftware: true } },
    architecture: {
      ...{ numLayers: 1, numHeads: 1, headDim: 8, dim: 8, hiddenDim: 8, vocabSize: 50 },
    },
    ...{ weightDtype: "f32", kvDtype: "f32", budgetBytes: 999, pageSize: 4, stepTokens: 4 },
    requests: { count: 2, rate: null, prompt: alike(3), output: alike(2), seed: 1 },
    rows: [row],
    prefix: {
      ...{ numKvHeads: 1, sharedTokens: 1, ownTokens: 1, pairs: 1 },
      ...{ freshMs: 1, sharedMs: 1, ratio: 1 },
    },
  };
}

testRandomly(
  "Fleet step times: least squares find what made them, and nothing negative",
  (random) => {
    const made = [random.next() + 0.1, 0, random.next()];
    const rows = Array.from({ length: 20 }, () => [1, random.next(), 1e3 * random.next()]);
    const values = rows.map((row) => row.reduce((sum, value, i) => sum + value * made[i], 0));
    fitPositive(rows, values).forEach((value, i) => assertAlmostEquals(value, made[i], 1e-9));
    const falling = rows.map((row, i) => values[i] - 0.1 * row[1]);
    const [, token] = fitPositive(rows, falling);
    assertEquals(token, 0);
  },
);

Deno.test("Fleet step times: seconds of a step, a token, and a token that is seen", () => {
  const times = new MeasuredTimes([[1, 1, 10], [4, 2, 10], [4, 1, 40]].map((
    [tokens, sequences, meanContext],
  ) => ({
    ...{ steps: 8, tokens, sequences, meanContext },
    ms: 5 + 2 * tokens + 0.5 * sequences * meanContext,
  })));
  const seconds = times.stepSeconds([{ first: 10, count: 3 }, { first: 6, count: 1 }]);
  assertAlmostEquals(seconds, (5 + 2 * 4 + 0.5 * (13 + 7)) / 1e3, 1e-9);
});

Deno.test("Fleet step times: read by read, steps take as much longer as they did", () => {
  const alike = { steps: 2, tokens: 1, sequences: 1, meanContext: 4 };
  const times = new MeasuredTimes([10, 40, 10].map((ms) => ({ ...alike, ms })));
  assertAlmostEquals(times.stepSeconds([{ first: 3, count: 1 }]), 0.02, 1e-9);
  // Two steps of each read.
  [-0.02, 0.04, -0.02, -0.02, 0.04].forEach((excess, read) =>
    assertAlmostEquals(times.excessSeconds(read), excess, 1e-9)
  );
});

testRandomly(
  "Fleet step times: of steps whose cost is curved, other rates are simulated",
  (random) => {
    const seed = random.integer(0, 2 ** 31);
    const lengths = { prompt: { least: 1, most: 900 }, answer: { least: 4, most: 60 } };
    const firstSeconds = (rate: number, times: StepTimes) => {
      const requests = drawRequests({ rate, ...lengths }, { count: 200, seed });
      const { requests: finished } = simulate(requests, {
        ...{ replicas: 1, maxRunning: 16, maxStepTokens: 512, stepsPerRead: 8, maxQueue: 1 },
        ...{ pages: { total: 4000, pageSize: 16 }, times, overheadSeconds: 0 },
      });
      return quantilesOf(finished.map(({ request: { at }, firstAt }) => firstAt - at));
    };
    // No sum of a step and its tokens: a prompt's chunk takes a hundred times as long as a token.
    const stepSeconds = (work: readonly TimedWork[]) =>
      0.005 + 2e-6 * work.reduce((sum, { count }) => sum + count, 0) ** 2;
    const curved = { readSeconds: 0, stepSeconds, excessSeconds: () => 0 };
    const steps: (readonly TimedWork[])[] = [];
    const measured: StepTime[] = [];
    firstSeconds(2, {
      ...curved,
      stepSeconds: (work) => {
        steps.push(work);
        return stepSeconds(work);
      },
      excessSeconds: () => {
        measured.push(stepTimeOf(steps.splice(0, Infinity), stepSeconds));
        return 0;
      },
    });
    for (const rate of [0.5, 1, 1.5]) {
      const [expected, actual] = [curved, new MeasuredTimes(measured)].map((times) =>
        firstSeconds(rate, times)
      );
      for (const key of ["p50", "p95"] as const) {
        assertAlmostEquals(actual[key], expected[key], 0.3 * expected[key], `${key} at ${rate}`);
      }
    }
  },
);

/** Steps up to a read as a serving run tells them. */
function stepTimeOf(
  steps: readonly (readonly TimedWork[])[],
  stepSeconds: (work: readonly TimedWork[]) => number,
): StepTime {
  const all = steps.flat();
  const mean = (sum: number) => sum / steps.length;
  const context = all.reduce((sum, { first, count }) => sum + first + count, 0);
  return {
    ...{ steps: steps.length, sequences: mean(all.length), meanContext: context / all.length },
    tokens: mean(all.reduce((sum, { count }) => sum + count, 0)),
    ms: 1e3 * mean(steps.reduce((sum, work) => sum + stepSeconds(work), 0)),
  };
}

Deno.test("Fleet: a serving run by hand, beside what was measured", () => {
  const [{ variant, requestsPerSecond, firstTokenMs }] = checkServing(reportOf());
  // Each request has two steps and one read: ends at 20 and 40 ms.
  assertEquals(variant, "MQA");
  assertAlmostEquals(requestsPerSecond.simulated, 50, 1e-9);
  assertAlmostEquals(firstTokenMs.simulated, 20, 1e-9);
  assertStringIncludes(formatServingCheck(reportOf()), "1.25");
  // Half of it before the steps of both, and half behind.
  const [late] = checkServing(reportOf({ overheadMs: 4 }));
  assertAlmostEquals(late.firstTokenMs.simulated, 24, 1e-9);
  assertAlmostEquals(late.requestsPerSecond.simulated, 2 / 0.044, 1e-9);
});

Deno.test("Fleet: a serving run whose prompts take many steps is read as often as a batch reads", () => {
  const alike = (mean: number) => ({ mean, spread: 0 });
  // Nothing is read of the first eight steps, which are told with the eight behind them.
  const stepTimes = [3, 1, 2].map((tokens) => ({
    ...{ steps: 16, tokens, sequences: 1, meanContext: 3 + tokens ** 2, ms: 10 },
  }));
  const report = reportOf({ maxSequences: 2, pages: 99, stepTimes });
  const requests = { ...report.requests, count: 3, prompt: alike(40), output: alike(8) };
  const [{ firstTokenMs }] = checkServing({ ...report, requests });
  // One prompt takes 10 steps of 4 tokens; the next one, 7 of 3 and 5 of 4, is over within the third eight.
  assertAlmostEquals(firstTokenMs.simulated, 240, 1e-9);
});

Deno.test("plan --check: a file of bench serving is simulated, and one that is damaged is refused", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/serving.json`;
    const lines: string[] = [];
    const run = async (report: unknown) => {
      await Deno.writeTextFile(file, JSON.stringify(report));
      const out = {
        log: (line: string) => lines.push(line),
        error: (line: string) => lines.push(line),
      };
      return await runCommand(["--check", file], out);
    };
    assertEquals(await run(reportOf()), 0);
    assertStringIncludes(lines[0], "first token p50 ms measured");
    assertEquals(await run(reportOf({ stepTimes: [] })), 2);
    assertStringIncludes(lines[1], '"rows.0.stepTimes" is wrong (write the file with');
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("Fleet: reports of a serving run are told from others, and text that is no JSON is refused", () => {
  assertEquals([isServing(JSON.stringify(reportOf())), isServing("{}")], [true, false]);
  assertThrows(() => parseServing("{", "a.json"), TypeError, "Cannot read a.json as it is no JSON");
});

Deno.test("Fleet: a serving run without set-backs is refused, one whose first tokens took no time is read", () => {
  const read = (changes: Partial<Row>) => parseServing(JSON.stringify(reportOf(changes)), "a.json");
  assertThrows(() => read({ setBacks: undefined }), TypeError, '"rows.0.setBacks" is wrong');
  assertThrows(() => read({ overheadMs: -1 }), TypeError, '"rows.0.overheadMs" is wrong');
  assertEquals(read({ firstTokenMs: { p50: 0, p99: 0 } }).rows[0].firstTokenMs.p50, 0);
});
