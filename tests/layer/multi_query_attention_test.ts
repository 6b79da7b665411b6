// The layer against float64: head counts, weights as they are stored, positions, caches, steps.
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  attentionParameters,
  type AttentionWeights,
  type HostTensor,
  MultiQueryAttention,
  type MultiQueryAttentionOptions,
  type Projection,
  referenceLayer,
  type ReferenceLayerOptions,
  RingKvCache,
  Tensor,
} from "../../mod.ts";
import { assertClose, assertSame } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { alibiAndWindow, type LayerShape, weightsOf } from "../support/layer.ts";
import { testRandomly } from "../support/random.ts";
import { rounded, submit, Tensors } from "../support/run.ts";

/** Weights keep outputs about 1. */
const TOLERANCE = 2e-5;

const MQA: LayerShape = { dim: 24, numHeads: 6, numKvHeads: 1, headDim: 8 };

/** What a layer makes of tokens that come in steps of these sizes [B, S, dim]. */
async function inSteps(
  weights: AttentionWeights,
  x: HostTensor,
  steps: readonly number[],
  options: MultiQueryAttentionOptions,
  modTensors?: Readonly<Record<string, Tensor>>,
): Promise<Float32Array> {
  const layer = await MultiQueryAttention.create(await sharedGpu(), weights, options);
  try {
    const [batch, tokens, dim] = x.shape;
    const whole = new Float32Array(x.data.length);
    for (let start = 0, i = 0; start < tokens; i++) {
      const size = Math.min(steps[i % steps.length], tokens - start);
      const rows = (b: number) => (b * tokens + start) * dim;
      const part = Array.from(
        { length: batch },
        (_, b) => [...(x.data as Float32Array).subarray(rows(b), rows(b) + size * dim)],
      ).flat();
      const { data } = await layer.forward(
        { data: part, shape: [batch, size, dim] },
        { modTensors },
      );
      for (let b = 0; b < batch; b++) {
        whole.set(data.subarray(b * size * dim, (b + 1) * size * dim), rows(b));
      }
      start += size;
    }
    assertEquals(layer.cache.length(), tokens);
    return whole;
  } finally {
    layer.destroy();
  }
}

testRandomly(
  "layer: calls that nobody waits for run in their order, on what they were given",
  async (random) => {
    const weights = weightsOf(random, MQA);
    const options = { ...MQA, cache: { capacity: 16, rope: {} } };
    const x = random.tensor([1, 12, MQA.dim]);
    const sizes = [5, 1, 3, 1, 2];
    const expected = await inSteps(weights, x, sizes, options);

    const layer = await MultiQueryAttention.create(await sharedGpu(), weights, options);
    let start = 0;
    const calls = sizes.map((size) => {
      const data = x.data.slice(start * MQA.dim, (start + size) * MQA.dim);
      start += size;
      const call = layer.forward({ data, shape: [1, size, MQA.dim] });
      data.fill(NaN);
      return call;
    });
    // One that is refused in between takes nobody's place.
    await assertRejects(() => layer.forward({ data: [1], shape: [1, 1, 1] }), RangeError);
    const results = await Promise.all(calls);
    assertSame(Float32Array.from(results.flatMap(({ data }) => [...data])), expected, "y");
    layer.destroy();
  },
);

const LAYERS: readonly {
  name: string;
  shape: LayerShape;
  biases?: string;
  batch?: number;
  options?: Partial<MultiQueryAttentionOptions> & Partial<ReferenceLayerOptions>;
  cache?: Partial<MultiQueryAttentionOptions["cache"]>;
}[] = [
  { name: "MQA", shape: MQA },
  { name: "GQA, two sequences", shape: { ...MQA, numKvHeads: 2 }, batch: 2 },
  { name: "MHA without biases", shape: { ...MQA, numKvHeads: 6 }, biases: "" },
  {
    name: "sizes that 4 does not divide, some biases",
    shape: { dim: 7, numHeads: 3, numKvHeads: 1, headDim: 5 },
    biases: "vo",
  },
  { name: "rotary halves", shape: MQA, options: { rope: { base: 100 } } },
  {
    name: "rotary pairs of some dimensions",
    shape: { ...MQA, numKvHeads: 3 },
    options: { rope: { dims: 4, style: "pairs" } },
  },
  {
    name: "ALiBi",
    shape: MQA,
    options: { alibiSlopes: Array.from({ length: 6 }, (_, h) => 2 ** -h) },
  },
  { name: "own scale, softcap", shape: MQA, options: { scale: 0.7, softcap: 2 } },
  {
    name: "a window that the ring has wrapped, and sinks",
    shape: MQA,
    batch: 2,
    options: { window: 4, sinks: 2, rope: {} },
    cache: { capacity: 9, maxSeqLen: 4 },
  },
];

