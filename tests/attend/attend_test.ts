// Attention in one call, from arrays to arrays or from tensors to tensors.
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  attend,
  type AttendOptions,
  Attention,
  type AttentionSpec,
  type HostTensor,
  planAttention,
  referenceAttention,
  SharedPrefixAttention,
  Tensor,
} from "../../mod.ts";
import { buffersOf } from "../support/buffers.ts";
import { assertClose, maskedScores, TOLERANCE } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { testRandomly } from "../support/random.ts";
import { randomInputs, Tensors } from "../support/run.ts";

const SPEC: AttentionSpec = {
  ...{ batch: 2, numHeads: 6, numKvHeads: 2, headDim: 8, valueDim: 7, seqLen: 3, capacity: 19 },
};

testRandomly("attend: arrays to arrays", async (random) => {
  const gpu = await sharedGpu();
  const inputs = randomInputs(random, SPEC);
  const expected = referenceAttention(inputs);
  const result = await attend(gpu, inputs);
  assertEquals(Object.keys(result), ["o"]);
  assertEquals(result.o.shape, [2, 3, 6, 7]);
  assertInstanceOf(result.o.data, Float32Array);
  assertClose(result.o.data, expected.o, TOLERANCE.f32, "o");
});

testRandomly(
  "attend: layout, window, scale and outputs are those that were asked for",
  async (random) => {
    const gpu = await sharedGpu();
    const options = {
      ...{ layout: "BNSH", causal: false, window: 4, scale: -0.5 },
      outputs: ["scores", "weights"],
    } as const satisfies AttendOptions;
    const inputs = randomInputs(random, { ...SPEC, ...options });
    const expected = referenceAttention(inputs, options);
    const { o, scores, weights } = await attend(gpu, inputs, options);
    assertEquals(o.shape, [2, 6, 3, 7]);
    assertClose(o.data, expected.o, TOLERANCE.f32, "o");
    // A window of 4 leaves 3 queries 6 columns.
    const lastColumns = (rows: Float64Array) => rows.filter((_, index) => index % 19 >= 13);
    assertEquals(scores.shape, [2, 6, 3, 6]);
    assertClose(scores.data, maskedScores(lastColumns(expected.scores)), TOLERANCE.f32, "scores");
    assertEquals(weights.shape, [2, 6, 3, 6]);
    assertClose(weights.data, lastColumns(expected.weights), TOLERANCE.f32, "weights");
  },
);

// `deno check` is half of this test: a line that it must refuse says so.
testRandomly("attend: the result's type has the outputs that the call names", async (random) => {
  const gpu = await sharedGpu();
  const inputs = randomInputs(random, SPEC);
  const { lse, weights } = await attend(gpu, inputs, { outputs: ["lse", "weights"] });
  lse.data satisfies Float32Array;
  assertEquals([lse.data.length, weights.data.length], [2 * 3 * 6, 2 * 6 * 3 * 19]);

  const none = await attend(gpu, inputs);
  // @ts-expect-error: no call asked for the log-sum-exp.
  assertThrows(() => none.lse.data, TypeError);
  const other = await attend(gpu, inputs, { outputs: ["lse"] });
  // @ts-expect-error: the call asked for another output.
  assertThrows(() => other.weights.data, TypeError);

  const some: AttendOptions = { outputs: ["lse"] };
  const ofSome = await attend(gpu, inputs, some);
  // @ts-expect-error: the type of the options does not say which outputs there are.
  assertEquals(ofSome.lse.data.length, 2 * 3 * 6);
  const name = random.pick(["lse", "weights"] as const);
  const either = await attend(gpu, inputs, { outputs: [name] });
  // @ts-expect-error: the output is one of two.
  assertThrows(() => either[name === "lse" ? "weights" : "lse"].data, TypeError);
  const list = await attend(gpu, inputs, { outputs: random.pick([["lse"], []] as const) });
  assertEquals(list.lse === undefined, Object.keys(list).length === 1);
  // @ts-expect-error: one of the two lists lacks it.
  list.lse satisfies { data: Float32Array };
});

