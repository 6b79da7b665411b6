import { assert, assertAlmostEquals, assertEquals, assertLess } from "@std/assert";
import { SILENT } from "../../cli/shared/progress.ts";
import { readLayers, withKvHeads } from "../../bench/capture.ts";
import { type Case, planCases } from "../../bench/cases.ts";
import { FirstUses } from "../../bench/first_use.ts";
import { CaseInputs } from "../../bench/inputs.ts";
import { randomElements, randomTensor } from "../../bench/random.ts";
import { measureDecode } from "../../bench/decode_ceilings.ts";
import { measureRoofline } from "../../bench/roofline.ts";
import { movedBytes, operations } from "../../bench/counts.ts";
import { runGroup } from "../../bench/run.ts";
import { runLayer } from "../../bench/run_capture.ts";
import { timeInTurns } from "../../bench/stopwatch.ts";
import { Subject } from "../../bench/subject.ts";
import { casesByRows, tune, tuningOf } from "../../bench/tune.ts";
import { maxAbsError, TOLERANCE } from "../../bench/verify.ts";
import { bytesInMemory, Safetensors } from "../../src/checkpoints/mod.ts";
import { Gpu } from "../../mod.ts";
import { buffersOf } from "../support/buffers.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";

const EFFORT = { minRounds: 2, maxRounds: 2, budgetMs: 0 };
const ROOFLINE = { copyGBps: 1, readGBps: 1, fmaGFlops: 1 };
const CAPTURE = new URL(
  "../../../shared/data/stories260K/attention.safetensors",
  import.meta.url,
);

function smallGroup(dtype: "f32" | "f16"): Case[] {
  const shape = { name: "small", numHeads: 6, headDim: 8, kvHeads: [6, 2, 1], maxContext: 70 };
  const [group] = planCases([shape], {
    phases: ["prefill"],
    dtypes: [dtype],
    impls: ["fused", "staged"],
    batches: [2],
    decodeContexts: [],
    prefillContexts: [100],
    prefillSeqLens: [5],
  });
  return [...group];
}

Deno.test("runGroup() times storages of keys and values in turns, each right by the numbers that it holds", async () => {
  const gpu = await sharedGpu();
  const kvDtypes = ["f32", ...(await hasF16() ? ["f16"] as const : []), "int8", "int4"] as const;
  const shape = { name: "small", numHeads: 6, headDim: 8, kvHeads: [2], maxContext: 70 };
  const [group, ...others] = planCases([shape], {
    ...{ phases: ["decode"], dtypes: ["f32"], kvDtypes, impls: ["fused", "staged"], batches: [1] },
    ...{ decodeContexts: [70], prefillContexts: [] },
  });
  assertEquals([group.length, others.length], [2 * kvDtypes.length, 0]);
  const firstUses = new FirstUses();
  const rows = await runGroup(gpu, group, { effort: EFFORT, roofline: ROOFLINE, firstUses });
  assertEquals(rows.map(({ failure }) => failure), rows.map(() => undefined));
  // Rows of 8 numbers, for keys and values of 2 heads.
  const bytes = { f32: 32, f16: 16, int8: 12, int4: 8 };
  for (const { kvDtype = "f32", kvBytes, medianMs } of rows) {
    assertEquals(kvBytes, 2 * 2 * 70 * bytes[kvDtype], kvDtype);
    assert(medianMs > 0);
  }
});

Deno.test("random tensors are the same on the GPU and on the host", async () => {
  const gpu = await sharedGpu();
  for (const dtype of await hasF16() ? ["f32", "f16"] as const : ["f32"] as const) {
    const tensor = await randomTensor(gpu, [1000, 7], { dtype, seed: 5 });
    const elements = await tensor.download();
    assertEquals([...elements], [...randomElements(0, 7000, { dtype, seed: 5 })]);
    assertEquals([...elements.subarray(40, 50)], [...randomElements(40, 10, { dtype, seed: 5 })]);
    assert(elements.every((value) => value >= -1 && value <= 1));
    assertLess(Math.abs(elements.reduce((sum, value) => sum + value, 0) / 7000), 0.05);
    tensor.destroy();
  }
});

Deno.test("timeInTurns() gives every call as many samples as rounds, by either clock", async () => {
  const adapter = await navigator.gpu.requestAdapter();
  const withoutTimestamps = await Gpu.from(await adapter!.requestDevice());
  assertEquals(withoutTimestamps.features.timestamps, false);
  for (const gpu of [await sharedGpu(), withoutTimestamps]) {
    const [case_] = smallGroup("f32");
    const inputs = await CaseInputs.create(gpu, case_);
    const subject = await Subject.create(case_, inputs);
    const calls = [subject.encode.bind(subject), subject.encode.bind(subject)];
    const times = await timeInTurns(gpu, calls, EFFORT);
    assertEquals(times.map((samples) => samples.length), [2, 2]);
    assert(times.flat().every((time) => time > 0 && time < 1e4));
    subject.destroy();
    inputs.destroy();
  }
  withoutTimestamps.destroy();
});