for (const { name, shape, biases, batch = 1, options = {}, cache } of LAYERS) {
  testRandomly(`MultiQueryAttention: ${name}`, async (random) => {
    const weights = weightsOf(random, shape, biases);
    const x = random.tensor([batch, 19, shape.dim]);
    const { rope, window, sinks, ...others } = options;
    const { data } = referenceLayer(weights, x, { ...shape, ...options });
    for (const steps of [[4], [1], [3, 1]]) {
      const actual = await inSteps(weights, x, steps, {
        ...shape,
        ...others,
        cache: { batch, capacity: 19, rope, window, sinks, ...cache },
      });
      assertClose(actual, data, TOLERANCE, `steps of ${steps}`);
    }
  });
}

testRandomly(
  "MultiQueryAttention: functions of one's own, with blocks of the mask",
  async (random) => {
    using tensors = new Tensors();
    const shape = { dim: 8, numHeads: 2, numKvHeads: 1, headDim: 4 };
    const weights = weightsOf(random, shape);
    const x = random.tensor([2, 4, 8]);
    const alibiSlopes = [0.5, 2];
    const { data } = referenceLayer(weights, x, { ...shape, alibiSlopes, window: 2 });
    const modTensors = {
      slopes: await tensors.upload({ data: alibiSlopes, shape: [2] }),
      reach: await tensors.upload({ data: [2], shape: [1] }),
    };
    const cache = { batch: 2, capacity: 4 };
    const own = { ...shape, ...alibiAndWindow(2), blockMask: true, cache };
    assertClose(await inSteps(weights, x, [1], own, modTensors), data, TOLERANCE, "y");

    const layer = tensors.keep(
      await MultiQueryAttention.create(await sharedGpu(), weights, own),
    );
    const token = await tensors.upload(random.tensor([2, 1, 8]));
    const { dispatches } = await layer.bind({ x: token, y: token, modTensors });
    const kernels = dispatches.map(({ kernel }) => kernel.label);
    const order = ["append", "block mask", "attend"].map((name) => kernels.indexOf(name));
    assert(order[0] >= 0 && order[0] < order[1] && order[1] < order[2], `${kernels}`);
    const { slopes } = modTensors;
    for (const [lacking, name] of [[{}, "slopes"], [{ slopes }, "reach"]] as const) {
      const refused = layer.forward(random.tensor([2, 1, 8]), { modTensors: lacking });
      await assertRejects(() => refused, TypeError, `modTensors.${name}`);
    }
    assertEquals(layer.cache.length(), 0);
  },
);

testRandomly(
  "MultiQueryAttention: queries and keys are normalised before they turn",
  async (random) => {
    const gains = (length: number) => ({
      data: Float32Array.from({ length }, () => 1 + random.next()),
      shape: [length],
    });
    const both = { qNorm: gains(8), kNorm: gains(8) };
    const parts = { firstDim: 2, dims: 4, style: "pairs" } as const;
    const cases = [
      ...[{}, parts, undefined].map((rope) => ({ norms: both, rope })),
      ...[{ qNorm: both.qNorm }, { kNorm: both.kNorm }].map((norms) => ({ norms, rope: {} })),
    ];
    for (const { norms, rope } of cases) {
      const weights = { ...weightsOf(random, MQA), ...norms };
      const x = random.tensor([2, 6, 24]);
      const { data } = referenceLayer(weights, x, { ...MQA, rope, normEps: 1e-3 });
      const options = { ...MQA, normEps: 1e-3, cache: { batch: 2, capacity: 6, rope } };
      const actual = await inSteps(weights, x, [2, 3], options);
      assertClose(actual, data, TOLERANCE, JSON.stringify([Object.keys(norms), rope]));
    }
  },
);

