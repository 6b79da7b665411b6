// Fleets: their parts by hand, and the whole by relations.
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { ServingReport } from "../../../../bench/mod.ts";
import { decodeAttentionTime } from "../../../../mod.ts";
import { GPUS } from "../../../../cli/plan/gpus.ts";
import { attentionRates } from "../../../../cli/plan/device.ts";
import { highestRate } from "../../../../cli/plan/fleet/capacity.ts";
import type { FleetDemand, FleetPlan } from "../../../../cli/plan/fleet/fleet.ts";
import { drawLength, parseLengths } from "../../../../cli/plan/fleet/lengths.ts";
import { pagesOf } from "../../../../cli/plan/fleet/memory.ts";
import { planFleet } from "../../../../cli/plan/fleet/plan_fleet.ts";
import { greatestOf, quantilesOf } from "../../../../cli/plan/fleet/quantiles.ts";
import { drawRequests } from "../../../../cli/plan/fleet/requests.ts";
import { RooflineTimes } from "../../../../cli/plan/fleet/roofline_times.ts";
import { gatewayBytes, shardBytes } from "../../../../cli/plan/fleet/wire.ts";
import type { PlanRequest } from "../../../../cli/plan/plan.ts";
import { weightsTime } from "../../../../cli/plan/weights_time.ts";
import { findByName } from "../../../../cli/shared/names.ts";
import { activationBytes } from "../../../../cli/shared/preset.ts";
import { MODELS } from "../../../../cli/shared/presets.ts";
import { encodeShard } from "../../../../src/cluster/shard_message.ts";

const model = findByName("model", MODELS, "llama-2-7b");
const device = findByName("GPU", GPUS, "a100-80gb");

const DEMAND: FleetDemand = {
  ...{ rate: 50, prompt: { least: 64, most: 512 }, answer: { least: 4, most: 16 } },
  target: { firstSeconds: 0.3, tokenMs: 100 },
  ...{ price: 3, sequences: 16, stepTokens: 512, efficiency: 1, readMs: 10 },
  ...{ requests: 20, seed: 1 },
};

function fleetOf(
  demand: Partial<FleetDemand> = {},
  request: Partial<PlanRequest> = {},
): FleetPlan {
  return planFleet({
    ...{ model, device, contextLens: [4096, 2 ** 19], batches: [1], kvHeads: [32, 1] },
    ...{ dtypes: ["f16"], weightBits: 16, ...request },
  }, { ...DEMAND, ...demand });
}

Deno.test("Fleet lengths: one, a range, thousands; anything else is refused", () => {
  assertEquals(parseLengths("--prompt", "512"), { least: 512, most: 512 });
  assertEquals(parseLengths("--prompt", "64-2k"), { least: 64, most: 2048 });
  for (const text of ["", "0", "5-4", "1-2-3", "1.5", "-3", "a", "1-"]) {
    assertThrows(() => parseLengths("--prompt", text), RangeError, "--prompt takes tokens");
  }
  assertEquals([0, 0.5, 0.999].map((at) => drawLength({ least: 3, most: 5 }, () => at)), [3, 4, 5]);
});

Deno.test("Fleet requests: their rate on average, and the same ones at another rate", () => {
  const demand = { rate: 4, prompt: { least: 2, most: 9 }, answer: { least: 1, most: 3 } };
  const requests = drawRequests(demand, { count: 4000, seed: 3 });
  assertAlmostEquals(4000 / requests.at(-1)!.at, 4, 0.2);
  const halved = drawRequests({ ...demand, rate: 2 }, { count: 4000, seed: 3 });
  requests.forEach(({ at, ...rest }, i) => {
    assertAlmostEquals(halved[i].at, 2 * at, 1e-6 * at);
    assertEquals({ ...halved[i], at: 0 }, { ...rest, at: 0 });
  });
});

Deno.test("Fleet quantiles: by the nearest rank", () => {
  assertEquals(quantilesOf(Array.from({ length: 20 }, (_, i) => 20 - i)), { p50: 10, p95: 19 });
  assertEquals(quantilesOf([7]), { p50: 7, p95: 7 });
});

Deno.test("Fleet quantiles: the greatest of more values than a call takes arguments", () => {
  assertEquals(greatestOf([-2, -1, -3]), -1);
  assertEquals(greatestOf(Array.from({ length: 2 ** 20 }, (_, i) => 3 - Math.abs(i - 7))), 3);
});