Deno.test("measureRoofline() streams every byte that its rates count", async () => {
  const gpu = await sharedGpu();
  const { device } = gpu;
  const grids: number[] = [];
  const sizes: number[] = [];
  const { createBuffer } = device;
  const { dispatchWorkgroups } = GPUComputePassEncoder.prototype;
  device.createBuffer = (descriptor) => {
    if (descriptor.label === "random") sizes.push(descriptor.size);
    return createBuffer.call(device, descriptor);
  };
  GPUComputePassEncoder.prototype.dispatchWorkgroups = function (x, y, z) {
    grids.push(x * (y ?? 1) * (z ?? 1));
    return dispatchWorkgroups.call(this, x, y, z);
  };
  let rates;
  try {
    rates = await measureRoofline(gpu, EFFORT);
  } finally {
    device.createBuffer = createBuffer;
    GPUComputePassEncoder.prototype.dispatchWorkgroups = dispatchWorkgroups;
  }
  assertEquals(Object.keys(rates).toSorted(), ["copyGBps", "fmaGFlops", "readGBps"]);
  assert(Object.values(rates).every((rate) => rate > 0 && rate < Infinity));
  // Elements of 16 bytes, 16 for each of 256 neighbours and 256 for each long run.
  const [bytes] = sizes;
  const [neighbours, runs] = [16, 256].map((elements) => bytes / (16 * elements * 256));
  // The kernel that fills the source is the first.
  assertEquals(new Set(grids.slice(1)), new Set([neighbours, runs]));
});

Deno.test("the ceilings of decoding are of what was asked for, and above 0", async () => {
  const gpu = await sharedGpu();
  const asked = { impl: "fused", dtype: "f32" } as const;
  const measured = await measureDecode(gpu, asked, {
    effort: EFFORT,
    roofline: ROOFLINE,
    firstUses: new FirstUses(),
  });
  assert(measured);
  const { impl, dtype, gbPerSecond, gflops } = measured;
  assertEquals([impl, dtype], ["fused", "f32"]);
  assert(gbPerSecond > 0 && gbPerSecond < Infinity);
  assert(gflops > 0 && gflops < Infinity);
});

Deno.test("runGroup() verifies and compares", async () => {
  const gpu = await sharedGpu();
  for (const dtype of await hasF16() ? ["f32", "f16"] as const : ["f32"] as const) {
    const firstUses = new FirstUses();
    const rows = await runGroup(gpu, smallGroup(dtype), {
      effort: EFFORT,
      roofline: ROOFLINE,
      firstUses,
    });
    const variants = rows.map(({ variant, impl }) => `${variant} ${impl}`);
    const expected = ["mha fused", "mha staged", "gqa fused", "gqa staged", "mqa fused"];
    assertEquals(variants, [...expected, "mqa staged"]);
    for (const row of rows) {
      assertEquals(row.failure, undefined);
      assert(row.maxAbsError !== null && row.maxAbsError < TOLERANCE[dtype]);
      assertEquals(row.samples, EFFORT.maxRounds);
      assert(0 < row.minMs && row.minMs <= row.medianMs && row.medianMs <= row.p90Ms);
      assert(row.p90Ms < 60_000, "a call takes no minute");
      assertAlmostEquals(row.tokensPerSecond, 2 * 5 / row.medianMs * 1e3);
      assertAlmostEquals(row.gbPerSecond, movedBytes(row) / row.medianMs / 1e6);
      assertAlmostEquals(row.gflops, operations(row) / row.medianMs / 1e6);
      assertEquals(row.bandwidthShare, row.gbPerSecond);
      // On a roofline of 1 GB/s and 1 GFLOP/s.
      const [bound, floor] = row.gflops > row.gbPerSecond
        ? ["operations", row.gflops]
        : ["bytes", row.gbPerSecond];
      assertEquals(row.boundBy, bound);
      assertAlmostEquals(row.rooflineShare, floor);
    }
    assertEquals(
      new Set(firstUses.rows.map(({ kernel }) => kernel)),
      new Set(["attend", "scores", "softmax", "weighted sum"]),
    );
    assert(firstUses.rows.every(({ pipelineMs, firstRunMs }) => pipelineMs > 0 && firstRunMs >= 0));
    assert(rows.every(({ speedupOverMha }) => speedupOverMha! > 0 && speedupOverMha! < Infinity));
    // Each implementation is held against its own MHA.
    assertEquals(rows.slice(0, 2).map(({ speedupOverMha }) => speedupOverMha), [1, 1]);
  }
});

