// Latent attention against float64: both forms, steps, compressed queries, storage, positions.
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import {
  LatentAttention,
  type LatentAttentionOptions,
  type LatentAttentionWeights,
  referenceLatentLayer,
  type Tensor,
} from "../../mod.ts";
import { planLatent } from "../../src/plan/latent.ts";
import { assertClose } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { alibiAndWindow, matrix } from "../support/layer.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { Tensors } from "../support/run.ts";

/** Weights keep outputs about 1. */
const TOLERANCE = 2e-5;

const SHAPES = [
  { dim: 24, numHeads: 6, nopeDim: 8, ropeDim: 4, valueDim: 12, rank: 16 },
  // Sizes that vectors of 4 and tiles of rows do not divide.
  { dim: 22, numHeads: 3, nopeDim: 5, ropeDim: 6, valueDim: 7, rank: 9, queryRank: 11 },
  { dim: 32, numHeads: 5, nopeDim: 16, ropeDim: 8, valueDim: 16, rank: 24, queryRank: 20 },
];

type Shape = Omit<typeof SHAPES[number], "queryRank"> & { queryRank?: number };

function weightsOf(
  random: Random,
  { dim, numHeads, nopeDim, ropeDim, valueDim, rank, queryRank }: Shape,
): LatentAttentionWeights {
  const weight = (rows: number, columns: number) => ({ weight: matrix(random, rows, columns) });
  const queries = numHeads * (nopeDim + ropeDim);
  const compressed = queryRank === undefined ? { q: weight(queries, dim) } : {
    qDown: weight(queryRank, dim),
    qNorm: random.tensor([queryRank]),
    qUp: weight(queries, queryRank),
  };
  return {
    ...compressed,
    kvDown: weight(rank + ropeDim, dim),
    kvNorm: random.tensor([rank]),
    kvUp: weight(numHeads * (nopeDim + valueDim), rank),
    o: weight(dim, numHeads * valueDim),
  };
}

/** What a layer makes of tokens that come in steps of these sizes [B, S, dim]. */
async function inSteps(
  weights: LatentAttentionWeights,
  x: { data: Float32Array; shape: readonly number[] },
  steps: readonly number[],
  options: LatentAttentionOptions,
  modTensors?: Readonly<Record<string, Tensor>>,
): Promise<Float32Array> {
  const layer = await LatentAttention.create(await sharedGpu(), weights, options);
  try {
    const [batch, tokens, dim] = x.shape;
    const whole = new Float32Array(x.data.length);
    let start = 0;
    for (const size of steps) {
      const at = (b: number) => (b * tokens + start) * dim;
      const data = Array.from(
        { length: batch },
        (_, b) => [...x.data.subarray(at(b), at(b) + size * dim)],
      ).flat();
      const y = await layer.forward({ data, shape: [batch, size, dim] }, { modTensors });
      for (let b = 0; b < batch; b++) {
        whole.set(y.data.subarray(b * size * dim, (b + 1) * size * dim), at(b));
      }
      start += size;
    }
    assertEquals(layer.cache.length(), tokens);
    assertEquals(layer.cache.parts[0].v, undefined);
    return whole;
  } finally {
    layer.destroy();
  }
}

for (const [i, shape] of SHAPES.entries()) {
  testRandomly(`latent attention: both forms and steps, shape ${i}`, async (random) => {
    const weights = weightsOf(random, shape);
    const x = random.tensor([2, 9, shape.dim]);
    const rope = random.pick([{}, { style: "pairs" as const }, { base: 500 }]);
    const expected = referenceLatentLayer(weights, x, { ...shape, rope });
    const options = { ...shape, rope, cache: { batch: 2, capacity: 16, maxSeqLen: 9 } };
    const ways = [
      { form: "absorbed", steps: [9] },
      { form: "expanded", steps: [9] },
      { form: "auto", steps: [5, 1, 1, 2] },
    ] as const;
    for (const { form, steps } of ways) {
      const y = await inSteps(weights, x, steps, { ...options, form });
      assertClose(y, expected.data, TOLERANCE, `${form}, ${steps}`);
    }
  });
}

