// The fused implementation against the staged one and the reference, for tiles of every class of device.
import { assertEquals, assertGreater } from "@std/assert";
import {
  type AttentionSpec,
  type DeviceProfile,
  type FusedPlan,
  type Gpu,
  referenceAttention,
  referenceRow,
} from "../../mod.ts";
import { tilingOf } from "../../src/plan/tiling.ts";
import { assertClose, TOLERANCE } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { fusedPlan, gpuTuning, profileOn, PROFILES } from "../support/plan.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { randomInputs, runAttention, runPlan } from "../support/run.ts";

function randomSpec(random: Random): AttentionSpec {
  const size = (most: number) => Math.ceil(2 ** (random.next() * Math.log2(most)));
  const numKvHeads = size(4);
  const headDim = random.pick([1, 3, 8, 64, 80]);
  return {
    batch: random.integer(1, 2),
    numKvHeads,
    numHeads: numKvHeads * size(40),
    headDim,
    valueDim: random.pick([headDim, 5, 32]),
    seqLen: size(40),
    capacity: size(600),
    causal: random.next() < 0.7,
    window: random.next() < 0.5 ? undefined : size(300),
    sinks: random.next() < 0.5 ? 0 : size(100),
    kvDtype: random.pick(["f32", "int8", "int4"]),
    layout: random.pick(["BSNH", "BNSH"]),
    tuning: random.next() < 0.5 ? undefined : gpuTuning(random),
  };
}

testRandomly("fused equals staged", async (random) => {
  for (let i = 0; i < 4; i++) {
    const spec = randomSpec(random);
    const inputs = randomInputs(random, spec);
    const staged = await runAttention({ ...spec, impl: "staged" }, inputs);
    const fused = await runAttention({ ...spec, impl: "fused" }, inputs);
    assertClose(fused.o, staged.o, TOLERANCE.f32, JSON.stringify(spec));
  }
});

testRandomly("a context in slices equals the whole", async (random) => {
  const { device } = await sharedGpu();
  for (const [numHeads, numKvHeads] of [[7, 1], [4, 2], [2, 2]]) {
    const shape = { numHeads, numKvHeads, headDim: 16, seqLen: 3, window: 700 };
    const spec: AttentionSpec = { ...shape, capacity: 1177, impl: "fused" };
    const whole = { ...spec, maxScratchBytes: 1 };
    assertGreater(fusedPlan(spec, device.limits, PROFILES.software).slices, 1);
    assertEquals(fusedPlan(whole, device.limits, PROFILES.software).slices, 1);
    const inputs = randomInputs(random, spec);
    const expected = (await runAttention(whole, inputs)).o;
    assertClose((await runAttention(spec, inputs)).o, expected, TOLERANCE.f32, "o");
  }
});

testRandomly("a long context reaches its end", async (random) => {
  // More rounds of its loops than lavapipe lets one invocation make.
  const spec: AttentionSpec = { numHeads: 32, numKvHeads: 1, headDim: 4, capacity: 600_000 };
  const inputs = randomInputs(random, spec);
  const { o } = await runAttention({ ...spec, impl: "fused" }, inputs);
  const { headDim } = spec;
  const row = { batch: 0, head: 31, token: 0 };
  assertClose(o.slice(31 * headDim), referenceRow(inputs, row).o, TOLERANCE.f32, "o");
});

/** What products in f16 make of inputs in [-1, 1]; the bound for any inputs is held by `products_test.ts`. */
const HALF_PRODUCTS = 5e-4;

const SHAPES: readonly AttentionSpec[] = [
  { numHeads: 32, numKvHeads: 1, headDim: 128, capacity: 1177 },
  { numHeads: 32, numKvHeads: 8, headDim: 128, capacity: 1177 },
  { numHeads: 20, numKvHeads: 1, headDim: 16, capacity: 1177 },
  { numHeads: 4, numKvHeads: 1, headDim: 16, capacity: 301 },
  { numHeads: 3, numKvHeads: 3, headDim: 64, capacity: 1177 },
  { numHeads: 71, numKvHeads: 1, headDim: 64, capacity: 199, seqLen: 2 },
  { numHeads: 8, numKvHeads: 2, headDim: 256, capacity: 65, seqLen: 65 },
  { numHeads: 9, numKvHeads: 3, headDim: 80, valueDim: 33, capacity: 199, seqLen: 19, window: 63 },
  { numHeads: 2, numKvHeads: 1, headDim: 512, capacity: 70 },
  { numHeads: 4, numKvHeads: 1, headDim: 128, capacity: 301, kvDtype: "f16" },
  { numHeads: 3, numKvHeads: 3, headDim: 96, capacity: 199, window: 50, kvDtype: "f16" },
  { numHeads: 4, numKvHeads: 2, headDim: 40, capacity: 77, seqLen: 3, kvDtype: "int8" },
  { numHeads: 5, numKvHeads: 1, headDim: 33, capacity: 77 },
  {
    ...{ numHeads: 12, numKvHeads: 2, headDim: 64, capacity: 199 },
    kvDtype: "f16",
    arithmetic: "f16",
  },
];

