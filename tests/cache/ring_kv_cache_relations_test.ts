// A ring must be what contiguous K and V are, in whatever pieces they came.
import { assertEquals } from "@std/assert";
import { Attention, type HostTensor, referenceAttention, RingKvCache } from "../../mod.ts";
import { tensorsOf } from "../../src/cache/kv_memory.ts";
import { assertClose, assertSame, MASKED, maskedScores, TOLERANCE } from "../support/compare.ts";
import { sharedGpu } from "../support/gpu.ts";
import { testRandomly } from "../support/random.ts";
import { runAttention, submit, Tensors } from "../support/run.ts";
import { downloadKv, poison } from "../support/transcript.ts";

const [HEADS, KV_HEADS, SIZE] = [4, 2, 8];

/** Tokens `start` to `end` of a [1, tokens, heads, size]. */
function tokensOf({ data, shape }: HostTensor, start: number, end: number): HostTensor {
  const size = shape[2] * shape[3];
  return {
    data: Array.prototype.slice.call(data, start * size, end * size),
    shape: shape.with(1, end - start),
  };
}

/** Appends K and V in pieces of these lengths. */
async function append(
  cache: RingKvCache,
  kv: { k: HostTensor; v: HostTensor },
  pieces: readonly number[],
): Promise<void> {
  using tensors = new Tensors();
  let start = 0;
  for (const piece of pieces) {
    const end = start + piece;
    const k = await tensors.upload(tokensOf(kv.k, start, end));
    const v = await tensors.upload(tokensOf(kv.v, start, end));
    await submit((encoder) => cache.append(encoder, { k, v }));
    start = end;
  }
}

testRandomly("a wrapped ring is its last tokens, contiguous, to the bit", async (random) => {
  const gpu = await sharedGpu();
  const [capacity, numTokens] = [19, 45];
  const q = random.tensor([1, 1, HEADS, SIZE]);
  const kv = {
    k: random.tensor([1, numTokens, KV_HEADS, SIZE]),
    v: random.tensor([1, numTokens, KV_HEADS, SIZE]),
  };
  using cache = new Tensors();
  const options = { numKvHeads: KV_HEADS, headDim: SIZE, capacity, overflow: "wrap" } as const;
  const ring = cache.keep(await RingKvCache.create(gpu, options));
  await append(ring, kv, new Array(numTokens).fill(1));
  const outputs = ["scores", "weights"] as const;
  const fromRing = await runAttention({ ...ring.spec, numHeads: HEADS, outputs }, {
    ...{ q, cache: ring },
  });
  const contiguous = await runAttention(
    { numHeads: HEADS, numKvHeads: KV_HEADS, headDim: SIZE, capacity, outputs },
    {
      q,
      k: tokensOf(kv.k, numTokens - capacity, numTokens),
      v: tokensOf(kv.v, numTokens - capacity, numTokens),
    },
  );
  for (const name of ["scores", "weights", "o"] as const) {
    assertSame(fromRing[name]!, contiguous[name]!, name);
  }
});

testRandomly("many small appends are one large append, slot for slot", async (random) => {
  const gpu = await sharedGpu();
  const kv = {
    k: random.tensor([1, 19, KV_HEADS, SIZE]),
    v: random.tensor([1, 19, KV_HEADS, 7]),
  };
  const contents: Float32Array[][] = [];
  for (const pieces of [[19], new Array(19).fill(1), [3, 1, 8, 7]]) {
    using tensors = new Tensors();
    const options = { numKvHeads: KV_HEADS, headDim: SIZE, valueDim: 7, capacity: 19 };
    const cache = tensors.keep(await RingKvCache.create(gpu, options));
    await append(cache, kv, pieces);
    contents.push([await downloadKv(cache, "k"), await downloadKv(cache, "v")]);
  }
  for (const [k, v] of contents) {
    assertSame(k, contents[0][0], "k");
    assertSame(v, contents[0][1], "v");
  }
});

testRandomly("a batch of sequences is a cache for each", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const options = { numKvHeads: 1, headDim: SIZE, capacity: 5, window: 4, maxSeqLen: 2 };
  const together = tensors.keep(await RingKvCache.create(gpu, { ...options, batch: 2 }));
  const apart = [
    tensors.keep(await RingKvCache.create(gpu, options)),
    tensors.keep(await RingKvCache.create(gpu, options)),
  ];
  for (let step = 0; step < 4; step++) {
    const sequences = [0, 1].map(() => ({
      k: random.tensor([1, 2, 1, SIZE]),
      v: random.tensor([1, 2, 1, SIZE]),
      q: random.tensor([1, 2, 3, SIZE]),
    }));
    const both = (name: "k" | "v" | "q"): HostTensor => ({
      data: sequences.flatMap((sequence) => [...sequence[name].data]),
      shape: sequences[0][name].shape.with(0, 2),
    });
    const k = await tensors.upload(both("k"));
    const v = await tensors.upload(both("v"));
    await submit((encoder) => together.append(encoder, { k, v }));
    const { o } = await runAttention({ ...together.spec, numHeads: 3, seqLen: 2 }, {
      ...{ q: both("q"), cache: together },
    });
    for (const [b, { q, ...kv }] of sequences.entries()) {
      await append(apart[b], kv, [2]);
      const alone = await runAttention({ ...apart[b].spec, numHeads: 3, seqLen: 2 }, {
        ...{ q, cache: apart[b] },
      });
      const size = alone.o.length;
      assertSame(o.subarray(b * size, (b + 1) * size), alone.o, `step ${step}, sequence ${b}`);
    }
  }
});

