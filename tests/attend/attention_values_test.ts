// Values that go wrong quietly: NaN in memory that nobody wrote, large scores, rows that see nothing.
import { assertEquals } from "@std/assert";
import { Attention, type AttentionSpec, type HostTensor, referenceAttention } from "../../mod.ts";
import { withPoisonedBuffers } from "../support/buffers.ts";
import { assertClose, assertSame, MASKED, maskedScores, TOLERANCE } from "../support/compare.ts";
import { sharedGpu } from "../support/gpu.ts";
import { testRandomly } from "../support/random.ts";
import { randomInputs, runAttention, submit, Tensors } from "../support/run.ts";

const SHAPES: readonly AttentionSpec[] = [
  { numHeads: 3, numKvHeads: 1, headDim: 8, seqLen: 1, capacity: 19 },
  { numHeads: 3, numKvHeads: 1, headDim: 8, seqLen: 65, capacity: 300, batch: 2 },
  { numHeads: 2, numKvHeads: 2, headDim: 8, seqLen: 19, capacity: 700, window: 65 },
  { numHeads: 2, numKvHeads: 2, headDim: 7, seqLen: 19, capacity: 3 },
];

for (const spec of SHAPES) {
  const name = `${spec.seqLen} of ${spec.capacity} tokens`;
  testRandomly(`attention reads nothing that it has not written: ${name}`, async (random) => {
    const inputs = randomInputs(random, spec);
    const { o } = await withPoisonedBuffers(() => runAttention(spec, inputs));
    assertClose(o, referenceAttention(inputs, spec).o, TOLERANCE.f32, "o");
  });

  testRandomly(`attention leaves nothing behind for its next run: ${name}`, async (random) => {
    using tensors = new Tensors();
    const attention = tensors.keep(await Attention.create(await sharedGpu(), spec));
    const inputs = randomInputs(random, spec);
    const expected = referenceAttention(inputs, spec);
    const [q, k, v] = await Promise.all(
      [inputs.q, inputs.k, inputs.v].map((host) => tensors.upload(host)),
    );
    const nanQ = await tensors.poisoned(q.shape);
    const nanO = await tensors.poisoned(inputs.q.shape);
    const o = await tensors.poisoned(inputs.q.shape);
    await submit((encoder) => {
      attention.encode(encoder, { q: nanQ, k, v, o: nanO });
      attention.encode(encoder, { q, k, v, o });
    });
    assertClose(await o.download(), expected.o, TOLERANCE.f32, "o");
    // The first run must have gone through: elsewise it left nothing because it did nothing.
    const seenRows = Math.min(spec.seqLen!, spec.capacity) * spec.numHeads * (spec.batch ?? 1);
    const numNan = (await nanO.download()).filter(Number.isNaN).length;
    assertEquals(numNan, seenRows * spec.headDim);
  });
}

// Sums of whole numbers below 2^24 are exact in f32, so that only softmax is put to the test.
const LARGE: readonly { name: string; score: (key: number) => number }[] = [
  { name: "all about 1e4", score: (key) => 10_000 + key % 3 },
  { name: "all about -1e4", score: (key) => -10_000 - key % 3 },
  { name: "all exactly -1e4", score: () => -10_000 },
  { name: "1e4 and -1e4 by turns", score: (key) => key % 2 === 0 ? 10_000 : -10_000 },
  { name: "growing to 1e4", score: (key) => 10_000 - 2 * (599 - key) },
  { name: "falling from 1e4", score: (key) => 10_000 - 2 * key },
  { name: "one large among small", score: (key) => key === 577 ? 10_000 : key % 5 },
  { name: "about -1e38", score: (key) => -(2 ** 126) * (1 + key % 2) },
];

for (const { name, score } of LARGE) {
  testRandomly(`attention: scores ${name}`, async (random) => {
    const [numHeads, seqLen, capacity] = [3, 5, 600];
    const spec: AttentionSpec = { numHeads, numKvHeads: 1, headDim: 4, seqLen, capacity, scale: 1 };
    const q: HostTensor = {
      data: Array.from({ length: seqLen * numHeads }, () => [0, 1, 0, 0]).flat(),
      shape: [1, seqLen, numHeads, 4],
    };
    const k: HostTensor = {
      data: Array.from({ length: capacity }, (_, key) => [7, score(key), -3, 5]).flat(),
      shape: [1, capacity, 1, 4],
    };
    const inputs = { q, k, v: random.tensor([1, capacity, 1, 4]) };
    const expected = referenceAttention(inputs, spec);
    const all = await runAttention({ ...spec, outputs: ["scores", "weights"] }, inputs);
    assertSame(all.scores!, maskedScores(expected.scores), "scores");
    assertClose(all.weights!, expected.weights, TOLERANCE.f32, "weights");
    assertClose(all.o, expected.o, TOLERANCE.f32, "o");
    const { o } = await runAttention(spec, inputs);
    assertClose(o, expected.o, TOLERANCE.f32, "o alone");
  });
}

