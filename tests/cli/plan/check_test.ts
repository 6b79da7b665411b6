// Prediction against measurement, on made-up reports.
import { assert, assertAlmostEquals, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { movedBytes, operations } from "../../../bench/counts.ts";
import { formatJson } from "../../../bench/report/json.ts";
import type { Report, Result, Roofline } from "../../../bench/result.ts";
import { checkReport, formatCheck } from "../../../cli/plan/check.ts";
import { measuredDevice, ratesFor } from "../../../cli/plan/measured_rates.ts";
import { parseReport } from "../../../bench/mod.ts";

const ROOFLINE: Roofline = {
  ...{ copyGBps: 2, readGBps: 3, fmaGFlops: 30 },
  decode: [
    { impl: "fused", dtype: "f32", gbPerSecond: 1.5, gflops: 4 },
    { impl: "staged", dtype: "f32", gbPerSecond: 1, gflops: 2 },
  ],
};

function row(changes: Partial<Result>): Result {
  return {
    ...{ case: "LLaMA-2-7B", phase: "decode", variant: "mha", impl: "fused", dtype: "f32" },
    ...{ batch: 1, numHeads: 32, numKvHeads: 32, headDim: 128, seqLen: 1, contextLen: 4096 },
    ...{ medianMs: 100, minMs: 90, p90Ms: 120, samples: 11, tokensPerSecond: 10 },
    ...{ kvBytes: 2 ** 27, gbPerSecond: 1, gflops: 1, bandwidthShare: 1 },
    ...{ boundBy: "bytes", rooflineShare: 0.5, maxAbsError: 0, speedupOverMha: 1 },
    ...changes,
  };
}

function reportOf(results: Result[], roofline = ROOFLINE, isSoftware = false): Report {
  const adapter = { description: "test", features: [], isSoftware };
  return { schema: 1, adapter, roofline, firstUse: [], results };
}

Deno.test("checkReport() predicts a row by the ceilings of its own implementation", () => {
  const [mha, mqa, staged] = [
    row({}),
    row({ variant: "mqa", numKvHeads: 1 }),
    row({ impl: "staged", medianMs: 50 }),
  ];
  const checked = checkReport(reportOf([mha, mqa, staged]));
  assertAlmostEquals(checked[0].predictedMs, movedBytes(mha) / 1.5e9 * 1e3, 1e-9);
  assertAlmostEquals(checked[1].predictedMs, operations(mqa) / 4e9 * 1e3, 1e-9);
  assertAlmostEquals(checked[2].predictedMs, movedBytes(staged) / 1e9 * 1e3, 1e-9);
  assertEquals(checked.map(({ bound }) => bound), ["memory", "compute", "memory"]);
  for (const { result, predictedMs, ratio } of checked) {
    assertAlmostEquals(ratio, predictedMs / result.medianMs, 1e-12);
  }
});

Deno.test("checkReport() counts the query heads that a tile computes for nothing", () => {
  // Staged tiles hold 4 rows: of a group of 6, 8 are computed.
  const even = row({ impl: "staged", numHeads: 48, numKvHeads: 6 });
  const odd = row({ impl: "staged", numHeads: 48, numKvHeads: 8 });
  const [a, b] = checkReport(reportOf([even, odd], {
    ...ROOFLINE,
    decode: [{ impl: "staged", dtype: "f32", gbPerSecond: 1e6, gflops: 4 }],
  }));
  assertEquals([a.bound, b.bound], ["compute", "compute"]);
  assertAlmostEquals(b.predictedMs / a.predictedMs, 8 / 6, 1e-9);
});

Deno.test("ratesFor() falls back to another element type, and to plain reads and arithmetic", () => {
  const f16 = ratesFor(reportOf([]), { impl: "staged", dtype: "f16" });
  assertEquals(f16, { bytesPerSecond: 1e9, flopsPerSecond: 2e9 });
  const { decode: _, ...old } = ROOFLINE;
  const plain = ratesFor(reportOf([], old), { impl: "fused", dtype: "f32" });
  assertEquals(plain, { bytesPerSecond: 3e9, flopsPerSecond: 3e10 });
  assertMatch(formatCheck(reportOf([row({})], old)), /no measured ceilings of decoding/);
});

Deno.test("checkReport() adds both times on software, which loads and computes by turns", () => {
  // Of a device with 2 GB/s and 10 GFLOP/s: what its ends come to, and what another shape takes.
  const seconds = (result: Result) => movedBytes(result) / 2e9 + operations(result) / 1e10;
  const [mha, mqa] = [row({}), row({ numKvHeads: 1 })];
  const decode = [{
    ...{ impl: "fused", dtype: "f32" as const },
    gbPerSecond: movedBytes(mha) / seconds(mha) / 1e9,
    gflops: operations(mqa) / seconds(mqa) / 1e9,
  }];
  const gqa = row({ variant: "gqa", numKvHeads: 4, headDim: 64, contextLen: 1000 });
  const checked = checkReport(reportOf([mha, mqa, gqa], { ...ROOFLINE, decode }, true));
  for (const { result, predictedMs } of checked) {
    assertAlmostEquals(predictedMs, seconds(result) * 1e3, 1e-9);
  }
  // Ends that no such device has: MQA as slow as MHA.
  const odd = { ...ROOFLINE, decode: [{ ...decode[0], gflops: 1e-3 }] };
  const [{ predictedMs }] = checkReport(reportOf([mqa], odd, true));
  assertAlmostEquals(predictedMs, operations(mqa) / 1e6 * 1e3, 1e-6);
});

Deno.test("measuredDevice() attends at what fused decoding reached", () => {
  const device = measuredDevice("test", reportOf([]), "f32");
  assertEquals(device.bytesPerSecond, 1.5e9);
  assertEquals([device.f32FlopsPerSecond, device.f16FlopsPerSecond], [4e9, 30e9]);
  assertEquals(device.memoryBytes, undefined);
});

Deno.test("formatCheck() prints a line for each row that was measured, and how far off all are", () => {
  const rows = [
    row({ medianMs: 45 }),
    row({ numKvHeads: 1, medianMs: 10 }),
    row({ failure: "no" }),
  ];
  const text = formatCheck(reportOf(rows));
  const lines = text.split("\n").filter((line) => line.startsWith("LLaMA-2-7B"));
  assertEquals(lines.length, 2);
  for (const [i, { predictedMs, ratio }] of checkReport(reportOf(rows)).entries()) {
    assert(lines[i].includes(ratio.toFixed(2)), lines[i]);
    assert(lines[i].includes(predictedMs.toFixed(1)), lines[i]);
  }
  assertMatch(text, /1 of 3 results failed and are left out/);
  assertMatch(text, /decode: off by a factor of \d\.\d\d in the median and 1\.99 at most/);
  assertMatch(formatCheck(reportOf([])), /No row to check/);
});

Deno.test("parseReport() reads what the bench writes, the ceilings of decoding included", () => {
  const report = reportOf([row({}), row({ failure: "wrong", medianMs: 0 })]);
  assertEquals(parseReport(formatJson(report), "a.json"), report);
  assertEquals(parseReport("\uFEFF" + formatJson(report), "a.json"), report);
});

Deno.test("checkReport() ends whatever the sizes of a row", () => {
  const huge = { ...{ batch: 1, numHeads: 1, numKvHeads: 1, headDim: 1 }, seqLen: 2 ** 26 };
  const [{ predictedMs }] = checkReport(reportOf([row({ ...huge, contextLen: 2 ** 26 })]));
  assert(predictedMs > 0 && predictedMs < Infinity, `${predictedMs}`);
});

Deno.test("parseReport() names what a report lacks", () => {
  const { roofline: _, ...noRoofline } = reportOf([]);
  const wrong: [report: unknown, says: string][] = [
    [{ ...reportOf([]), schema: 2 }, '"schema": 1'],
    [noRoofline, '"roofline.copyGBps"'],
    [{ ...reportOf([]), roofline: { ...ROOFLINE, fmaGFlops: 0 } }, '"roofline.fmaGFlops"'],
    [{ ...reportOf([]), results: undefined }, '"results"'],
    [null, "must be a JSON object"],
    [{ ...reportOf([]), adapter: { description: "test" } }, '"adapter.features"'],
    [reportOf([7 as never]), '"results.0" must be an object'],
    [reportOf([row({}), row({ seqLen: 1e300 })]), '"seqLen" of "results.1" must be a whole number'],
    [reportOf([row({ contextLen: 2 ** 32 })]), "contextLen=4294967296"],
    [reportOf([row({ batch: 0 })]), "batch=0"],
    [reportOf([row({ headDim: 1.5 })]), "headDim=1.5"],
    [reportOf([row({ numHeads: "32" as never })]), 'numHeads="32"'],
    [reportOf([row({ numKvHeads: undefined })]), "numKvHeads=undefined"],
    [reportOf([row({ medianMs: 0 })]), "medianMs=0"],
  ];
  for (const [report, says] of wrong) {
    assertThrows(() => parseReport(JSON.stringify(report), "a.json"), TypeError, says);
  }
  assertThrows(() => parseReport("no", "a.json"), TypeError, "a.json as it is no JSON");
});
