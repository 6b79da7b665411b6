// Attention over the shards of a context, merged, is attention over the whole.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type AttentionSpec,
  type HostTensor,
  MergeStates,
  mergeStates,
  referenceAttention,
  referenceMergeStates,
} from "../../mod.ts";
import { buffersOf, withLimits } from "../support/buffers.ts";
import { assertClose, assertSame, MASKED, maskedScores, TOLERANCE } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { randomInputs, runAttention, submit, Tensors } from "../support/run.ts";

/** Tokens `first` to `end` of a BSNH tensor. */
function tokensOf({ data, shape }: HostTensor, first: number, end: number): HostTensor {
  const [batch, tokens, heads, size] = shape;
  const row = heads * size;
  const parts = Array.from(
    { length: batch },
    (_, b) =>
      Array.prototype.slice.call(data, (b * tokens + first) * row, (b * tokens + end) * row),
  );
  return { data: parts.flat(), shape: [batch, end - first, heads, size] };
}

/** Whole numbers that split `total` in `count` parts of at least one. */
function randomSplit(random: Random, total: number, count: number): number[] {
  const cuts = new Set<number>();
  while (cuts.size < count - 1) cuts.add(random.integer(1, total - 1));
  return [0, ...[...cuts].sort((a, b) => a - b), total];
}

const SPEC: AttentionSpec = {
  ...{ batch: 2, numHeads: 6, numKvHeads: 2, headDim: 8, valueDim: 5, seqLen: 3, capacity: 199 },
  causal: false,
};

for (const impl of ["fused", "staged"] as const) {
  testRandomly(`merge: a split into 2 to 5 shards equals the whole, ${impl}`, async (random) => {
    const gpu = await sharedGpu();
    const spec: AttentionSpec = { ...SPEC, impl, outputs: ["lse"] };
    const inputs = randomInputs(random, spec);
    const expected = referenceAttention(inputs, spec);
    for (const count of [2, 3, 4, 5]) {
      const cuts = randomSplit(random, SPEC.capacity, count);
      const parts = [];
      for (let i = 0; i < count; i++) {
        const [k, v] = [inputs.k, inputs.v].map((kv) => tokensOf(kv, cuts[i], cuts[i + 1]));
        const capacity = cuts[i + 1] - cuts[i];
        const part = await runAttention({ ...spec, capacity }, { q: inputs.q, k, v });
        parts.push({
          o: { data: part.o, shape: [2, 3, 6, 5] },
          lse: { data: part.lse!, shape: [2, 3, 6] },
        });
      }
      const { o, lse } = await mergeStates(gpu, parts);
      assertClose(o.data, expected.o, TOLERANCE.f32, `o, cut at ${cuts}`);
      assertClose(lse.data, expected.lse, TOLERANCE.f32, `lse, cut at ${cuts}`);
    }
  });
}

/** States of random rows; some of them see nothing, and some outweigh the rest by far. */
function randomState(random: Random, rows: number, valueDim: number) {
  const lse = random.tensor([rows]);
  for (let i = 0; i < rows; i++) {
    lse.data[i] = random.next() < 0.2 ? MASKED : random.pick([3, 1000, 1e30]) * lse.data[i];
  }
  const o = random.tensor([rows, valueDim]);
  lse.data.forEach((x, i) => {
    if (x === MASKED) o.data.fill(0, i * valueDim, (i + 1) * valueDim);
  });
  return { o, lse };
}

