// Corners of a ring: second lines of grids, other sequences' tokens, distances across a wrap, lengths beyond the slots.
import { assertEquals, assertThrows } from "@std/assert";
import {
  Attention,
  type HostTensor,
  referenceAttention,
  RingKvCache,
  type RingKvCacheOptions,
} from "../../mod.ts";
import { assertClose, assertSame, TOLERANCE } from "../support/compare.ts";
import { sharedGpu } from "../support/gpu.ts";
import { testRandomly } from "../support/random.ts";
import { runAttention, shapeOf, submit, swapLayout, Tensors } from "../support/run.ts";
import { downloadKv, downloadU32, poison, Transcript } from "../support/transcript.ts";

const [HEADS, KV_HEADS, SIZE] = [4, 2, 8];

/** Tokens `start` to `end` of every sequence of a [batch, tokens, ...]. */
function tokensOf({ data, shape }: HostTensor, start: number, end: number): HostTensor {
  const size = shape.slice(2).reduce((product, size) => product * size, 1);
  const rows = Array.from({ length: shape[0] }, (_, b) => {
    const first = b * shape[1] * size;
    return Array.prototype.slice.call(data, first + start * size, first + end * size);
  });
  return { data: rows.flat(), shape: shape.with(1, end - start) };
}

testRandomly("fork: every element of more than 65,536 is copied", async (random) => {
  const gpu = await sharedGpu();
  for (const kvDtype of ["f32", "int8"] as const) {
    using tensors = new Tensors();
    const capacity = 9001;
    const options = { batch: 2, numKvHeads: 1, headDim: 32, valueDim: 8, capacity, kvDtype };
    const cache = tensors.keep(await RingKvCache.create(gpu, options));
    poison(cache);
    const k = await tensors.upload(random.tensor([2, capacity, 1, 32]));
    const v = await tensors.upload(random.tensor([2, capacity, 1, 8]));
    await submit((encoder) => {
      cache.append(encoder, { k, v, lengths: [capacity, 7] });
      cache.fork(encoder, { from: 0, to: 1 });
    });
    for (const name of ["k", "v"] as const) {
      const rows = await downloadKv(cache, name);
      const half = rows.length / 2;
      assertSame(rows.subarray(half), rows.subarray(0, half), `${name} in ${kvDtype}`);
    }
    assertEquals([...await downloadU32(cache.lengthsBuffer)], [capacity, capacity]);
  }
});

testRandomly(
  "append: as many tokens of more or fewer new ones are the right ones",
  async (random) => {
    const gpu = await sharedGpu();
    for (const layout of ["BSNH", "BNSH"] as const) {
      using tensors = new Tensors();
      const options = { batch: 2, numKvHeads: KV_HEADS, headDim: SIZE, capacity: 9, layout };
      const cache = tensors.keep(await RingKvCache.create(gpu, options));
      poison(cache);
      const transcript = new Transcript(cache);
      for (const tokens of [3, 2, 4]) {
        const shape = shapeOf(layout, { batch: 2, heads: KV_HEADS, tokens, size: SIZE });
        const [k, v] = [random.tensor(shape), random.tensor(shape)];
        const given = { k: await tensors.upload(k), v: await tensors.upload(v), lengths: [2, 1] };
        await submit((encoder) => cache.append(encoder, given));
        transcript.append(k, v, given.lengths);
      }
      await transcript.check();
    }
  },
);

/** A ring of two sequences, of which the given one has wrapped. */
async function wrappedIn(tensors: Tensors, sequence: 0 | 1, options?: Partial<RingKvCacheOptions>) {
  const gpu = await sharedGpu();
  const shape = { batch: 2, numKvHeads: KV_HEADS, headDim: SIZE, capacity: 6, window: 4 };
  const cache = tensors.keep(await RingKvCache.create(gpu, { ...shape, ...options }));
  const k = await tensors.poisoned([2, 2, KV_HEADS, SIZE]);
  const lengths = [1, 1].with(sequence, 2);
  await submit((encoder) => {
    for (let i = 0; i < 4; i++) cache.append(encoder, { k, v: k, lengths });
  });
  return cache;
}

for (const sequence of [0, 1] as const) {
  Deno.test(`ring: a query over what sequence ${sequence} alone has overwritten is refused`, async () => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    const cache = await wrappedIn(tensors, sequence);
    assertEquals([cache.oldest(sequence), cache.oldest(1 - sequence)], [2, 0]);
    const attention = tensors.keep(
      await Attention.create(gpu, { ...cache.spec, window: 7, numHeads: HEADS }),
    );
    const q = await tensors.poisoned([2, 1, HEADS, SIZE]);
    const o = await tensors.poisoned([2, 1, HEADS, SIZE]);
    await submit((encoder) => {
      const encode = () => attention.encode(encoder, { q, cache, o });
      assertThrows(encode, RangeError, "length=8, oldest=2");
      cache.clear(encoder, sequence);
      encode();
    });
  });
}

Deno.test("fork: the copy has lost what the other has lost", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const cache = await wrappedIn(tensors, 0);
  await submit((encoder) => cache.fork(encoder, { from: 0, to: 1 }));
  assertEquals([cache.oldest(0), cache.oldest(1)], [2, 2]);
  assertEquals([cache.length(0), cache.length(1)], [8, 8]);
  const spec = { ...cache.spec, window: 7, numHeads: HEADS };
  const attention = tensors.keep(await Attention.create(gpu, spec));
  const q = await tensors.poisoned([2, 1, HEADS, SIZE]);
  const o = await tensors.poisoned([2, 1, HEADS, SIZE]);
  await submit((encoder) => {
    cache.clear(encoder, 0);
    const encode = () => attention.encode(encoder, { q, cache, o });
    assertThrows(encode, RangeError, "length=8, oldest=2");
    assertThrows(() => cache.truncate(encoder, 4, 1), RangeError, "overwritten=1, oldest=2");
  });
});