for (const arrangement of ["concatenated", "interleaved"] as const) {
  testRandomly(`MultiQueryAttention: fused QKV weights, ${arrangement}`, async (random) => {
    for (const numKvHeads of [1, 2]) {
      const shape = { ...MQA, numKvHeads };
      const { q, k, v, o } = weightsOf(random, shape);
      const qkv = fused([q, k, v], arrangement === "concatenated" ? 1 : numKvHeads);
      const x = random.tensor([1, 5, 24]);
      const options = { ...shape, cache: { capacity: 5 } };
      const apart = await inSteps({ q, k, v, o }, x, [5], options);
      assertSame(await inSteps({ qkv, arrangement, o }, x, [5], options), apart, `${numKvHeads}`);
    }
  });
}

/** Rows of several projections, block by block. */
function fused(projections: readonly Projection[], blocks: number): Projection {
  const join = (tensors: readonly HostTensor[]): HostTensor => {
    const data = Array.from({ length: blocks }, (_, block) =>
      tensors.map(({ data }) => {
        const size = data.length / blocks;
        return Array.from(data).slice(block * size, (block + 1) * size);
      }));
    const rows = tensors.reduce((sum, { shape }) => sum + shape[0], 0);
    return { data: data.flat(2), shape: [rows, ...tensors[0].shape.slice(1)] };
  };
  return {
    weight: join(projections.map(({ weight }) => weight)),
    bias: join(projections.map(({ bias }) => bias!)),
  };
}

for (const weightDtype of ["f16", "int8", "int4"] as const) {
  testRandomly(
    `MultiQueryAttention: weights in ${weightDtype} count as they are stored`,
    async (random) => {
      if (weightDtype === "f16" && !await hasF16()) return;
      const weights = weightsOf(random, MQA);
      const stored = Object.fromEntries(
        Object.entries(weights).map(([name, { weight, bias }]) =>
          [name, { weight: rounded(weight, weightDtype), bias }] as const
        ),
      ) as typeof weights;
      const x = random.tensor([1, 7, 24]);
      const { data } = referenceLayer(stored, x, MQA);
      const options = { ...MQA, weightDtype, cache: { capacity: 7 } };
      assertClose(await inSteps(weights, x, [7], options), data, TOLERANCE, weightDtype);
    },
  );
}

testRandomly(
  "MultiQueryAttention: what it makes of tokens can be added to a residual stream",
  async (random) => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    const weights = weightsOf(random, MQA);
    const [x, before] = [random.tensor([1, 3, 24]), random.tensor([1, 3, 24])];
    const layer = tensors.keep(
      await MultiQueryAttention.create(gpu, weights, { ...MQA, cache: { capacity: 8 } }),
    );
    const [input, output] = [await tensors.upload(x), await tensors.upload(before)];
    const bound = await layer.bind({ x: input, y: output, adds: true });
    await submit((encoder) => bound.encode(encoder));
    const { data } = referenceLayer(weights, x, MQA);
    const sums = data.map((value, i) => value + before.data[i]);
    assertClose(await output.download(), sums, TOLERANCE, "sums");
  },
);

testRandomly(
  "MultiQueryAttention: a given cache is used, and stays the caller's",
  async (random) => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    const weights = weightsOf(random, MQA);
    const x = random.tensor([1, 6, 24]);
    const cache = tensors.keep(
      await RingKvCache.create(gpu, { numKvHeads: 1, headDim: 8, capacity: 16, kvDtype: "int8" }),
    );
    const options = { ...MQA, cache };
    const first = await MultiQueryAttention.create(gpu, weights, options);
    const { data: whole } = await first.forward(x);
    first.destroy();
    assertEquals(cache.length(), 6);

    // The next layer goes on with the tokens of the first.
    await submit((encoder) => cache.truncate(encoder, 5));
    const second = tensors.keep(await MultiQueryAttention.create(gpu, weights, options));
    const last = { data: x.data.slice(5 * 24), shape: [1, 1, 24] };
    const { data } = await second.forward(last);
    assertClose(data, whole.slice(5 * 24), TOLERANCE, "the last token");
  },
);