testRandomly("latent attention: a window, staged and a scale of one's own", async (random) => {
  const [shape] = SHAPES;
  const weights = weightsOf(random, shape);
  const x = random.tensor([1, 12, shape.dim]);
  const expected = referenceLatentLayer(weights, x, { ...shape, scale: 0.3, window: 4 });
  const cache = { capacity: 8, window: 4, maxSeqLen: 5 };
  for (const impl of ["staged", "fused"] as const) {
    const y = await inSteps(weights, x, [5, 1, 4, 2], { ...shape, scale: 0.3, impl, cache });
    assertClose(y, expected.data, TOLERANCE, impl);
  }
});

testRandomly("latent attention: functions of one's own in both forms", async (random) => {
  using tensors = new Tensors();
  const shape = { dim: 8, numHeads: 2, nopeDim: 4, ropeDim: 4, valueDim: 4, rank: 4 };
  const weights = weightsOf(random, shape);
  const x = random.tensor([1, 2, 8]);
  const expected = referenceLatentLayer(weights, x, { ...shape, window: 1 });
  const modTensors = {
    slopes: await tensors.upload({ data: [0, 0], shape: [2] }),
    reach: await tensors.upload({ data: [1], shape: [1] }),
  };
  const options = { ...shape, ...alibiAndWindow(2), blockMask: true, cache: { capacity: 4 } };
  for (const [form, steps] of [["absorbed", [1, 1]], ["expanded", [2]]] as const) {
    const y = await inSteps(weights, x, steps, { ...options, form }, modTensors);
    assertClose(y, expected.data, TOLERANCE, form);
  }
});

testRandomly("latent attention: a cache and weights of fewer bits stay near", async (random) => {
  const [shape] = SHAPES;
  const weights = weightsOf(random, shape);
  const x = random.tensor([1, 6, shape.dim]);
  const expected = referenceLatentLayer(weights, x, shape);
  const ways = [
    { kvDtype: "int8", weightDtype: "f32" },
    { kvDtype: "f32", weightDtype: "int8" },
    { kvDtype: "f16", weightDtype: "f16" },
  ] as const;
  for (const { kvDtype, weightDtype } of ways) {
    if (kvDtype === "f16" && !await hasF16()) continue;
    for (const form of ["absorbed", "expanded"] as const) {
      const cache = { capacity: 8, maxSeqLen: 6, kvDtype };
      const y = await inSteps(weights, x, [6], { ...shape, weightDtype, form, cache });
      assertClose(y, expected.data, 0.15, `${form}, cache ${kvDtype}, weights ${weightDtype}`);
    }
  }
});

testRandomly("latent attention: counts, reasons and refusals", async (random) => {
  const gpu = await sharedGpu();
  const [shape] = SHAPES;
  const weights = weightsOf(random, shape);
  const options = { ...shape, cache: { capacity: 8, maxSeqLen: 4 } };
  const layer = await LatentAttention.create(gpu, weights, { ...options, form: "expanded" });
  // 24 x 72 + 24 x 20 + 16 x 48 + 16 x 72 + 72 x 24
  assertEquals(layer.parameters.total, 1728 + 480 + 768 + 1152 + 1728);
  // Rows of 16 + 4, counters, two pairs of rotations.
  assertEquals(layer.cache.bytes, 8 * 20 * 4 + 72 + 32);
  assertStringIncludes(layer.explain(4), 'expanded, as form "expanded" is asked for\nfused');
  await layer.forward(random.tensor([1, 4, shape.dim]));
  await assertRejects(
    () => layer.forward(random.tensor([1, 1, shape.dim])),
    RangeError,
    "history=4",
  );
  assertThrows(() => layer.plan(1), RangeError, "history=4");
  assertEquals(layer.cache.length(), 4);
  layer.destroy();
  const bad = { ...weights, kvNorm: random.tensor([5]) };
  await assertRejects(() => LatentAttention.create(gpu, bad, options), RangeError, "kvNorm");
});

Deno.test("latent attention: long prompts are expanded, decode steps absorbed", () => {
  const v3 = { numHeads: 128, nopeDim: 128, ropeDim: 64, valueDim: 128, rank: 512 };
  assertEquals(planLatent(v3, { seqLen: 2048, contextLen: 2048 }).form, "expanded");
  assertEquals(planLatent(v3, { seqLen: 1, contextLen: 1 }).form, "absorbed");
  const { form, reason } = planLatent(v3, { seqLen: 512, contextLen: 4096 });
  assertEquals([form, reason], ["absorbed", "3584 older tokens are there as latent vectors alone"]);
});