Deno.test("Fleet steps: a token of each sequence takes as long as the planner's decode step", () => {
  const windowed = { numLayers: 20, window: 700 };
  for (const shape of [model, { ...model, numKvHeads: 1, windowed }]) {
    const options = { model, shape, device, dtype: "f16", weightBits: 16 } as const;
    const times = new RooflineTimes({ ...options, efficiency: 0.5, readSeconds: 0, shards: 0 });
    const attention = decodeAttentionTime(shape, attentionRates(device), {
      ...{ contextLen: 1000, batch: 6, dtype: "f16" },
    });
    const weights = weightsTime(model, device, { tokens: 6, weightBits: 16 });
    const seconds = times.stepSeconds(Array(6).fill({ first: 999, count: 1 }));
    assertAlmostEquals(seconds, 2 * (attention.seconds + weights.seconds), 1e-12);
  }
});

Deno.test("Fleet steps: shards divide attention, and each layer waits for two reads", () => {
  const options = { model, shape: model, device, dtype: "f16", weightBits: 16 } as const;
  const secondsBy = (shards: number) =>
    new RooflineTimes({ ...options, efficiency: 1, readSeconds: 0.01, shards })
      .stepSeconds([{ first: 2 ** 17, count: 1 }]);
  const attention = 2 * (secondsBy(1) - secondsBy(2));
  assertAlmostEquals(secondsBy(1) - secondsBy(0), 2 * 32 * 0.01, 1e-12);
  assertAlmostEquals(secondsBy(4), secondsBy(1) - attention * 3 / 4, 1e-12);
});

Deno.test("Fleet memory: pages beside the weights, or divided over GPUs", () => {
  // 2 layers x 2 x 4 elements x 2 bytes x 16 tokens are 512 bytes a page.
  const memory = { shape: { numLayers: 2, numKvHeads: 1, headDim: 4 }, dtype: "f16" } as const;
  const bytes = { memoryBytes: 10 * 512, freeBytes: 4 * 512 + 1, sequences: 3 };
  const of = (longest: number) => pagesOf({ ...memory, ...bytes, longest });
  assertEquals(of(16), { fitting: 4, shards: 0, total: 3 });
  assertEquals(of(64), { fitting: 4, shards: 0, total: 4 });
  assertEquals(of(65), { fitting: 4, shards: 1, total: 5 });
  assertEquals(of(161), { fitting: 4, shards: 2, total: 11 });
});

Deno.test("Fleet capacity: the highest rate, from any guess", () => {
  for (const guess of [0.01, 0.9, 7, 300]) {
    const rate = highestRate(guess, (rate) => rate <= 7);
    assert(rate <= 7 && rate > 7 / 1.05, `${rate}`);
  }
  assertEquals(highestRate(1, () => false), 0);
});

Deno.test("Fleet wire: as many bytes as the messages of shards have", () => {
  const shape = { numLayers: 3, numHeads: 6, numKvHeads: 2, headDim: 8, valueDim: 5 };
  const elements = (count: number) => new Uint8Array(2 * count);
  const there = encodeShard({ kind: "extend" }, elements(16), elements(10), elements(48));
  const back = encodeShard({ kind: "state" }, elements(30), new Uint8Array(4 * 6));
  assertEquals(shardBytes(shape, 2), 3 * (there.length + back.length));
  const request = { prompt: 100, answer: 16, perMessage: 8, vocabSize: 32000 };
  const more = gatewayBytes({ ...request, prompt: 200 }) - gatewayBytes(request);
  assertEquals(more, 100 * "31999,".length / 16);
});

Deno.test("Fleet: fewer KV heads never take more GPUs, more requests never fewer", () => {
  const [mha, mqa] = fleetOf().variants;
  assert(mha.rates.shared > 0 && mqa.rates.shared > 0.95 * mha.rates.shared);
  for (const { needs, gpus, replicas, simulated, pricePerMillion } of [mha, mqa]) {
    needs.forEach(({ gpus }, i) => assert(i === 0 || gpus! >= needs[i - 1].gpus!));
    assertEquals(needs[3], { rate: DEMAND.rate, gpus });
    assertEquals(gpus, replicas);
    assert(simulated!.firstSeconds.p95 <= 0.3 && simulated!.tokenMs.p95 <= 100);
    assertAlmostEquals(pricePerMillion!, gpus! * 3 / (3600 * 50 * 10) * 1e6, 1e-9);
  }
  // Rates are found to a few in a hundred.
  mqa.needs.forEach(({ gpus }, i) => assert(gpus! <= Math.ceil(1.05 * mha.needs[i].gpus!)));
  // 2^19 tokens are 256 GiB of MHA: four GPUs beside the weights. One KV head has a 32nd.
  assertEquals(mha.contexts, [{ contextLen: 4096, shards: 0 }, { contextLen: 2 ** 19, shards: 4 }]);
  assertEquals(mqa.contexts[1].shards, 0);
});

