// Shards beside one device: predictions by times made by hand, and the command from end to end.
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { assertStringIncludes, assertThrows } from "@std/assert";
import { runShards } from "../../../bench/shards/command.ts";
import { shardsFigure } from "../../../bench/shards/figure.ts";
import { measureShards } from "../../../bench/shards/measure.ts";
import { parseShardsOptions, type ShardsBenchOptions } from "../../../bench/shards/options.ts";
import {
  errorOf,
  ratesOf,
  rowOf,
  type ShardSamples,
  shardsFrom,
  type ShardsReport,
} from "../../../bench/shards/result.ts";
import { formatShards } from "../../../bench/shards/table.ts";
import { startNatsServer } from "../../../cli/shared/cluster/nats_server.ts";
import { run } from "../../support/commands.ts";
import { sharedGpu } from "../../support/gpu.ts";
import { NatsServer, testNats } from "../../support/nats.ts";

const SHAPE = { shards: 2, numHeads: 4, numKvHeads: 1, headDim: 125 };
const ROOFLINE = { copyGBps: 1, readGBps: 0.5, fmaGFlops: 1e6 };
const RATES = ratesOf(ROOFLINE, { isSoftware: false });

/** One round, or such times. */
function samplesOf(ms: Partial<ShardSamples>): ShardSamples {
  return { local: [8], shards: [16], read: [5], round: [2], ...ms };
}

/** A token is 1,000 bytes: 1 us of the memory. Shards wait for 2 x 5 + 2 ms. */
const rowAt = (contextLen: number, ms: Partial<ShardSamples> = {}) =>
  rowOf({ contextLen, error: 1e-7, samples: samplesOf(ms) }, SHAPE, RATES);

Deno.test("bench shards: a row's prediction is of bytes, rates, two readbacks and a round", () => {
  const { figures } = rowAt(4000);
  const { local, oneDevice, ownDevices } = figures!.predicted;
  assertAlmostEquals(local, 4, 1e-9);
  assertAlmostEquals(oneDevice, 4 + 12, 1e-9);
  assertAlmostEquals(ownDevices, 2 + 12, 1e-9);
  assertEquals(figures!.speedup, 0.5);
  // Pairs count, and not the medians of both.
  const pairs = rowAt(4000, { local: [1, 2, 9], shards: [2, 1, 3] });
  assertEquals(pairs.figures!.speedup, 2);
});

Deno.test("bench shards: a software adapter loads and computes by turns", () => {
  const rates = ratesOf({ ...ROOFLINE, fmaGFlops: 4 }, { isSoftware: true });
  const row = rowOf({ contextLen: 4000, error: 0, samples: samplesOf({}) }, SHAPE, rates);
  // 4,000 x 4 x 2 x 250 operations: 2 ms.
  assertAlmostEquals(row.figures!.predicted.local, 4 + 2, 1e-9);
});

Deno.test("bench shards: from which context on shards are faster, measured, predicted, and at the share that is reached", () => {
  // Half of the tokens save what shards wait for: 12 ms by the ceilings; at the half of these, with half as many tokens.
  const rows = [rowAt(1000), rowAt(2000, { shards: [7] }), rowAt(4000)];
  const from = shardsFrom(rows, SHAPE, RATES)!;
  assertEquals(from.share, 0.5);
  assertEquals([from.predicted, from.predictedAtShare], [24_001, 12_001]);
  // They were faster at one context, and not from there on.
  assertEquals(from.measured, null);
  const last = shardsFrom([rowAt(1000), rowAt(4000, { shards: [7] })], SHAPE, RATES)!;
  assertEquals(last.measured, 4000);
  const one = shardsFrom(rows, { ...SHAPE, shards: 1 }, RATES)!;
  assertEquals([one.predicted, one.predictedAtShare], [null, null]);
});

Deno.test("bench shards: a row that is wrong has no figures, and what is no number is never right", () => {
  const numbers = Float32Array.of(1, -4, 2);
  assertEquals(errorOf(numbers, numbers.with(0, 3)), 0.5);
  for (const wrong of [numbers.with(1, NaN), numbers.with(1, Infinity), numbers.subarray(1)]) {
    assertEquals(errorOf(numbers, wrong), NaN);
  }
  assertEquals(errorOf(new Float32Array(3), new Float32Array(3)), NaN);
  const row = rowOf({ contextLen: 9, error: NaN }, SHAPE, RATES);
  assertEquals([row.error, row.figures], [null, undefined]);
  assertStringIncludes(row.failure!, "off one device by NaN");
  assertEquals(shardsFrom([row], SHAPE, RATES), undefined);
  const rows = [row, rowAt(4000)];
  assertEquals(shardsFrom(rows, SHAPE, RATES)!.predicted, 24_001);
  const lines = formatShards(reportOf(rows)).split("\n");
  assertStringIncludes(lines.find((line) => line.includes("FAILED"))!, "NaN  FAILED: shards are");
  assertStringIncludes(formatShards(reportOf([row])), "FAILED");
});

