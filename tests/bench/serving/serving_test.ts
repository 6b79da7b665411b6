// Serving in the bench: its pure parts by hand, and the command on a tiny model.
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { runServing } from "../../../bench/serving/command.ts";
import { sequencesWhileShort, sharedWait, stepTimeOf } from "../../../bench/serving/measure.ts";
import { parseServingOptions, type ServingOptions } from "../../../bench/serving/options.ts";
import { meanHeldTokens, predictSequences } from "../../../bench/serving/predict.ts";
import { drawRequests, type RequestDistribution } from "../../../bench/serving/requests.ts";
import type { ServingReport } from "../../../bench/serving/result.ts";
import { inFolder } from "../../support/checkpoint_files.ts";
import { run } from "../../support/commands.ts";

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

Deno.test("bench serving: options", () => {
  const { model, sizes, requests } = parseServingOptions([]) as ServingOptions;
  assertEquals([model.kvHeads, sizes.budgetBytes, requests.count], [[8, 2, 1], 2 ** 22, 512]);
  const odd = parseServingOptions(["--heads", "3", "--quick"]) as ServingOptions;
  assertEquals([odd.model.kvHeads, odd.requests.count], [[3, 1], 256]);
  const refuses = (option: string, value: string) =>
    assertThrows(() => parseServingOptions([option, value]), RangeError, option);
  refuses("--rate", "0");
  refuses("--cache-dtype", "f64");
  refuses("--requests", "1.5");
  assertStringIncludes(parseServingOptions(["--help"]) as string, "bench serving");
});

Deno.test("bench serving: a tiny model, whose sequences together are as predicted", async () => {
  await inFolder({}, async (folder) => {
    const { code, out, err } = await run(
      runServing,
      ...["--heads", "4", "--kv-heads", "4,1", "--head-dim", "4", "--layers", "1"],
      ...["--vocabulary", "8", "--cache-kib", "48", "--page", "4", "--step-tokens", "128"],
      ...["--requests", "100", "--prompt", "8", "--output", "12", "--shared", "32"],
      ...["--json", `${folder}/a.json`, "--svg", `${folder}/a.svg`],
    );
    assertEquals([code, err], [0, ""]);
    const report: ServingReport = JSON.parse(await Deno.readTextFile(`${folder}/a.json`));
    const [mha, mqa] = report.rows;
    assertEquals([mha.variant, mqa.variant], ["mha", "mqa"]);
    // 2 x 4 heads x 4 elements x 4 bytes a token, 4 tokens a page.
    assertEquals([mha.bytesPerToken, mha.pages], [128, 96]);
    assertEquals(mqa.pages, 4 * 96);
    const predicted = mha.sequences! / mha.predictedSequences;
    assert(predicted > 0.9 && predicted < 1.1, `${mha.sequences} of ${mha.predictedSequences}`);
    assert(mha.setBacks > 0);
    for (const row of report.rows) {
      assertEquals(row.moments.length, row.stepTimes.length);
      assert(row.moments.every(({ pages }) => pages >= 0 && pages <= row.pages));
      assert(row.stepTimes.every(({ ms, sequences, tokens }) => ms > 0 && tokens >= sequences));
      const { firstTokenMs, betweenTokensMs } = row;
      assert(firstTokenMs.p50 > 0 && firstTokenMs.p99 >= firstTokenMs.p50);
      assert(betweenTokensMs.p50 > 0 && betweenTokensMs.p99 >= betweenTokensMs.p50);
    }
    assertEquals(report.prefix.sharedTokens, 32);
    assert(report.prefix.freshMs > 0 && report.prefix.sharedMs > 0);
    assertStringIncludes(out, "predicted  together  set-backs");
    assertStringIncludes(await Deno.readTextFile(`${folder}/a.svg`), "pages in use (%)");
  });
});

Deno.test("bench serving: what cannot be written is said before anything is measured", async () => {
  const { code, err } = await run(runServing, "--json", "/nowhere/a.json");
  assertEquals(code, 2);
  assertStringIncludes(err, "Cannot measure serving as /nowhere/a.json cannot be written");
});
