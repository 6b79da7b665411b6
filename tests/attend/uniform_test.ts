// Attention whose keys and values are uniforms, and its gradient, against the float64 reference.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  Attention,
  AttentionGradient,
  type AttentionSpec,
  type DeviceProfile,
  explain,
  planAttention,
  planAttentionGradient,
  referenceAttention,
} from "../../mod.ts";
import { gradientProgram } from "../../src/attend/gradient_program.ts";
import { assertClose, TOLERANCE } from "../support/compare.ts";
import { assertGradients, randomDO, runGradientPlan } from "../support/gradient.ts";
import { sharedGpu } from "../support/gpu.ts";
import { fusedPlan, LIMITS, PROFILES } from "../support/plan.ts";
import { testRandomly } from "../support/random.ts";
import { randomInputs, runPlan, submit, Tensors } from "../support/run.ts";
import { randomDraw } from "../support/score_options.ts";

const SOFTWARE = PROFILES.software;
/** A model of 8 heads of 8. */
const SMALL: AttentionSpec = {
  ...{ batch: 16, numHeads: 8, numKvHeads: 1, headDim: 8, seqLen: 255, capacity: 255 },
};

const SMALL_GRID = { ...LIMITS, maxComputeWorkgroupsPerDimension: 3 };

/** Several ranges, whose first rows are no multiples of what a binding begins at; heads one after the other; one range. */
const SHAPES: readonly AttentionSpec[] = [
  { batch: 3, numHeads: 6, numKvHeads: 3, headDim: 16, valueDim: 8, seqLen: 45, capacity: 333 },
  {
    ...{ batch: 2, numHeads: 10, numKvHeads: 2, headDim: 4, valueDim: 12, seqLen: 37 },
    ...{ capacity: 811, layout: "BNSH", window: 300, sinks: 3 },
  },
  { batch: 2, numHeads: 5, numKvHeads: 1, headDim: 8, seqLen: 61, capacity: 29, causal: false },
];

for (const spec of SHAPES) {
  testRandomly(`uniform keys: ${JSON.stringify(spec)}`, async (random) => {
    const draw = { spec, inputs: randomInputs(random, spec) };
    const plan = fusedPlan(spec, LIMITS, SOFTWARE);
    assertEquals(plan.uniform !== undefined, true);
    const o = await runPlan(plan, draw.inputs);
    assertClose(o, referenceAttention(draw.inputs, spec).o, TOLERANCE.f32, "o");
    const dO = randomDO(random, spec);
    const gradients = await runGradientPlan(draw, dO, SOFTWARE);
    assertGradients(gradients, draw, dO);
    // As many tiles in more dispatches.
    assertEquals(await runGradientPlan(draw, dO, SOFTWARE, undefined, SMALL_GRID), gradients);
  });
}

testRandomly("uniform keys: infinities reach who sees them", async (random) => {
  const spec: AttentionSpec = { numHeads: 4, numKvHeads: 1, headDim: 8, seqLen: 80, capacity: 80 };
  const { q, k, v } = randomInputs(random, spec);
  const data = Float32Array.from(v.data);
  data[41 * 8 + 3] = Infinity;
  const inputs = { q, k, v: { ...v, data } };
  const o = await runPlan(fusedPlan(spec, LIMITS, SOFTWARE), inputs);
  assertClose(o, referenceAttention(inputs, spec).o, TOLERANCE.f32, "o");
  // A loss that does not know of the rows that see it: nobody else does.
  const dO = randomDO(random, spec);
  const finite = { spec, inputs: { q, k, v: { ...v, data: data.fill(0, 41 * 8, 42 * 8) } } };
  const unseen = { ...dO, data: Float32Array.from(dO.data).fill(0, 41 * 32) };
  assertGradients(await runGradientPlan(finite, unseen, SOFTWARE), finite, unseen);
});

testRandomly("uniform keys: gradients of slopes, sinks and a softcap", async (random) => {
  const draw = randomDraw(random, SHAPES[2], ["ALiBi", "sink logits", "softcap", "lengths"]);
  const dO = randomDO(random, draw.spec);
  assertGradients(await runGradientPlan(draw, dO, SOFTWARE), draw, dO);
});

Deno.test("uniform keys: a gradient has no slices, also of the most rows that a binding holds", () => {
  const spec = { numHeads: 1, headDim: 4, seqLen: 4096, capacity: 4096 };
  const { uniform, slices } = planAttentionGradient(spec, LIMITS, SOFTWARE);
  assertEquals(uniform?.queries.rows, 4096);
  assertEquals(slices, { queries: 1, keys: 1, bias: 1 });
});

Deno.test("uniform keys: no dispatch of a gradient is larger than the grid of the device", () => {
  // One range of queries, and 65,536 tiles of keys.
  const spec = { batch: 512, numHeads: 8, headDim: 4, seqLen: 1, capacity: 512 };
  const plan = planAttentionGradient(spec, LIMITS, SOFTWARE);
  assertEquals(plan.uniform?.queries.ranges.length, 1);
  for (const { kernel, grid } of gradientProgram(plan, LIMITS).dispatches) {
    assert(grid.every((size = 1) => size <= 65535), `${kernel}: ${grid}`);
  }
});