Deno.test("bench shards: the table says who is faster, and from where on", () => {
  const rows = [rowAt(1000), rowAt(4000, { local: [3], shards: [1] })];
  const text = formatShards(reportOf(rows));
  const lines = text.split("\n").map((line) => line.trim().replaceAll(/  +/g, " "));
  assert(lines.includes("1,000 8.00 1.00 16.00 13.0 12.5 local 2.00x 1.0e-7"), text);
  assert(lines.includes("4,000 3.00 4.00 1.00 16.0 14.0 shards 3.00x 1.0e-7"), text);
  assert(lines.includes("on this one device, measured from 4,000 tokens on"), text);
  assert(lines.includes("on devices of their own, predicted from 24,001 tokens on"), text);
  // Caches of a processor may serve faster than memory does.
  assertStringIncludes(text, "the same at 133 % of the ceilings");
  const { data } = shardsFigure(reportOf([rowAt(1000)])) as { data: { values: unknown[] } };
  assertEquals(data.values.length, 5);
});

function reportOf(rows: ShardsReport["rows"]): ShardsReport {
  const adapter = { description: "a card", features: [], isSoftware: false };
  const from = shardsFrom(rows, SHAPE, RATES);
  return { schema: 1, adapter, roofline: ROOFLINE, shape: SHAPE, rows, from };
}

Deno.test("bench shards: options, and what is wrong with them", async () => {
  const given = ["--context", "8,4,8", "--shards", "3", "--heads", "6", "--kv-heads", "2"];
  const options = parseShardsOptions([...given, "--nats", "nats://a"]) as ShardsBenchOptions;
  assertEquals(options.shape, { shards: 3, numHeads: 6, numKvHeads: 2, headDim: 128 });
  assertEquals(options.contextLens, [4, 8]);
  assertEquals(options.cluster, { url: "nats://a", prefix: "onehead" });
  assertStringIncludes(parseShardsOptions(["--help"]) as string, "bench shards");
  for (
    const [args, said] of [
      [["--context", "1"], "--context"],
      [["--heads", "6", "--kv-heads", "4"], "kv-heads=4"],
      [["--nats-prefix", "a"], "--nats-prefix needs --nats"],
      [["--nats", "nats://me:secret@a"], "credentials come from the environment"],
    ] as const
  ) assertThrows(() => parseShardsOptions(args), RangeError, said);
  // Nobody listens at port 1: nothing is measured.
  const unreached = await run(runShards, "--nats", "nats://127.0.0.1:1");
  assertEquals([unreached.code, unreached.out], [2, ""]);
  assertStringIncludes(unreached.err, "RangeError: Cannot compare shards as the NATS server at");
  const unwritable = await run(runShards, "--json", "/missing/a.json");
  assertEquals(unwritable.code, 2);
});

Deno.test("startNatsServer(): a program that is absent, or ends, is an error with the cure", async () => {
  const absent = { program: "no-such-nats-server" };
  await assertRejects(() => startNatsServer("compare shards", absent), RangeError, "--nats URL");
  const ends = { program: Deno.execPath() };
  await assertRejects(() => startNatsServer("compare shards", ends), RangeError, "ended: ");
});

testNats("bench shards: outputs are compared, and all is timed in turns", async () => {
  await using server = await NatsServer.start();
  const shape = { shards: 2, numHeads: 4, numKvHeads: 2, headDim: 8 };
  const effort = { minRounds: 2, maxRounds: 2, budgetMs: 0 };
  // The second page is the second shard's.
  const options = { shape, contextLen: 100, effort };
  const measured = await measureShards(await sharedGpu(), () => server.join(), options);
  assert(measured.error < 1e-5, `${measured.error}`);
  const { samples } = measured;
  for (const times of Object.values(samples!)) {
    assertEquals(times.length, 2);
    assert(times.every((ms: number) => ms > 0));
  }
});