Deno.test("MultiQueryAttention: keys and values shrink by the group size, the rest does not", async () => {
  const gpu = await sharedGpu();
  const zeros = (...shape: number[]) => ({
    weight: { data: new Float32Array(shape[0] * shape[1]), shape },
  });
  for (const numKvHeads of [8, 2, 1]) {
    const layer = await MultiQueryAttention.create(gpu, {
      ...{ q: zeros(32, 16), k: zeros(4 * numKvHeads, 16), v: zeros(4 * numKvHeads, 16) },
      o: zeros(16, 32),
    }, { dim: 16, numHeads: 8, numKvHeads, headDim: 4, cache: { capacity: 64 } });
    const { q, k, v, o, total } = layer.parameters;
    assertEquals([q, k, v, o], [512, 64 * numKvHeads, 64 * numKvHeads, 512]);
    const options = { hiddenSize: 16, numHeads: 8, numKvHeads, headDim: 4 };
    assertEquals(layer.parameters, attentionParameters(options));
    assertEquals(layer.weightBytes, 4 * total);
    // Keys and values of 64 tokens in f32, and counters.
    assertEquals(layer.cache.bytes, 2 * 64 * numKvHeads * 4 * 4 + 72);
    layer.destroy();
  }
});

testRandomly("MultiQueryAttention: bad input is an error that names it", async (random) => {
  const gpu = await sharedGpu();
  const weights = weightsOf(random, MQA);
  const rejects = async (
    kind: typeof TypeError | typeof RangeError,
    message: string,
    changed: Partial<MultiQueryAttentionOptions>,
    others: Partial<typeof weights> = {},
  ) => {
    const options = { ...MQA, cache: { capacity: 8 }, ...changed };
    await assertRejects(
      () => MultiQueryAttention.create(gpu, { ...weights, ...others }, options),
      kind,
      message,
    );
  };
  await rejects(RangeError, "numHeads=6, numKvHeads=4", { numKvHeads: 4 });
  await rejects(RangeError, "k.weight must have shape [16, 24]", { numKvHeads: 2 });
  await rejects(RangeError, "q.weight must have shape [48, 20]", { dim: 20 });
  await rejects(RangeError, "headDim must be a whole number", { dim: 25, headDim: undefined });
  await rejects(TypeError, "weightDtype", { weightDtype: "f64" as "f32" });
  await rejects(TypeError, "v must have a weight", {}, { v: undefined });
  // As many elements are there as in both, but not where they belong.
  const moved = (extra: number) => ({
    weight: { data: new Float32Array(8 * 24 + extra), shape: [8, 24] },
  });
  const wrong = { k: moved(24), v: moved(-24) };
  await rejects(RangeError, "k.weight must have as many elements as its shape", {}, wrong);
  const bias = random.tensor([7]);
  await rejects(RangeError, "o.bias must have shape [24]", {}, { o: { ...weights.o, bias } });
  const cache = await RingKvCache.create(gpu, { numKvHeads: 2, headDim: 8, capacity: 8 });
  await rejects(RangeError, "cache.numKvHeads=2", { cache });
  cache.destroy();

  using tensors = new Tensors();
  const layer = tensors.keep(
    await MultiQueryAttention.create(gpu, weights, { ...MQA, cache: { capacity: 2 } }),
  );
  const tensor = (...shape: number[]) =>
    Tensor.empty(gpu, shape).then((made) => tensors.keep(made));
  const [x, y] = [await tensor(1, 1, 24), await tensor(1, 2, 24)];
  await assertRejects(() => layer.bind({ x, y }), RangeError, "y must have shape [1, 1, 24]");
  await assertRejects(() => layer.bind({ x: y, y: x }), RangeError, "y must have shape");
  await assertRejects(
    () => layer.forward({ data: new Float32Array(72), shape: [1, 3, 24] }),
    RangeError,
    "capacity=2",
  );
  assertEquals(layer.cache.length(), 0);
  assert(
    (await layer.forward({ data: new Float32Array(48), shape: [1, 2, 24] })).data.length === 48,
  );
});