testRandomly("merge: random states against the reference, in place and not", async (random) => {
  const gpu = await sharedGpu();
  // More rows than a line of a grid holds go on in a second one.
  const most = gpu.device.limits.maxComputeWorkgroupsPerDimension;
  for (const [rows, valueDim] of [[1, 1], [70, 7], [3, 300], [131, 64], [most + 77, 1]]) {
    using tensors = new Tensors();
    const merge = tensors.keep(await MergeStates.create(gpu, { shape: [rows, valueDim] }));
    const host = Array.from({ length: 4 }, () => randomState(random, rows, valueDim));
    const parts = await Promise.all(host.map(async ({ o, lse }) => ({
      o: await tensors.upload(o),
      lse: await tensors.upload(lse),
    })));
    const expected = referenceMergeStates(host.map(({ o, lse }) => ({ o: o.data, lse: lse.data })));
    const whole = {
      o: await tensors.poisoned([rows, valueDim]),
      lse: await tensors.poisoned([rows]),
    };
    const check = async ({ o, lse }: typeof whole, what: string) => {
      assertClose(await o.download(), expected.o, TOLERANCE.f32, `o, ${what}`);
      const actual = await lse.download();
      // By its magnitude, but where that is below 1: many sums of states come close to 0.
      const scaled = (lse: ArrayLike<number>) =>
        Array.from(lse, (x, i) => x < -1e37 ? MASKED : x / Math.max(1, Math.abs(expected.lse[i])));
      assertClose(scaled(actual), scaled(maskedScores(expected.lse)), 1e-4, `lse, ${what}`);
    };
    await submit((encoder) => merge.encode(encoder, parts, whole));
    await check(whole, "apart");
    await submit((encoder) => merge.encode(encoder, parts, parts[0]));
    await check(parts[0], "in place");
  }
});

testRandomly(
  "merge: nothing is written behind the last row, where a line of the grid goes on",
  async (random) => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    const [rows, valueDim] = [5, 3];
    const states = [randomState(random, rows, valueDim), randomState(random, rows, valueDim)];
    const parts = await Promise.all(states.map(async ({ o, lse }) => ({
      o: await tensors.upload(o),
      lse: await tensors.upload(lse),
    })));
    const expected = referenceMergeStates(
      states.map(({ o, lse }) => ({ o: o.data, lse: lse.data })),
    );
    const merge = tensors.keep(await MergeStates.create(gpu, { shape: [rows, valueDim] }));
    const o = await tensors.poisonedWithin([rows, valueDim]);
    const lse = await tensors.poisonedWithin([rows]);
    await withLimits({ maxComputeWorkgroupsPerDimension: 3 }, async () => {
      await submit((encoder) => merge.encode(encoder, parts, { o: o.tensor, lse: lse.tensor }));
    });
    assertClose(await o.tensor.download(), expected.o, TOLERANCE.f32, "o");
    for (const { behind } of [o, lse]) {
      assert((await behind()).every(Number.isNaN), "behind the rows");
    }
  },
);

testRandomly("merge: one state is itself, to the bit", async (random) => {
  const state = randomState(random, 9, 8);
  const { o, lse } = await mergeStates(await sharedGpu(), [state]);
  assertSame(o.data, state.o.data, "o");
  assertSame(lse.data, state.lse.data, "lse");
});

testRandomly("merge: what has no share has no influence, not even NaN", async (random) => {
  const seen = randomState(random, 4, 4);
  seen.lse.data.fill(1);
  for (const lse of [MASKED, -Infinity]) {
    const unseen = {
      o: { data: new Float32Array(16).fill(NaN), shape: [4, 4] },
      lse: { data: new Float32Array(4).fill(lse), shape: [4] },
    };
    for (const parts of [[seen, unseen], [unseen, seen]]) {
      const { o, lse } = await mergeStates(await sharedGpu(), parts);
      assertSame(o.data, seen.o.data, "o");
      assertSame(lse.data, seen.lse.data, "lse");
    }
    const nothing = await mergeStates(await sharedGpu(), [unseen, unseen]);
    assertSame(nothing.o.data, new Float32Array(16), "o of nothing");
    assertSame(nothing.lse.data, new Float32Array(4).fill(MASKED), "lse of nothing");
  }
});