testRandomly("attend: tensors to tensors, which stay on the device", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const inputs = randomInputs(random, SPEC);
  const [q, k, v] = await Promise.all(
    [inputs.q, inputs.k, inputs.v].map((host) => tensors.upload(host)),
  );
  const result = await attend(gpu, { q, k, v }, { outputs: ["weights"] });
  tensors.keep(result.o);
  tensors.keep(result.weights);
  const expected = referenceAttention(inputs);
  assert(result.o instanceof Tensor);
  assert(result.scores === undefined);
  assertClose(await result.o.download(), expected.o, TOLERANCE.f32, "o");
  assertClose(await result.weights.download(), expected.weights, TOLERANCE.f32, "weights");
  // What was given is the caller's still.
  assertEquals((await q.download()).length, q.length);
});

testRandomly("attend: f16 from arrays, and from tensors without saying so", async (random) => {
  if (!await hasF16()) return;
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const inputs = randomInputs(random, { ...SPEC, dtype: "f16" });
  const expected = referenceAttention(inputs);
  const fromArrays = await attend(gpu, inputs, { dtype: "f16" });
  assertClose(fromArrays.o.data, expected.o, TOLERANCE.f16, "o of arrays");
  const [q, k, v] = await Promise.all(
    [inputs.q, inputs.k, inputs.v].map((host) => tensors.upload(host, "f16")),
  );
  const { o } = await attend(gpu, { q, k, v });
  assertEquals(tensors.keep(o).dtype, "f16");
  assertClose(await o.download(), expected.o, TOLERANCE.f16, "o of tensors");
});

testRandomly(
  "attend: what was handed over may change, as soon as the call returns",
  async (random) => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    const sizes = { numHeads: 3, numKvHeads: 1, headDim: 8, seqLen: 2, capacity: 70 };
    const inputs = randomInputs(random, { ...sizes, batch: 2 });
    const bias = random.tensor([3, 2, 70]);
    const lengths = { data: [70, 31], shape: [2] };
    const alibiSlopes = [0.1, 0.2, 0.3];
    const outputs = ["lse"] as const;
    const expected = referenceAttention({ ...inputs, bias, lengths }, { alibiSlopes });

    const given = structuredClone({ ...inputs, bias, lengths });
    const options = { alibiSlopes: [...alibiSlopes], outputs, window: undefined };
    const pending = attend(gpu, given, options);
    for (const { data, shape } of Object.values(given) as HostTensor[]) {
      (data as number[]).fill(0);
      (shape as number[]).fill(1e9);
    }
    for (const name of Object.keys(given)) Reflect.deleteProperty(given, name);
    options.alibiSlopes.fill(NaN);
    Object.assign(options, { window: 1, outputs: ["weights"], layout: "BNSH" });
    const { o, lse } = await pending;
    assertClose(o.data, expected.o, TOLERANCE.f32, "o of arrays");
    assertClose(lse.data, expected.lse, TOLERANCE.f32, "lse of arrays");

    const upload = (host: HostTensor) => tensors.upload(host);
    const onDevice = {
      ...{ q: await upload(inputs.q), k: await upload(inputs.k), v: await upload(inputs.v) },
      bias: await upload(bias),
      lengths: await tensors.upload(lengths, "u32"),
    };
    const slopes = [...alibiSlopes];
    const later = attend(gpu, onDevice, { alibiSlopes: slopes });
    slopes.fill(NaN);
    Object.assign(onDevice, { q: onDevice.k, k: onDevice.q, bias: undefined, lengths: undefined });
    const result = tensors.keep((await later).o);
    assertClose(await result.download(), expected.o, TOLERANCE.f32, "o of tensors");
  },
);

Deno.test("attend: null in place of an object is named", async () => {
  const gpu = await sharedGpu();
  const [none, tensor] = [null as never, { data: [1], shape: [1, 1, 1, 1] }];
  await assertRejects(() => attend(gpu, none), TypeError, "inputs=null");
  const inputs = { q: tensor, k: tensor, v: tensor };
  await assertRejects(() => attend(gpu, inputs, none), TypeError, "options=null");
  await assertRejects(() => attend(gpu, { ...inputs, k: none }), TypeError, "k must have the four");
  await assertRejects(() => Attention.create(gpu, none), TypeError, "spec=null");
  await assertRejects(() => SharedPrefixAttention.create(gpu, none), TypeError, "spec=null");
  assertThrows(() => planAttention(none, gpu.device.limits), TypeError, "spec=null");
  const attention = await Attention.create(gpu, { numHeads: 1, headDim: 1, capacity: 1 });
  assertThrows(() => attention.bind(none), TypeError, "tensors=null");
  attention.destroy();
});