testRandomly("attention: rows that see nothing give zero, not NaN", async (random) => {
  const spec: AttentionSpec = {
    ...{ numHeads: 4, numKvHeads: 2, headDim: 8, seqLen: 9, capacity: 2, batch: 2 },
    ...{ layout: "BNSH", outputs: ["scores", "weights"] },
  };
  const { o, scores, weights } = await runAttention(spec, randomInputs(random, spec));
  // [B, N, S, ...]: the first 7 of every 9 rows are before the context.
  const unseen = (rows: Float32Array, size: number) =>
    rows.filter((_, index) => Math.floor(index / size) % 9 < 7);
  assertSame(unseen(o, 8), new Float32Array(8 * 7 * 8), "o");
  assertSame(unseen(weights!, 2), new Float32Array(8 * 7 * 2), "weights");
  assertSame(unseen(scores!, 2), new Float32Array(8 * 7 * 2).fill(MASKED), "scores");
});

testRandomly("attention: what is masked has no influence, however large", async (random) => {
  const spec: AttentionSpec = {
    ...{ numHeads: 3, numKvHeads: 1, headDim: 8, seqLen: 19, capacity: 65, window: 7 },
  };
  const inputs = randomInputs(random, spec);
  const first = await runAttention(spec, inputs);
  // The first query is at position 46 and sees the keys from 40 on; the last key is seen by the last query alone.
  for (const { data, shape } of [inputs.k, inputs.v]) {
    const size = shape[3];
    (data as Float32Array).fill(1e30, 0, 40 * size);
    (data as Float32Array).fill(-1e30, 64 * size);
  }
  const second = await runAttention(spec, inputs);
  const beforeLast = 18 * 3 * 8;
  assertSame(second.o.subarray(0, beforeLast), first.o.subarray(0, beforeLast), "o");
});

testRandomly("attention: what a row does not see cannot reach it, not even NaN", async (random) => {
  const spec: AttentionSpec = { numHeads: 2, numKvHeads: 1, headDim: 4, seqLen: 4, capacity: 4 };
  const seen = 3 * 2 * 4;
  for (const value of [Infinity, NaN]) {
    const inputs = randomInputs(random, spec);
    const expected = referenceAttention(inputs, spec).o.subarray(0, seen);
    const last = inputs.v.data as Float32Array;
    last.fill(value, 3 * 4);
    const { o } = await runAttention(spec, inputs);
    assertClose(o.subarray(0, seen), expected, TOLERANCE.f32, `o beside ${value}`);
  }
});

testRandomly("attention: an infinite last value counts once, not past the end", async (random) => {
  const capacity = random.integer(1, 260);
  const spec: AttentionSpec = { numHeads: 2, headDim: 8, capacity };
  const inputs = randomInputs(random, spec);
  (inputs.v.data as Float32Array).fill(Infinity, (capacity - 1) * 2 * 8);
  for (const impl of ["fused", "staged"] as const) {
    const { o } = await runAttention({ ...spec, impl }, inputs);
    assertEquals([...o], Array(o.length).fill(Infinity), `${impl}, ${capacity} tokens`);
  }
});

testRandomly("attention: a row that sees a NaN is NaN, capped or not", async (random) => {
  const spec: AttentionSpec = { numHeads: 2, numKvHeads: 1, headDim: 4, capacity: 70 };
  const inputs = randomInputs(random, spec);
  (inputs.k.data as Float32Array)[4 * random.integer(0, 69)] = NaN;
  for (const impl of ["fused", "staged"] as const) {
    for (const softcap of [undefined, 5]) {
      const { o, lse } = await runAttention({ ...spec, impl, softcap, outputs: ["lse"] }, inputs);
      assertEquals(o.filter(Number.isNaN).length, o.length, `o, ${impl}, softcap ${softcap}`);
      assertEquals([...lse!], [NaN, NaN], `lse, ${impl}, softcap ${softcap}`);
    }
  }
});