testRandomly("merge: f16", async (random) => {
  if (!await hasF16()) return;
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const host = [randomState(random, 9, 8), randomState(random, 9, 8)];
  for (const { o } of host) o.data.set(o.data.map(Math.f16round));
  const parts = await Promise.all(host.map(async ({ o, lse }) => ({
    o: await tensors.upload(o, "f16"),
    lse: await tensors.upload(lse),
  })));
  const expected = referenceMergeStates(host.map(({ o, lse }) => ({ o: o.data, lse: lse.data })));
  const { o, lse } = await mergeStates(gpu, parts);
  tensors.keep(o);
  tensors.keep(lse);
  assertEquals(o.dtype, "f16");
  assertClose(await o.download(), expected.o, TOLERANCE.f16, "o");
});

testRandomly("merge: what was handed over may change", async (random) => {
  const state = () => ({ o: random.tensor([5, 4]), lse: random.tensor([5]) });
  const states = [state(), state()];
  const expected = referenceMergeStates(states.map(({ o, lse }) => ({ o: o.data, lse: lse.data })));
  const pending = mergeStates(await sharedGpu(), states);
  for (const { o, lse } of states) {
    o.data.fill(7);
    lse.data.fill(7);
  }
  states.length = 0;
  const { o, lse } = await pending;
  assertClose(o.data, expected.o, TOLERANCE.f32, "o");
  assertClose(lse.data, expected.lse, TOLERANCE.f32, "lse");
});

Deno.test("merge: refuses what does not fit, and frees what it made", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const zeros = (...shape: number[]): HostTensor => ({
    data: new Float32Array(shape.reduce((a, b) => a * b)),
    shape,
  });
  const part = { o: zeros(2, 4), lse: zeros(2) };
  const { alive } = await buffersOf(async () => {
    await mergeStates(gpu, [part, part]);
    await assertRejects(() => mergeStates(gpu, [] as typeof part[]), TypeError, "states=0");
    const long = { o: zeros(3, 4), lse: zeros(3) };
    const says = "states[1].o must have shape [2, 4]";
    await assertRejects(() => mergeStates(gpu, [part, long]), RangeError, says);
    const flat = { o: zeros(4), lse: zeros(1) };
    await assertRejects(() => mergeStates(gpu, [flat]), TypeError, "shape=[4]");
    const none = { o: { data: [], shape: [2, 0] }, lse: zeros(2) };
    await assertRejects(() => mergeStates(gpu, [none]), RangeError, "shape[1]=0");
    const without = { o: part.o } as typeof part;
    await assertRejects(() => mergeStates(gpu, [without]), TypeError, "lse=undefined");
    const missing = null as never;
    await assertRejects(() => mergeStates(gpu, missing), TypeError, "states=null");
    await assertRejects(() => mergeStates(gpu, [missing]), TypeError, "o=undefined");
    await assertRejects(() => MergeStates.create(gpu, missing), TypeError, "outputs=null");
  });
  assertEquals(alive, []);
  const merge = tensors.keep(await MergeStates.create(gpu, { shape: [2, 4] }));
  const [a, b] = [
    { o: await tensors.upload(part.o), lse: await tensors.upload(part.lse) },
    { o: await tensors.upload(part.o), lse: await tensors.upload(part.lse) },
  ];
  await submit((encoder) => {
    const says = "only the first state may be the whole itself";
    assertThrows(() => merge.encode(encoder, [a, b], b), TypeError, says);
    assertThrows(() => merge.encode(encoder, [a], { o: a.o, lse: b.lse }), TypeError, says);
  });
});

testRandomly("merge: one state stays as it is, where it is", async (random) => {
  using tensors = new Tensors();
  const gpu = await sharedGpu();
  const [o, lse] = [random.tensor([2, 3]), random.tensor([2])];
  const onDevice = await mergeStates(gpu, [
    { o: await tensors.upload(o), lse: await tensors.upload(lse) },
  ]);
  for (const tensor of [onDevice.o, onDevice.lse]) tensors.keep(tensor);
  assertClose(await onDevice.o.download(), o.data, TOLERANCE.f32, "o on the device");
  const onHost = await mergeStates(gpu, [{ o, lse }]);
  assertClose(onHost.o.data, o.data, TOLERANCE.f32, "o on the host");
});