testRandomly("attend: bounded scratch", async (random) => {
  const inputs = randomInputs(random, SPEC);
  const { o } = await attend(await sharedGpu(), inputs, { maxScratchBytes: 4 * 19 * 4 });
  assertClose(o.data, referenceAttention(inputs).o, TOLERANCE.f32, "o");
});

Deno.test("attend: frees every buffer it made for arrays, also when it fails", async () => {
  const gpu = await sharedGpu();
  const host = (...shape: number[]): HostTensor => ({
    data: new Float32Array(shape.reduce((a, b) => a * b)),
    shape,
  });
  const inputs = { q: host(1, 3, 4, 8), k: host(1, 5, 2, 8), v: host(1, 5, 2, 8) };
  const { made, alive } = await buffersOf(async () => {
    await attend(gpu, inputs, { outputs: ["scores", "weights"] });
    await assertRejects(() => attend(gpu, inputs, { window: 0 }), RangeError, "window=0");
    await assertRejects(
      () => attend(gpu, inputs, { impl: "staged", maxScratchBytes: 1 }),
      RangeError,
      "raise",
    );
    const short = { ...inputs, v: { ...inputs.v, data: [1, 2, 3] } };
    await assertRejects(() => attend(gpu, short), RangeError, "elements=3, shape=[1, 5, 2, 8]");
  });
  assertNotEquals(made, []);
  assertEquals(alive, []);
});

const WRONG: readonly {
  name: string;
  shapes: Record<"q" | "k" | "v", number[]>;
  options?: Record<string, unknown>;
  throws: typeof TypeError | typeof RangeError;
  says: string;
}[] = [
  {
    name: "three axes",
    shapes: { q: [3, 4, 8], k: [1, 5, 2, 8], v: [1, 5, 2, 8] },
    throws: TypeError,
    says: "q must have the four axes BSNH",
  },
  {
    name: "another batch",
    shapes: { q: [1, 3, 4, 8], k: [2, 5, 2, 8], v: [2, 5, 2, 8] },
    throws: RangeError,
    says: "q=[1, 3, 4, 8], k=[2, 5, 2, 8]",
  },
  {
    name: "another head size",
    shapes: { q: [1, 3, 4, 8], k: [1, 5, 2, 4], v: [1, 5, 2, 4] },
    throws: RangeError,
    says: "k=[1, 5, 2, 4]",
  },
  {
    name: "more values than keys",
    shapes: { q: [1, 3, 4, 8], k: [1, 5, 2, 8], v: [1, 6, 2, 8] },
    throws: RangeError,
    says: "v=[1, 6, 2, 8]",
  },
  {
    name: "heads that do not divide",
    shapes: { q: [1, 3, 4, 8], k: [1, 5, 3, 8], v: [1, 5, 3, 8] },
    throws: RangeError,
    says: "numHeads=4, numKvHeads=3",
  },
  {
    name: "fewer heads than KV heads",
    shapes: { q: [1, 3, 2, 8], k: [1, 5, 4, 8], v: [1, 5, 4, 8] },
    throws: RangeError,
    says: "numHeads=2, numKvHeads=4",
  },
  {
    name: "no tokens",
    shapes: { q: [1, 0, 4, 8], k: [1, 5, 2, 8], v: [1, 5, 2, 8] },
    throws: RangeError,
    says: "q.shape[1]=0",
  },
  {
    name: "an unknown layout",
    shapes: { q: [1, 3, 4, 8], k: [1, 5, 2, 8], v: [1, 5, 2, 8] },
    options: { layout: "SBNH" },
    throws: TypeError,
    says: 'layout="SBNH"',
  },
  {
    name: "an unknown element type",
    shapes: { q: [1, 3, 4, 8], k: [1, 5, 2, 8], v: [1, 5, 2, 8] },
    options: { dtype: "bf16" },
    throws: TypeError,
    says: 'dtype="bf16"',
  },
  {
    name: "an unknown output",
    shapes: { q: [1, 3, 4, 8], k: [1, 5, 2, 8], v: [1, 5, 2, 8] },
    options: { outputs: ["probs"] },
    throws: TypeError,
    says: 'outputs="probs"',
  },
  {
    name: "a scale that is no number",
    shapes: { q: [1, 3, 4, 8], k: [1, 5, 2, 8], v: [1, 5, 2, 8] },
    options: { scale: NaN },
    throws: RangeError,
    says: "scale=NaN",
  },
];