testRandomly(
  "ALiBi counts the distance to sinks across everything that was overwritten",
  async (random) => {
    const gpu = await sharedGpu();
    const [numTokens, seqLen] = [41, 3];
    const alibiSlopes = Array.from({ length: HEADS }, () => 0.02 + 0.1 * random.next());
    const options = { numKvHeads: KV_HEADS, headDim: SIZE, capacity: 12, window: 7, sinks: 3 };
    for (const impl of ["fused", "staged"] as const) {
      using tensors = new Tensors();
      const cache = tensors.keep(await RingKvCache.create(gpu, { ...options, maxSeqLen: seqLen }));
      const [k, v] = [0, 1].map(() => random.tensor([1, numTokens, KV_HEADS, SIZE]));
      const q = random.tensor([1, seqLen, HEADS, SIZE]);
      for (let token = 0; token < numTokens; token++) {
        const one = {
          k: await tensors.upload(tokensOf(k, token, token + 1)),
          v: await tensors.upload(tokensOf(v, token, token + 1)),
        };
        await submit((encoder) => cache.append(encoder, one));
      }
      const spec = { ...cache.spec, numHeads: HEADS, seqLen, alibiSlopes, impl };
      const { o } = await runAttention({ ...spec, outputs: ["lse"] }, { q, cache });
      const { window, sinks } = options;
      const expected = referenceAttention({ q, k, v }, { window, sinks, alibiSlopes });
      assertClose(o, expected.o, TOLERANCE.f32, impl);
    }
  },
);

testRandomly(
  "a ring that is rolled back to its sinks goes on as one that has only those",
  async (random) => {
    const gpu = await sharedGpu();
    const options = { numKvHeads: KV_HEADS, headDim: SIZE, capacity: 9, window: 4, sinks: 2 };
    for (const left of [0, 1, 2]) {
      using tensors = new Tensors();
      const [k, v] = [0, 1].map(() => random.tensor([1, 20, KV_HEADS, SIZE]));
      const one = async (token: number) => ({
        k: await tensors.upload(tokensOf(k, token, token + 1)),
        v: await tensors.upload(tokensOf(v, token, token + 1)),
      });
      const create = async () => tensors.keep(await RingKvCache.create(gpu, options));
      const [rolled, fresh] = [await create(), await create()];
      for (let token = 0; token < 20; token++) {
        const tokens = await one(token);
        await submit((encoder) => {
          rolled.append(encoder, tokens);
          if (token < left) fresh.append(encoder, tokens);
        });
      }
      await submit((encoder) => rolled.truncate(encoder, left));
      assertEquals([rolled.length(), rolled.oldest()], [left, 0]);
      const q = random.tensor([1, 1, HEADS, SIZE]);
      for (let token = 5; token < 20; token++) {
        const tokens = await one(token);
        await submit((encoder) => {
          for (const cache of [rolled, fresh]) cache.append(encoder, tokens);
        });
        const spec = { ...fresh.spec, numHeads: HEADS };
        const { o } = await runAttention(spec, { q, cache: rolled });
        const expected = await runAttention(spec, { q, cache: fresh });
        assertSame(o, expected.o, `token ${token} after a rollback to ${left}`);
      }
    }
  },
);

testRandomly("lengths above the capacity are those of a ring of its slots", async (random) => {
  const gpu = await sharedGpu();
  const [capacity, numTokens, seqLen] = [10, 23, 2];
  const options: RingKvCacheOptions = {
    ...{ batch: 2, numKvHeads: KV_HEADS, headDim: SIZE, capacity, overflow: "wrap" },
  };
  using tensors = new Tensors();
  const cache = tensors.keep(await RingKvCache.create(gpu, options));
  const [k, v] = [0, 1].map(() => random.tensor([2, numTokens, KV_HEADS, SIZE]));
  for (let token = 0; token < numTokens; token++) {
    const one = {
      k: await tensors.upload(tokensOf(k, token, token + 1)),
      v: await tensors.upload(tokensOf(v, token, token + 1)),
    };
    await submit((encoder) => cache.append(encoder, { ...one, lengths: [1, token < 4 ? 1 : 0] }));
  }
  const slots = async (name: "k" | "v") => ({
    data: await downloadKv(cache, name),
    shape: [2, KV_HEADS, capacity, SIZE],
  });
  const [kSlots, vSlots] = [await slots("k"), await slots("v")];
  const lengths = { data: [numTokens, 4], shape: [2] };
  const q = random.tensor([2, seqLen, HEADS, SIZE]);
  for (const impl of ["fused", "staged"] as const) {
    const outputs = ["lse"] as const;
    const spec = { ...cache.spec, window: 9, numHeads: HEADS, seqLen, impl, outputs };
    const contiguous = { q, k: kSlots, v: vSlots, lengths };
    const ofRing = await runAttention(spec, { q, cache });
    const ofLengths = await runAttention(spec, contiguous);
    assertSame(ofLengths.o, ofRing.o, `${impl}: o`);
    assertSame(ofLengths.lse!, ofRing.lse!, `${impl}: lse`);
    // The same slots in the other layout.
    const turned = { ...contiguous, k: swapLayout(kSlots), v: swapLayout(vSlots) };
    const { o } = await runAttention({ ...spec, kvLayout: "BSNH" }, turned);
    assertClose(o, ofRing.o, TOLERANCE.f32, `${impl}: BSNH`);
  }
});