/** The plan of a device of another class; that of a GPU with lanes so few that they reduce within the subgroups of this one. */
function planOn(gpu: Gpu, profile: DeviceProfile, spec: AttentionSpec): FusedPlan {
  const here = profileOn(gpu, profile);
  const lanes = here.subgroupSize;
  const isNarrower = !profile.isSoftware && lanes > 0 && lanes < profile.subgroupSize;
  if (!isNarrower) return fusedPlan(spec, gpu.device.limits, here);
  const { numHeads, numKvHeads = numHeads, seqLen = 1 } = spec;
  const tiling = { ...tilingOf(profile, numHeads / numKvHeads * seqLen), lanes, workgroup: lanes };
  const tuning = { schema: 3, adapter: "any", tilings: [{ leastRows: 1, ...tiling }] };
  return fusedPlan({ ...spec, tuning }, gpu.device.limits, here);
}

Deno.test("fused tiles of GPUs: keys and lanes of every kind meet, in strips and not", async () => {
  const gpu = await sharedGpu();
  if (gpu.profile.subgroupSize < 8) return;
  const gpus = Object.values(PROFILES).filter(({ isSoftware }) => !isSoftware);
  const plans = gpus.flatMap((profile) => SHAPES.map((spec) => planOn(gpu, profile, spec)));
  const kinds = plans.map(({ partners, shuffles, strips }) =>
    `keys ${partners > 1 ? "shared" : "staged"}, lanes ${shuffles ? "shuffle" : "memory"}, ${
      strips > 1 ? "strips" : "no strips"
    }`
  );
  const expected = ["shared", "staged"].flatMap((keys) =>
    ["memory", "shuffle"].flatMap((lanes) =>
      ["no strips", "strips"].map((strips) => `keys ${keys}, lanes ${lanes}, ${strips}`)
    )
  );
  assertEquals([...new Set(kinds)].sort(), expected);
});

testRandomly(
  "fused tiles: exponentials are below the largest score of all lanes",
  async (random) => {
    const gpu = await sharedGpu();
    // Those of scores a few lanes away would overflow. Scores err with their size, and so do outputs.
    const spec: AttentionSpec = {
      numHeads: 4,
      numKvHeads: 1,
      headDim: 16,
      capacity: 301,
      scale: 300,
    };
    const inputs = randomInputs(random, spec);
    const expected = referenceAttention(inputs, spec).o;
    for (const [name, profile] of Object.entries(PROFILES)) {
      const o = await runPlan(planOn(gpu, profile, spec), inputs);
      assertClose(o, expected, 100 * TOLERANCE.f32, name);
    }
  },
);

for (const [name, profile] of Object.entries(PROFILES)) {
  testRandomly(`fused tiles of ${name}: infinities reach who sees them`, async (random) => {
    const gpu = await sharedGpu();
    const specs: readonly AttentionSpec[] = [
      { numHeads: 4, numKvHeads: 1, headDim: 16, capacity: 301 },
      // Its queries see 256 tokens from the 45th on, whole tiles of columns.
      { numHeads: 2, numKvHeads: 1, headDim: 16, capacity: 301, seqLen: 40, window: 217 },
    ];
    for (const spec of specs) {
      const { q, k, v } = randomInputs(random, spec);
      const data = Float32Array.from(v.data);
      // Of tokens that the first half of the queries see, the second half, and the last one.
      for (const token of [65, 280, 300]) data[token * 16] = Infinity;
      const inputs = { q, k, v: { ...v, data } };
      const o = await runPlan(planOn(gpu, profile, spec), inputs);
      assertClose(o, referenceAttention(inputs, spec).o, TOLERANCE.f32, JSON.stringify(spec));
    }
  });

  for (const spec of SHAPES) {
    const { numHeads, numKvHeads, headDim, seqLen = 1, kvDtype = "f32", arithmetic = "f32" } = spec;
    const shape =
      `${numHeads} over ${numKvHeads} heads x ${headDim} of ${kvDtype}, ${seqLen} tokens, ${arithmetic}`;
    testRandomly(`fused tiles of ${name}: ${shape}`, async (random) => {
      if (kvDtype === "f16" && !await hasF16()) return;
      const gpu = await sharedGpu();
      const inputs = randomInputs(random, spec);
      const tolerance = arithmetic === "f16" ? HALF_PRODUCTS : TOLERANCE.f32;
      const o = await runPlan(planOn(gpu, profile, spec), inputs);
      assertClose(o, referenceAttention(inputs, spec).o, tolerance, "o");
    });
  }
}