Deno.test("runGroup() makes inputs once for all implementations, and leaves nothing behind", async () => {
  const gpu = await sharedGpu();
  const group = smallGroup("f32").filter(({ variant }) => variant === "mqa");
  const run = (cases: Case[]) =>
    buffersOf(async () => {
      const shared = { effort: EFFORT, roofline: ROOFLINE, firstUses: new FirstUses() };
      const results = await runGroup(gpu, cases, shared);
      assertEquals(results.map(({ failure }) => failure), cases.map(() => undefined));
    });
  const inputsOf = ({ made }: { made: string[] }) => made.filter((label) => label === "random");
  const [one, both] = [await run(group.slice(0, 1)), await run(group)];
  assertEquals(group.length, 2);
  assert(inputsOf(one).length > 0);
  assertEquals(inputsOf(both), inputsOf(one));
  assertEquals(both.alive, []);
});

Deno.test("runGroup() says why a row failed and goes on with the others", async () => {
  const [mha, , gqa] = smallGroup("f32");
  const group = [mha, { ...gqa, numKvHeads: 4 }];
  const rows = await runGroup(await sharedGpu(), group, {
    effort: EFFORT,
    roofline: ROOFLINE,
    firstUses: new FirstUses(),
  });
  assertEquals(rows[0].failure, undefined);
  assert(rows[1].failure?.includes("numKvHeads=4"));
});

Deno.test("maxAbsError() is not fooled by inputs other than the verified ones", async () => {
  const gpu = await sharedGpu();
  const [case_] = smallGroup("f32");
  const inputs = await CaseInputs.create(gpu, case_);
  const subject = await Subject.create(case_, inputs);
  assertLess(await maxAbsError(gpu, subject), 1e-6);
  // The same work held against what another number of KV heads must give.
  Object.defineProperty(subject, "case", { value: { ...case_, numKvHeads: 1 } });
  assert(await maxAbsError(gpu, subject) > 1e-2);
  subject.destroy();
  inputs.destroy();
});

Deno.test("tune() finds tilings that the library takes, and leaves out what fails", async () => {
  const gpu = await sharedGpu();
  const effort = { ...EFFORT, shapes: 1, totalMs: 3000 };
  const cases = smallGroup("f32").filter(({ impl }) => impl === "fused");
  const byRows = casesByRows(cases, 1);
  assertEquals([...byRows.keys()], [4, 8, 16]);
  const tuned = await tune(gpu, new Map([[8, byRows.get(8)!]]), effort, { progress: () => SILENT });
  assert(tuned.every(({ gain }) => gain >= 1));
  const tuning = JSON.parse(JSON.stringify(tuningOf(gpu, tuned)));
  assertEquals(tuning.tilings.map(({ leastRows }: { leastRows: number }) => leastRows), [8]);
  const inputs = await CaseInputs.create(gpu, cases[1]);
  const subject = await Subject.create(cases[1], inputs, tuning);
  assertLess(await maxAbsError(gpu, subject), 1e-6);
  subject.destroy();
  inputs.destroy();
});

Deno.test("withKvHeads() repeats heads and averages neighbours", () => {
  const tensor = { data: [1, 2, 3, 4, 5, 6, 7, 8], shape: [1, 2, 4, 1] };
  assertEquals([...withKvHeads(tensor, 1).data as Float32Array], [2.5, 6.5]);
  assertEquals([...withKvHeads(tensor, 2).data as Float32Array], [1.5, 3.5, 5.5, 7.5]);
  const two = { data: [1, 2, 3, 4], shape: [1, 1, 2, 2] };
  assertEquals([...withKvHeads(two, 4).data as Float32Array], [1, 2, 1, 2, 3, 4, 3, 4]);
});

const capture = await readCapture();
const RUNS = [
  ["decode", "fused"],
  ["decode", "staged"],
  ["prefill", "fused"],
  ["prefill", "staged"],
] as const;

Deno.test({
  name: "a trained model's outputs come back through the ring, token by token and in one prefill",
  ignore: capture === undefined,
  async fn() {
    const gpu = await sharedGpu();
    const layers = await readLayers(
      await Safetensors.open(bytesInMemory("capture", capture!)),
    );
    assertEquals(layers.length, 5);
    for (const layer of layers) {
      for (const [phase, impl] of RUNS) {
        const options = { phase, impl, dtype: "f32", effort: EFFORT, roofline: ROOFLINE } as const;
        const [mha, gqa, mqa] = await runLayer(gpu, layer, options);
        for (const row of [mha, gqa, mqa]) assertEquals(row.failure, undefined);
        assert(mha.maxAbsError! <= 1e-5 && gqa.maxAbsError! <= 1e-5);
        assertEquals([mha.cosine, gqa.cosine], [undefined, undefined]);
        assert(mqa.cosine! > -1 && mqa.cosine! < 1 && mqa.relativeChange! > 0);
      }
    }
  },
});

async function readCapture(): Promise<Uint8Array | undefined> {
  try {
    return await Deno.readFile(CAPTURE);
  } catch (error) {
    console.log(`captured attention is not tested: ${(error as Error).message}`);
  }
}