testRandomly(
  "appends at different lengths are a loop over sequences, to the bit",
  async (random) => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    const [batch, seqLen] = [3, 4];
    const options = {
      numKvHeads: KV_HEADS,
      headDim: SIZE,
      capacity: 9,
      window: 6,
      maxSeqLen: seqLen,
    };
    const create = async (batch: number) =>
      tensors.keep(await RingKvCache.create(gpu, { ...options, batch }));
    const together = await create(batch);
    const apart = await Promise.all(Array.from({ length: batch }, () => create(1)));
    for (let step = 0; step < 6; step++) {
      const lengths = Array.from(
        { length: batch },
        () => random.integer(step === 0 ? 1 : 0, seqLen),
      );
      const host = (heads: number) => random.tensor([batch, seqLen, heads, SIZE]);
      const [kv, q] = [{ k: host(KV_HEADS), v: host(KV_HEADS) }, host(HEADS)];
      const k = await tensors.upload(kv.k);
      const v = await tensors.upload(kv.v);
      await submit((encoder) => together.append(encoder, { k, v, lengths }));
      const spec = { numHeads: HEADS, seqLen };
      const { o } = await runAttention({ ...together.spec, ...spec }, { q, cache: together });
      for (const [b, cache] of apart.entries()) {
        const of = ({ data, shape }: HostTensor): HostTensor => {
          const size = data.length / batch;
          const sequence = Array.prototype.slice.call(data, b * size, (b + 1) * size);
          return { data: sequence, shape: shape.with(0, 1) };
        };
        if (lengths[b] > 0) await append(cache, { k: of(kv.k), v: of(kv.v) }, [lengths[b]]);
        const alone = await runAttention({ ...cache.spec, ...spec }, { q: of(q), cache });
        const size = alone.o.length;
        assertSame(o.subarray(b * size, (b + 1) * size), alone.o, `step ${step}, sequence ${b}`);
      }
    }
  },
);

testRandomly("rolled back and appended again is appended straight, to the bit", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const options = { numKvHeads: KV_HEADS, headDim: SIZE, capacity: 9, window: 6, maxSeqLen: 4 };
  const straight = tensors.keep(await RingKvCache.create(gpu, options));
  const speculating = tensors.keep(await RingKvCache.create(gpu, options));
  const tokens = (count: number) => ({
    k: random.tensor([1, count, KV_HEADS, SIZE]),
    v: random.tensor([1, count, KV_HEADS, SIZE]),
  });
  for (let step = 0; step < 8; step++) {
    const rejected = random.integer(0, 4);
    if (rejected > 0) await append(speculating, tokens(rejected), [rejected]);
    const length = straight.length();
    await submit((encoder) => speculating.truncate(encoder, length));
    const seqLen = random.integer(1, 4);
    const kv = tokens(seqLen);
    const q = random.tensor([1, seqLen, HEADS, SIZE]);
    const outputs: Float32Array[] = [];
    for (const cache of [straight, speculating]) {
      await append(cache, kv, [seqLen]);
      const spec = { ...cache.spec, numHeads: HEADS, seqLen };
      outputs.push((await runAttention(spec, { q, cache })).o);
    }
    assertSame(outputs[1], outputs[0], `step ${step}`);
  }
});

