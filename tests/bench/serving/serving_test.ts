// Serving in the bench: its pure parts by hand, and the command on a tiny model.
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { parseServing } from "../../../bench/mod.ts";
import { checkServing } from "../../../cli/plan/fleet/check_serving.ts";
import { runServing } from "../../../bench/serving/command.ts";
import { sequencesWhileShort, sharedWait, stepTimeOf } from "../../../bench/serving/measure.ts";
import { parseServingOptions, type ServingOptions } from "../../../bench/serving/options.ts";
import { measureOverhead } from "../../../bench/serving/overhead.ts";
import { meanHeldTokens, predictSequences } from "../../../bench/serving/predict.ts";
import {
  drawRequests,
  type RequestDistribution,
  type ServingRequest,
} from "../../../bench/serving/requests.ts";
import type { Moment, ServingReport } from "../../../bench/serving/result.ts";
import { CountedPlaces } from "../../../cli/plan/fleet/counted_places.ts";
import { BatchSchedule } from "../../../src/model/batch_schedule.ts";
import { inFolder } from "../../support/checkpoint_files.ts";
import { run } from "../../support/commands.ts";
import { testRandomly } from "../../support/random.ts";

Deno.test("bench serving: tokens that a sequence holds are counted in whole pages, step by step", () => {
  const requests = [{ prompt: [1, 2, 3], newTokens: 2 }, { prompt: [1], newTokens: 4 }];
  // 3 and 4 tokens, 1 to 4 tokens, in pages of 2: 4, 4; 2, 2, 4, 4.
  assertEquals(meanHeldTokens(requests, 2), 20 / 6);
  assertEquals(meanHeldTokens(requests, 1), 17 / 6);
  const shape = { numLayers: 2, numKvHeads: 1, headDim: 4 };
  // 2 x 2 x 4 x 4 bytes a token, of 10 tokens; a sequence has counters beside.
  const budget = (sequences: number) => ({
    budgetBytes: sequences * (64 * 10 + 64),
    kvDtype: "f32" as const,
  });
  assertEquals(predictSequences(shape, 10.4, budget(7)), 7);
});

Deno.test("bench serving: sequences count while pages are short, step by step", () => {
  const moments = [
    { sequences: 100, waiting: 9, setBacks: 0 },
    { sequences: 4, waiting: 3, setBacks: 1 },
    { sequences: 10, waiting: 1, setBacks: 1 },
    { sequences: 1, waiting: 0, setBacks: 1 },
  ];
  const times = [8, 1, 3, 8].map((steps) => ({ steps }));
  assertEquals(sequencesWhileShort(moments, times), (4 + 3 * 10) / 4);
  assertEquals(sequencesWhileShort(moments.map((one) => ({ ...one, setBacks: 0 })), times), null);
  assertEquals(sequencesWhileShort(moments.map((one) => ({ ...one, waiting: 0 })), times), null);
});

Deno.test("bench serving: a step's figures are means over its read, and tokens share their wait", () => {
  const steps = [
    { tokens: 9, sequences: 3, meanContext: 5 },
    { tokens: 3, sequences: 3, meanContext: 6 },
  ];
  const mean = { steps: 2, tokens: 6, sequences: 3, meanContext: 5.5, ms: 4 };
  assertEquals(stepTimeOf(steps, 8), mean);
  assertEquals(sharedWait(9, 3), [3, 3, 3]);
});

Deno.test("bench serving: a request's overhead is its time less that of its steps, in the median", async () => {
  const request = { arrivalMs: 9, prompt: [1], newTokens: 5 };
  const overheads = [3, 1, 8];
  const step = { steps: 2, tokens: 1, sequences: 1, meanContext: 1, ms: 10 };
  const asked: ServingRequest[] = [];
  const overhead = await measureOverhead([request, request, request], (one) => {
    asked.push(one);
    const stepTimes = [step, { ...step, steps: 1 }];
    return Promise.resolve({ milliseconds: 30 + overheads.shift()!, stepTimes });
  });
  assertEquals(overhead, 3);
  assertEquals(asked, Array(3).fill({ arrivalMs: 0, prompt: [1], newTokens: 1 }));
});