Deno.test("uniform keys: planned where loads from storage are dear and rows are small", () => {
  const isUniform = (change: Partial<AttentionSpec>, profile: DeviceProfile = SOFTWARE) => {
    const spec: AttentionSpec = { ...SMALL, ...change, impl: "fused" };
    const attention = fusedPlan(spec, LIMITS, profile).uniform !== undefined;
    const { uniform } = planAttentionGradient(spec, LIMITS, profile);
    assertEquals(uniform !== undefined, attention);
    return attention;
  };
  for (const profile of Object.values(PROFILES)) {
    const { isSoftware, subgroupSize } = profile;
    assertEquals(isUniform({}, profile), isSoftware && subgroupSize !== 4);
  }
  assertEquals(isUniform({ numKvHeads: 8 }), true);
  for (
    const change of [
      ...[{ headDim: 64 }, { headDim: 7 }, { kvDtype: "f16" }, { capacity: 5000 }] as const,
    ]
  ) {
    assertEquals(isUniform(change), false, JSON.stringify(change));
  }
  const parted: AttentionSpec = { ...SMALL, numKvHeads: 8, capacity: 300, kvLayout: "BNSH" };
  const limits = { ...LIMITS, maxStorageBufferBindingSize: 2 ** 20 };
  assertEquals(fusedPlan(parted, LIMITS, SOFTWARE).uniform !== undefined, true);
  assertEquals(fusedPlan(parted, limits, SOFTWARE).uniform, undefined);
  const bias = [255, 255];
  const ofBias = planAttentionGradient({ ...SMALL, bias, gradients: ["dBias"] }, LIMITS, SOFTWARE);
  assertEquals(ofBias.uniform, undefined);
});

Deno.test("uniform keys: tiles of few rows, and ranges of few tiles, are left to storage", () => {
  const isUniform = (spec: Omit<AttentionSpec, "headDim">) =>
    fusedPlan({ headDim: 4, ...spec }, LIMITS, SOFTWARE).uniform !== undefined;
  // A tile of 32 rows of each head: 15 rows of it, or 16.
  const few = { batch: 8, numHeads: 8, numKvHeads: 8, capacity: 64 };
  assertEquals(isUniform({ ...few, seqLen: 15 }), false);
  assertEquals(isUniform({ ...few, seqLen: 16 }), true);
  // A range is a sequence: of 3 tiles, or of 4.
  const long = { batch: 16, numHeads: 1, capacity: 4000 };
  assertEquals(isUniform({ ...long, seqLen: 96 }), false);
  assertEquals(isUniform({ ...long, seqLen: 97 }), true);
  // More ranges than blocks: no plan is refused for that.
  const many = { batch: 2 ** 15, numHeads: 1, seqLen: 128, capacity: 4096 };
  const limits = { ...LIMITS, maxStorageBufferBindingSize: 2 ** 32 };
  assertEquals(fusedPlan({ headDim: 4, ...many }, limits, SOFTWARE).uniform, undefined);
});

Deno.test("uniform keys: explain says so", () => {
  const text = explain(planAttention(SMALL, LIMITS, SOFTWARE));
  assertStringIncludes(text, "2 x 2040 rows of keys and values bound as uniforms");
  assertStringIncludes(text, "without usage UNIFORM as storage");
  assertStringIncludes(text, "exchange nothing");
  assertStringIncludes(text, "2: attend 1 x 512, attend 1 x 512");
});

testRandomly("uniform keys: buffers made for storage alone give the same bits", async (random) => {
  const gpu = await sharedGpu();
  const spec: AttentionSpec = {
    ...{ batch: 2, numHeads: 8, numKvHeads: 2, headDim: 4, seqLen: 33, capacity: 33 },
  };
  using tensors = new Tensors();
  const attention = tensors.keep(await Attention.create(gpu, { ...spec, outputs: ["lse"] }));
  const gradient = tensors.keep(await AttentionGradient.create(gpu, spec));
  const { isSoftware, subgroupSize } = gpu.profile;
  assertEquals(gradient.plan.uniform !== undefined, isSoftware && subgroupSize !== 4);
  const inputs = randomInputs(random, spec);
  const host = { q: inputs.q, k: inputs.k, v: inputs.v, dO: randomDO(random, spec) };
  /** All that is computed where some tensors are in buffers of storage alone. */
  const run = async (areStored: readonly (keyof typeof host)[]) => {
    const give = async (name: keyof typeof host) =>
      areStored.includes(name)
        ? await tensors.stored(host[name])
        : await tensors.upload(host[name]);
    const read = { q: await give("q"), k: await give("k"), v: await give("v") };
    const outputs = {
      o: await tensors.poisoned(host.dO.shape),
      lse: await tensors.poisoned(host.dO.shape.slice(0, -1)),
    };
    const gradients = {
      dq: await tensors.poisoned(host.q.shape),
      dk: await tensors.poisoned(host.k.shape),
      dv: await tensors.poisoned(host.v.shape),
    };
    const dO = await give("dO");
    await submit((encoder) => {
      attention.encode(encoder, { ...read, ...outputs });
      gradient.encode(encoder, { ...read, ...outputs, dO, ...gradients });
    });
    const written = Object.values({ ...outputs, ...gradients });
    return await Promise.all(written.map((tensor) => tensor.download()));
  };
  const expected = await run([]);
  assertClose(expected[0], referenceAttention(inputs, spec).o, TOLERANCE.f32, "o");
  for (const areStored of [["q", "k", "v", "dO"], ["k"], ["v"], ["q"], ["dO"]] as const) {
    assertEquals(await run(areStored), expected, areStored.join());
  }
});