testRandomly(
  "a fork is the sequence it was forked from, which it does not touch",
  async (random) => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    const options = { batch: 2, numKvHeads: KV_HEADS, headDim: SIZE, capacity: 5, window: 5 };
    const cache = tensors.keep(await RingKvCache.create(gpu, options));
    const appendTo = async (sequence: number) => {
      const k = await tensors.upload(random.tensor([2, 1, KV_HEADS, SIZE]));
      const lengths = [sequence === 0 ? 1 : 0, sequence === 1 ? 1 : 0];
      await submit((encoder) => cache.append(encoder, { k, v: k, lengths }));
    };
    const attend = async (q: HostTensor) => {
      const both = {
        data: [...q.data as Float32Array, ...q.data as Float32Array],
        shape: [2, 1, HEADS, SIZE],
      };
      const { o } = await runAttention({ ...cache.spec, numHeads: HEADS }, { q: both, cache });
      return [o.slice(0, o.length / 2), o.slice(o.length / 2)];
    };
    for (let i = 0; i < 7; i++) await appendTo(0);
    const q = random.tensor([1, 1, HEADS, SIZE]);
    const [before] = await attend(q);
    await submit((encoder) => cache.fork(encoder, { from: 0, to: 1 }));
    const [parent, child] = await attend(q);
    assertSame(parent, before, "parent");
    assertSame(child, before, "child");
    await appendTo(1);
    const [untouched, diverged] = await attend(q);
    assertSame(untouched, before, "parent after its child went on");
    assertEquals(diverged.every((x, i) => x !== before[i]), true);
    assertEquals([cache.length(0), cache.length(1)], [7, 8]);
  },
);

testRandomly("scores and weights past the end of a short sequence are masked", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  // Longer than the 256 columns of a workgroup, so that whole workgroups are past the end.
  const [capacity, numTokens] = [600, 3];
  const options = { numKvHeads: KV_HEADS, headDim: SIZE, capacity };
  const cache = tensors.keep(await RingKvCache.create(gpu, options));
  poison(cache);
  const kv = {
    k: random.tensor([1, numTokens, KV_HEADS, SIZE]),
    v: random.tensor([1, numTokens, KV_HEADS, SIZE]),
  };
  await append(cache, kv, [numTokens]);
  const q = random.tensor([1, 2, HEADS, SIZE]);
  const outputs = ["scores", "weights"] as const;
  const spec = { ...cache.spec, numHeads: HEADS, seqLen: 2, outputs };
  const { o, scores, weights } = await runAttention(spec, { q, cache });
  const expected = referenceAttention({ q, ...kv });
  const padded = (rows: Float64Array, filler: number) =>
    Array.from({ length: HEADS * 2 }, (_, row) => [
      ...rows.subarray(row * numTokens, (row + 1) * numTokens),
      ...new Array(capacity - numTokens).fill(filler),
    ]).flat();
  const expectedScores = maskedScores(expected.scores);
  assertClose(scores!, padded(expectedScores, MASKED), TOLERANCE.f32, "scores");
  assertClose(weights!, padded(expected.weights, 0), TOLERANCE.f32, "weights");
  assertClose(o, expected.o, TOLERANCE.f32, "o");
});

testRandomly("a sequence without tokens gives zero beside one that has some", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const options = { batch: 2, numKvHeads: 1, headDim: SIZE, capacity: 7 };
  const cache = tensors.keep(await RingKvCache.create(gpu, options));
  const k = await tensors.upload(random.tensor([2, 3, 1, SIZE]));
  await submit((encoder) => {
    cache.append(encoder, { k, v: k });
    cache.clear(encoder, 0);
  });
  poisonSequence(cache, 0);
  const q = random.tensor([2, 1, HEADS, SIZE]);
  const { o } = await runAttention({ ...cache.spec, numHeads: HEADS }, { q, cache });
  assertSame(o.subarray(0, HEADS * SIZE), new Float32Array(HEADS * SIZE), "o of sequence 0");
  assertEquals(o.subarray(HEADS * SIZE).every((x) => x !== 0), true);
});

function poisonSequence(cache: RingKvCache, sequence: number): void {
  const { queue } = cache.gpu.device;
  for (const { buffer } of tensorsOf(cache.parts)) {
    const size = buffer.size / cache.spec.batch;
    queue.writeBuffer(buffer, sequence * size, new Uint8Array(size).fill(0xff));
  }
}

testRandomly("an attention serves a cache that grows, shrinks and grows again", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const options = { numKvHeads: 1, headDim: SIZE, capacity: 300, maxSeqLen: 290 };
  const cache = tensors.keep(await RingKvCache.create(gpu, options));
  const attention = tensors.keep(
    await Attention.create(gpu, { ...cache.spec, numHeads: HEADS }),
  );
  const q = random.tensor([1, 1, HEADS, SIZE]);
  const qTensor = await tensors.upload(q);
  for (const numTokens of [290, 2, 33]) {
    const kv = {
      k: random.tensor([1, numTokens, 1, SIZE]),
      v: random.tensor([1, numTokens, 1, SIZE]),
    };
    const o = await tensors.poisoned(q.shape);
    await submit((encoder) => cache.clear(encoder));
    poison(cache);
    await append(cache, kv, [numTokens]);
    await submit((encoder) => attention.encode(encoder, { q: qTensor, cache, o }));
    const expected = referenceAttention({ q, ...kv }).o;
    assertClose(await o.download(), expected, TOLERANCE.f32, `${numTokens} tokens`);
  }
});