Deno.test("bench serving: requests have the lengths and times of their distribution, by seed", () => {
  const all: RequestDistribution = {
    ...{ count: 4000, rate: 50, seed: 5 },
    ...{ prompt: { mean: 40, spread: 0.5 }, output: { mean: 10, spread: 0 } },
  };
  const requests = drawRequests(all, 7);
  assertEquals(drawRequests(all, 7), requests);
  assert(JSON.stringify(drawRequests({ ...all, seed: 6 }, 7)) !== JSON.stringify(requests));
  const mean = requests.reduce((sum, { prompt }) => sum + prompt.length, 0) / 4000;
  // Within five standard errors, and what is cut off.
  assertAlmostEquals(mean, 40, 1.7);
  const logs = requests.map(({ prompt }) => Math.log(prompt.length / 40) + 0.125);
  assertAlmostEquals(Math.sqrt(logs.reduce((sum, log) => sum + log ** 2, 0) / 4000), 0.5, 0.04);
  assert(requests.every(({ newTokens }) => newTokens === 10));
  assert(requests.every(({ prompt }) => prompt.length >= 1 && prompt.length <= 160));
  assert(requests.every(({ prompt }) => prompt.every((token) => token >= 0 && token < 7)));
  assertEquals(new Set(requests.flatMap(({ prompt }) => prompt)).size, 7);
  assertEquals(requests[0].arrivalMs, 0);
  assertAlmostEquals(requests.at(-1)!.arrivalMs / 1000, 4000 / 50, 7);
  assert(requests.every(({ arrivalMs }, i) => i === 0 || arrivalMs >= requests[i - 1].arrivalMs));
  assert(drawRequests({ ...all, rate: null }, 7).every(({ arrivalMs }) => arrivalMs === 0));
});

Deno.test("bench serving: options are read, and wrong ones refused", () => {
  const { model, sizes, requests } = parseServingOptions([]) as ServingOptions;
  assertEquals([model.kvHeads, sizes.budgetBytes, requests.count], [[8, 2, 1], 2 ** 22, 512]);
  const odd = parseServingOptions(["--heads", "3", "--quick"]) as ServingOptions;
  assertEquals([odd.model.kvHeads, odd.requests.count], [[3, 1], 256]);
  const refuses = (option: string, value: string) =>
    assertThrows(() => parseServingOptions([option, value]), RangeError, option);
  refuses("--rate", "0");
  refuses("--cache-dtype", "f64");
  refuses("--requests", "1.5");
  assertThrows(() => parseServingOptions(["--kv-heads", "8,3"]), RangeError, "numKvHeads=3");
  assertStringIncludes(parseServingOptions(["--help"]) as string, "bench serving");
});

/** The schedule of a batch that serves all requests, with no device: what each read sees. */
function scheduleOf(
  requests: readonly ServingRequest[],
  pages: { total: number; pageSize: number },
  { stepTokens: maxStepTokens, maxRunning }: { stepTokens: number; maxRunning: number },
) {
  const schedule = new BatchSchedule({ maxStepTokens, maxRunning, stepsPerRead: 8 });
  const places = new CountedPlaces({ ...pages, places: maxRunning });
  requests.forEach(({ prompt: { length }, newTokens }, id) => {
    schedule.add({ id, maxTokens: length + newTokens, unread: 0 }, length, pages);
  });
  const left = requests.map(({ newTokens }) => newTokens);
  const moments: Omit<Moment, "ms" | "pages">[] = [];
  const times: { steps: number }[] = [];
  let setBacks = 0;
  while (schedule.sequences.length > 0) {
    const running: number[] = [];
    do {
      const { work, setBack } = schedule.step(places);
      setBacks += setBack.length;
      if (work.length > 0) running.push(work.length);
    } while (!schedule.isReadDue);
    for (const one of schedule.read()) {
      left[one.id] -= one.unread;
      one.unread = 0;
      if (left[one.id] <= 0) schedule.leave(one);
    }
    if (running.length === 0) continue;
    const sequences = running.reduce((sum, count) => sum + count, 0) / running.length;
    moments.push({ sequences, waiting: schedule.counts.waiting, setBacks });
    times.push({ steps: running.length });
  }
  return { moments, times };
}