Deno.test("Fleet: who is never in time needs no number of GPUs", () => {
  const [{ rates, replicas, gpus, simulated, pricePerMillion, needs }] = fleetOf({
    target: { firstSeconds: 2, tokenMs: 0.1 },
  }).variants;
  assertEquals([rates.alone, replicas, gpus, simulated, pricePerMillion], [
    0,
    ...Array(4).fill(null),
  ]);
  assert(needs.every(({ gpus }) => gpus === null));
});

Deno.test("Fleet: steps that were measured take the place of ceilings, variant by variant", () => {
  const stepTimes = [1, 9].map((tokens) => ({
    ...{ steps: 8, tokens, sequences: 1, meanContext: 10 },
    ms: 10,
  }));
  // Only what is read of a report.
  const rows = [{ variant: "mqa", numKvHeads: 1, stepTimes }];
  const { numLayers, numHeads, headDim } = model;
  const architecture = { numLayers, numHeads, headDim };
  const report = {
    ...{ architecture, weightDtype: "f16", kvDtype: "f16", rows },
  } as unknown as ServingReport;
  const [{ simulated }] = fleetOf({ rate: 0.1 }, { stepTimes: report, kvHeads: [1] }).variants;
  // Eight steps up to the first read.
  assertAlmostEquals(simulated!.firstSeconds.p50, 0.08, 1e-9);
  const late = { ...report, rows: [{ ...rows[0], overheadMs: 6 }] } as unknown as ServingReport;
  const firstOf = (stepTimes: ServingReport, overheadMs?: number) =>
    fleetOf({ rate: 0.1, overheadMs }, { stepTimes, kvHeads: [1] }).variants[0].simulated!
      .firstSeconds.p50;
  assertAlmostEquals(firstOf(late), 0.086, 1e-9);
  assertAlmostEquals(firstOf(late, 20), 0.1, 1e-9, "what is given counts");
  assertThrows(() => fleetOf({}, { stepTimes: report }), RangeError, 'variant="mha"');
  const other = { ...report, rows: [{ variant: "gqa", numKvHeads: 4, stepTimes }] };
  const otherHeads = { stepTimes: other as unknown as ServingReport, kvHeads: [8] };
  assertThrows(() => fleetOf({}, otherHeads), RangeError, "numKvHeads=8");
  const otherDtype = { stepTimes: { ...report, kvDtype: "f32" } as const, kvHeads: [1] };
  assertThrows(() => fleetOf({}, otherDtype), RangeError, 'dtype="f16"');
  const otherModel = { ...report, architecture: { ...report.architecture, numLayers: 2 } };
  const refuses = (stepTimes: ServingReport, says: string) =>
    assertThrows(() => fleetOf({}, { stepTimes, kvHeads: [1] }), RangeError, says);
  refuses(otherModel, "numLayers=32, measured=2");
  refuses({ ...report, weightDtype: "f32" }, 'weightBits=16, measured="f32"');
  const long = { prompt: { least: 2 ** 22, most: 2 ** 22 } };
  const cure = () => fleetOf(long, { stepTimes: report, kvHeads: [1] });
  assertThrows(cure, RangeError, "must fit beside the weights");
});

Deno.test("Fleet: a device whose memory is not known is refused, with the cure", () => {
  const unknown = { ...device, memoryBytes: undefined };
  assertThrows(() => fleetOf({}, { device: unknown }), RangeError, "--memory SIZE");
});

Deno.test("Fleet: memory below the weights, a step or a page is refused, with the cure", () => {
  const weightBytes = 2 * model.parameters;
  const refuses = (memoryBytes: number, stepTokens: number, says: string) =>
    assertThrows(
      () => fleetOf({ stepTokens }, { device: { ...device, memoryBytes } }),
      RangeError,
      says,
    );
  refuses(weightBytes - 1, 16, "fewer --step-tokens");
  refuses(weightBytes + activationBytes(model), 16, "stepTokens=16");
  const shape = { numLayers: 2, numKvHeads: 1, headDim: 4 };
  const small = { shape, dtype: "f16", memoryBytes: 511, freeBytes: 1 } as const;
  assertThrows(() => pagesOf({ ...small, longest: 1, sequences: 1 }), RangeError, "hold a page");
});