for (const { name, shapes, options, throws, says } of WRONG) {
  Deno.test(`attend: refuses ${name}`, async () => {
    const gpu = await sharedGpu();
    const host = (shape: number[]) => ({
      data: new Float32Array(shape.reduce((a, b) => a * b)),
      shape,
    });
    const inputs = { q: host(shapes.q), k: host(shapes.k), v: host(shapes.v) };
    await assertRejects(() => attend(gpu, inputs, options as never), throws, says);
  });
}

Deno.test("attend: refuses arrays beside tensors, by name", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const host = { data: new Float32Array(8), shape: [1, 1, 1, 8] };
  const tensor = await tensors.upload(host);
  const says = "k must be a Tensor";
  const attendTo = (inputs: unknown) => () =>
    attend(gpu, inputs as Record<"q" | "k" | "v", Tensor>);
  await assertRejects(attendTo({ q: tensor, k: host, v: tensor }), TypeError, says);
  await assertRejects(attendTo({ q: host, k: tensor, v: host }), TypeError, "k");
});

Deno.test("attend: refuses missing tensors, by name", async () => {
  const gpu = await sharedGpu();
  const host = { data: new Float32Array(8), shape: [1, 1, 1, 8] };
  for (const name of ["q", "k", "v"] as const) {
    const inputs = { q: host, k: host, v: host, [name]: undefined };
    await assertRejects(() => attend(gpu, inputs as never), TypeError, `${name} must`);
  }
});

testRandomly("attend: lengths, bias, mask and log-sum-exp", async (random) => {
  const gpu = await sharedGpu();
  const inputs = {
    ...randomInputs(random, SPEC),
    lengths: { data: [19, 7], shape: [2] },
    bias: random.tensor([6, 1, 19]),
    mask: { data: Array.from({ length: 3 * 19 }, () => random.next() < 0.7), shape: [3, 19] },
  };
  const options = {
    ...{ causal: false, softcap: 5, sinkLogits: [0, 1, 2, 3, 4, 5] },
    outputs: ["lse"],
  } as const satisfies AttendOptions;
  const expected = referenceAttention(inputs, options);
  const { o, lse } = await attend(gpu, inputs, options);
  assertClose(o.data, expected.o, TOLERANCE.f32, "o");
  assertEquals(lse.shape, [2, 3, 6]);
  assertClose(lse.data, expected.lse, TOLERANCE.f32, "lse");
});

Deno.test("attend: refuses lengths beyond the keys", async () => {
  const gpu = await sharedGpu();
  const zeros = (...shape: number[]): HostTensor => ({
    data: new Float32Array(shape.reduce((a, b) => a * b)),
    shape,
  });
  const inputs = { q: zeros(2, 1, 1, 4), k: zeros(2, 5, 1, 4), v: zeros(2, 5, 1, 4) };
  const attendTo = (...data: number[]) => () =>
    attend(gpu, { ...inputs, lengths: { data, shape: [data.length] } });
  await assertRejects(attendTo(5, 6), RangeError, "lengths[1]=6, contextLen=5");
  await assertRejects(attendTo(5, -1), RangeError, "lengths[1]=-1");
  await assertRejects(attendTo(5, 0.5), RangeError, "lengths[1]=0.5");
  await assertRejects(attendTo(5), RangeError, "shape=[1], batch=2, elements=1");
});