testRandomly(
  "bench serving: a batch runs as many sequences together as are predicted, within a tenth",
  (random) => {
    const options = parseServingOptions(["--seed", `${random.integer(0, 999)}`]) as ServingOptions;
    const { model: { kvHeads, headDim, layers }, sizes: { pageSize, stepTokens } } = options;
    const requests = drawRequests(options.requests, options.vocabSize);
    const held = meanHeldTokens(requests, pageSize);
    const together = kvHeads.map((numKvHeads) => {
      const shape = { numLayers: layers, numKvHeads, headDim };
      const predicted = predictSequences(shape, held, options.sizes);
      const pageBytes = 4 * 2 * layers * numKvHeads * headDim * pageSize;
      const total = Math.floor(options.sizes.budgetBytes / pageBytes);
      const sizes = { stepTokens, maxRunning: Math.min(stepTokens, 2 * predicted) };
      const { moments, times } = scheduleOf(requests, { total, pageSize }, sizes);
      const sequences = sequencesWhileShort(moments, times)!;
      assertAlmostEquals(sequences / predicted, 1, 0.1, `${sequences} of ${predicted}`);
      return sequences;
    });
    // One KV head instead of eight.
    assert(together.at(-1)! / together[0] >= 6, `${together}`);
  },
);

Deno.test("bench serving: a tiny model, to the table, JSON and picture", async () => {
  await inFolder({}, async (folder) => {
    const { code, out, err } = await run(
      runServing,
      ...["--heads", "2", "--kv-heads", "1", "--head-dim", "4", "--layers", "1"],
      ...["--weight-dtype", "int8"],
      ...["--vocabulary", "64", "--cache-kib", "1", "--page", "4", "--step-tokens", "4"],
      ...["--sequences", "4", "--requests", "20", "--prompt", "3", "--output", "6"],
      ...["--rate", "500", "--shared", "8", "--json", `${folder}/a.json`],
      ...["--svg", `${folder}/a.svg`, "--html", `${folder}/a.html`],
    );
    assertEquals([code, err], [0, ""]);
    const report: ServingReport = JSON.parse(await Deno.readTextFile(`${folder}/a.json`));
    const { rows: [row], prefix, requests } = report;
    // 2 x 4 elements x 4 bytes a token, 4 tokens a page.
    assertEquals([row.variant, row.bytesPerToken, row.pages], ["mqa", 32, 8]);
    assertEquals(report.weightDtype, "int8");
    assertStringIncludes(out, "random weights in int8");
    assertEquals(row.moments.length, row.stepTimes.length);
    const tokens = row.stepTimes.reduce((sum, time) => sum + time.steps * time.tokens, 0);
    const all = drawRequests(requests, 64)
      .reduce((sum, { prompt, newTokens }) => sum + prompt.length + newTokens - 1, 0);
    // What was set back went through the model again.
    assert(row.setBacks > 0 ? tokens > all - 1e-6 : Math.abs(tokens - all) < 1e-6);
    assert(row.moments.every(({ pages }) => pages >= 0 && pages <= row.pages));
    assert(row.stepTimes.every(({ ms, sequences, tokens }) => ms > 0 && tokens >= sequences));
    for (const { p50, p99 } of [row.firstTokenMs, row.betweenTokensMs]) {
      assert(p50 > 0 && p99 >= p50);
    }
    assert(row.overheadMs! >= 0);
    assertEquals(prefix.sharedTokens, 8);
    assert(prefix.freshMs > 0 && prefix.sharedMs > 0);
    assertStringIncludes(out, "predicted  together  set-backs");
    assertStringIncludes(await Deno.readTextFile(`${folder}/a.svg`), "pages in use (%)");
    const page = await Deno.readTextFile(`${folder}/a.html`);
    for (
      const text of ['<section id="serving">', "pages in use (%)", "first token ms", "</html>"]
    ) {
      assertStringIncludes(page, text);
    }
    assertEquals(checkServing(parseServing(JSON.stringify(report), "a.json")).length, 1);
  });
});

Deno.test("bench serving: what cannot be written is said before anything is measured", async () => {
  const { code, err } = await run(runServing, "--json", "/nowhere/a.json");
  assertEquals(code, 2);
  assertStringIncludes(err, "Cannot measure serving as /nowhere/a.json cannot be written");
});
