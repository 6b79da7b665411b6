// A saved cache resumes bit for bit, or is refused whole.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Attention,
  DeviceLostError,
  type HostTensor,
  RingKvCache,
  type RingKvCacheOptions,
  SnapshotError,
  Tensor,
} from "../../mod.ts";
import { withLimits, withRefusedBuffers } from "../support/buffers.ts";
import { assertSame } from "../support/compare.ts";
import { hasF16, openGpu, sharedGpu } from "../support/gpu.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { rounded, shapeOf, submit, Tensors } from "../support/run.ts";
import { downloadKv, downloadU32, poison } from "../support/transcript.ts";

/** New tokens for one append, and the queries that attend to them. */
interface Step {
  k: HostTensor;
  /** None where values are keys. */
  v?: HostTensor;
  q: HostTensor;
  lengths?: number[];
}

function randomStep(random: Random, cache: RingKvCache, seqLen: number): Step {
  const { batch, numKvHeads, headDim, valueDim, valuesAre, layout, dtype } = cache.spec;
  const host = (heads: number, size: number) =>
    rounded(random.tensor(shapeOf(layout, { batch, heads, tokens: seqLen, size })), dtype);
  return {
    k: host(numKvHeads, headDim),
    v: valuesAre === "keys" ? undefined : host(numKvHeads, valueDim),
    q: host(2 * numKvHeads, headDim),
    lengths: random.next() < 0.5
      ? undefined
      : Array.from({ length: batch }, () => random.integer(0, seqLen)),
  };
}

/** Appends and attends; what the attention gives, if all that it needs is there. */
async function play(cache: RingKvCache, { k, v, q, lengths }: Step): Promise<Float32Array> {
  const { gpu, spec } = cache;
  const { dtype, layout } = spec;
  const made: { destroy(): void }[] = [];
  const keep = <Kind extends { destroy(): void }>(it: Kind) => (made.push(it), it);
  try {
    const upload = async (host: HostTensor) => keep(await Tensor.upload(gpu, host, { dtype }));
    const [kNew, vNew, queries] = [await upload(k), v && await upload(v), await upload(q)];
    const seqLen = q.shape[layout === "BSNH" ? 1 : 2];
    const attention = keep(
      await Attention.create(gpu, { ...spec, numHeads: 2 * spec.numKvHeads, seqLen }),
    );
    const o = keep(await Tensor.empty(gpu, q.shape.with(3, spec.valueDim), { dtype }));
    const encoder = gpu.device.createCommandEncoder();
    cache.append(encoder, { k: kNew, v: vNew, lengths });
    if (cache.maxLength > 0) attention.encode(encoder, { q: queries, cache, o });
    gpu.device.queue.submit([encoder.finish()]);
    return await o.download();
  } finally {
    for (const it of made) it.destroy();
  }
}

/** Everything that shows whether a cache changed. */
async function stateOf(cache: RingKvCache) {
  const sequences = Array.from({ length: cache.spec.batch }, (_, b) => b);
  return {
    lengths: sequences.map((b) => cache.length(b)),
    oldest: sequences.map((b) => cache.oldest(b)),
    lengthsOnDevice: [...await downloadU32(cache.lengthsBuffer)],
    k: [...await downloadKv(cache, "k")],
    v: cache.spec.valuesAre === "keys" ? [] : [...await downloadKv(cache, "v")],
  };
}

function randomOptions(random: Random, dtype: "f32" | "f16"): RingKvCacheOptions {
  const window = random.integer(1, 12);
  const maxSeqLen = random.integer(1, 6);
  const [headDim, valueDim] = [random.integer(1, 9), random.integer(1, 9)];
  return {
    batch: random.integer(1, 3),
    numKvHeads: random.integer(1, 3),
    ...{ headDim, valueDim, valuesAre: valueDim <= headDim ? "keys" : undefined },
    capacity: window + maxSeqLen - 1 + random.integer(0, 3),
    ...{ window, maxSeqLen, dtype },
    layout: random.pick(["BSNH", "BNSH"]),
  };
}

testRandomly(
  "snapshot, restore and continue is never having stopped, to the bit",
  async (random) => {
    const gpu = await sharedGpu();
    for (let round = 0; round < 4; round++) {
      using tensors = new Tensors();
      const options = randomOptions(random, await hasF16() && round % 2 === 1 ? "f16" : "f32");
      // As many tokens each time, so that kernels are compiled once; what a sequence takes of them differs.
      const next = () => randomStep(random, straight, options.maxSeqLen!);
      const straight = tensors.keep(await RingKvCache.create(gpu, options));
      for (let step = random.integer(0, 8); step > 0; step--) await play(straight, next());
      const saved = await straight.snapshot();
      const anew = tensors.keep(await RingKvCache.restore(gpu, saved));
      const over = tensors.keep(await RingKvCache.create(gpu, options));
      await play(over, next());
      poison(over);
      await over.restore(saved);
      for (let step = 0; step < 5; step++) {
        const tokens = next();
        const expected = await play(straight, tokens);
        assertSame(await play(anew, tokens), expected, `round ${round}, step ${step}, anew`);
        assertSame(await play(over, tokens), expected, `round ${round}, step ${step}, over`);
      }
      const states = await Promise.all([straight, anew, over].map(stateOf));
      assertEquals(states[1].lengths, states[0].lengths);
      assertEquals(states[1].oldest, states[0].oldest);
      assertEquals(states[2], states[1]);
    }
  },
);

testRandomly("snapshot: a cache in parts is saved and restored", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const options = { batch: 2, numKvHeads: 3, headDim: 4, capacity: 20 };
  await withLimits({ maxStorageBufferBindingSize: 2 * 20 * 4 * 4 }, async () => {
    const cache = tensors.keep(await RingKvCache.create(gpu, options));
    assertEquals(cache.parts.length, 3);
    await play(cache, { ...randomStep(random, cache, 3), lengths: [3, 1] });
    const restored = tensors.keep(await RingKvCache.restore(gpu, await cache.snapshot()));
    assertEquals(await stateOf(restored), await stateOf(cache));
  });
});

testRandomly(
  "snapshot: a device that cuts caches otherwise reads the same rows",
  async (random) => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    for (const dtype of ["f32", ...(await hasF16() ? ["f16"] as const : [])] as const) {
      // Rows of odd halves share a word with those of the next head, and begin within one where the first heads have none.
      const options = { batch: 3, numKvHeads: 3, headDim: 3, valueDim: 5, capacity: 7, dtype };
      const headBytes = 7 * 5 * (dtype === "f32" ? 4 : 2);
      const cutInto = async (heads: number, work: () => Promise<void>) =>
        await withLimits(
          { maxStorageBufferBindingSize: Math.ceil(heads * headBytes / 4) * 4 },
          work,
        );
      let saved = new Uint8Array();
      let [k, v] = [[0], [0]];
      await cutInto(2, async () => {
        const cache = tensors.keep(await RingKvCache.create(gpu, options));
        assertEquals(cache.parts.length, 5);
        for (let i = 0; i < 7; i++) {
          const k = await tensors.upload(random.tensor([3, 1, 3, 3]), dtype);
          const v = await tensors.upload(random.tensor([3, 1, 3, 5]), dtype);
          await submit((encoder) =>
            cache.append(encoder, { k, v, lengths: [0, 1, i < 5 ? 1 : 0] })
          );
        }
        saved = await cache.snapshot();
        [k, v] = [[...await downloadKv(cache, "k")], [...await downloadKv(cache, "v")]];
      });
      for (const [heads, parts] of [[9, 1], [4, 3], [1, 9]]) {
        await cutInto(heads, async () => {
          const anew = tensors.keep(await RingKvCache.restore(gpu, saved));
          assertEquals(anew.parts.length, parts);
          const over = tensors.keep(await RingKvCache.create(gpu, options));
          poison(over);
          await over.restore(saved);
          for (const cache of [anew, over]) {
            assertSame(await downloadKv(cache, "k"), k, `k in ${parts} parts`);
            assertSame(await downloadKv(cache, "v"), v, `v in ${parts} parts`);
          }
          assertEquals(await anew.snapshot(), saved);
        });
      }
    }
  },
);

Deno.test("snapshot: heads that lie far apart, and more than one write of them, come back", async () => {
  const gpu = await sharedGpu();
  const sizes = [
    // Each head's rows are few, and far from those of the next one.
    { batch: 3, numKvHeads: 2, capacity: 9000, lengths: [5, 0, 3] },
    // All heads' rows are one after the other, more than a write takes.
    { batch: 4, numKvHeads: 1, capacity: 50_000, lengths: [50_000, 50_000, 50_000, 49_999] },
  ];
  for (const { lengths, ...size } of sizes) {
    using tensors = new Tensors();
    const options = { ...size, headDim: 32, valueDim: 1 };
    const cache = tensors.keep(await RingKvCache.create(gpu, options));
    const seqLen = Math.max(...lengths);
    const { batch, numKvHeads, capacity } = size;
    const empty = async (size: number) =>
      tensors.keep(await Tensor.empty(gpu, [batch, seqLen, numKvHeads, size]));
    const tokens = { k: await empty(32), v: await empty(1), lengths };
    await submit((encoder) => cache.append(encoder, tokens));
    // Rows that differ from all others, where there are tokens.
    const marked = (size: number) =>
      Float32Array.from({ length: batch * numKvHeads * capacity * size }, (_, i) => {
        const [row, sequence] = [
          Math.floor(i / size),
          Math.floor(i / (numKvHeads * capacity * size)),
        ];
        return row % capacity < lengths[sequence] ? i + 1 : 0;
      });
    const [k, v] = [marked(32), marked(1)];
    gpu.device.queue.writeBuffer(cache.parts[0].k.buffer, 0, k);
    gpu.device.queue.writeBuffer(cache.parts[0].v!.buffer, 0, v);
    const saved = await cache.snapshot();
    poison(cache);
    await cache.restore(saved);
    const anew = tensors.keep(await RingKvCache.restore(gpu, saved));
    for (const each of [cache, anew]) {
      for (const [name, rows] of [["k", k], ["v", v]] as const) {
        const restored = await each.parts[0][name]!.download();
        assertEquals(
          restored.findIndex((x, i) => x !== rows[i]),
          -1,
          `${name}: the first that differs`,
        );
      }
    }
  }
});

testRandomly("snapshot: only slots that hold tokens take room", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const options = { batch: 2, numKvHeads: 1, headDim: 8, capacity: 4000 };
  const cache = tensors.keep(await RingKvCache.create(gpu, options));
  await play(cache, { ...randomStep(random, cache, 3), lengths: [3, 1] });
  const { length } = await cache.snapshot();
  const rows = 4 * (8 + 8) * 4;
  assert(length >= rows && length < rows + 500, `${length} bytes`);
});

/** A small cache with tokens, its snapshot, and another cache that has other tokens. */
async function savedCache(random: Random, tensors: Tensors) {
  const gpu = await sharedGpu();
  const options = { batch: 2, numKvHeads: 1, headDim: 2, capacity: 3, window: 3 };
  const saved = tensors.keep(await RingKvCache.create(gpu, options));
  await play(saved, { ...randomStep(random, saved, 2), lengths: [2, 1] });
  const other = tensors.keep(await RingKvCache.create(gpu, options));
  for (let i = 0; i < 5; i++) await play(other, randomStep(random, other, 1));
  return { options, snapshot: await saved.snapshot(), other };
}

testRandomly(
  "snapshot: any byte that changed is refused, and nothing has changed",
  async (random) => {
    using tensors = new Tensors();
    const { snapshot, other } = await savedCache(random, tensors);
    const before = await stateOf(other);
    for (let i = 0; i < snapshot.length; i++) {
      const damaged = snapshot.slice();
      damaged[i] ^= 1 << random.integer(0, 7);
      await assertRejects(() => other.restore(damaged), SnapshotError);
    }
    for (let length = 0; length < snapshot.length; length++) {
      await assertRejects(() => other.restore(snapshot.slice(0, length)), SnapshotError);
    }
    await assertRejects(() => other.restore(new Uint8Array([...snapshot, 0])), SnapshotError);
    assertEquals(await stateOf(other), before);
  },
);

testRandomly(
  "snapshot: one of a cache with other options is refused, and nothing has changed",
  async (random) => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    const { options, snapshot, other } = await savedCache(random, tensors);
    const before = await stateOf(other);
    const others: [Partial<RingKvCacheOptions>, string][] = [
      [{ batch: 1 }, "snapshot.batch=1, cache.batch=2"],
      [{ numKvHeads: 2 }, "snapshot.numKvHeads=2, cache.numKvHeads=1"],
      [{ headDim: 1, valueDim: 2 }, "snapshot.headDim=1, cache.headDim=2"],
      [{ valueDim: 1 }, "snapshot.valueDim=1, cache.valueDim=2"],
      [{ capacity: 4 }, "snapshot.capacity=4, cache.capacity=3"],
      [{ window: 2 }, "snapshot.window=2, cache.window=3"],
      [{ window: undefined }, "snapshot.window=undefined, cache.window=3"],
      [{ overflow: "error" }, 'snapshot.overflow="error", cache.overflow="wrap"'],
      [{ layout: "BNSH" }, 'snapshot.layout="BNSH", cache.layout="BSNH"'],
      ...(await hasF16() ? [[{ dtype: "f16" }, 'snapshot.dtype="f16"'] as const] : []).map((
        [given, says],
      ): [Partial<RingKvCacheOptions>, string] => [given, says]),
    ];
    for (const [given, says] of others) {
      const cache = tensors.keep(await RingKvCache.create(gpu, { ...options, ...given }));
      const alien = await cache.snapshot();
      await assertRejects(() => other.restore(alien), SnapshotError, says);
    }
    assertEquals(await stateOf(other), before);
    await other.restore(snapshot);
  },
);

testRandomly("snapshot: what is no snapshot is refused", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const { other } = await savedCache(random, tensors);
  const before = await stateOf(other);
  const says = "a snapshot must be a Uint8Array";
  for (const wrong of [undefined, "onehead", [1, 2, 3], new ArrayBuffer(8)]) {
    await assertRejects(() => other.restore(wrong as unknown as Uint8Array), TypeError, says);
  }
  const noise = crypto.getRandomValues(new Uint8Array(500));
  await assertRejects(() => other.restore(noise), SnapshotError, "must be those of a snapshot");
  await assertRejects(() => RingKvCache.restore(gpu, noise), SnapshotError);
  assertEquals(await stateOf(other), before);
});

testRandomly("snapshot: bytes that change while they are restored do no harm", async (random) => {
  using tensors = new Tensors();
  const { snapshot, other } = await savedCache(random, tensors);
  const expected = snapshot.slice();
  const pending = other.restore(snapshot);
  snapshot.fill(7);
  await pending;
  assertEquals(await other.snapshot(), expected);
});

testRandomly(
  "snapshot: of work that was not submitted is refused, with the cure",
  async (random) => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    const cache = tensors.keep(
      await RingKvCache.create(gpu, { batch: 2, numKvHeads: 1, headDim: 2, capacity: 3 }),
    );
    const k = await tensors.upload(random.tensor([2, 1, 1, 2]));
    const encoder = gpu.device.createCommandEncoder();
    cache.append(encoder, { k, v: k, lengths: [1, 0] });
    const says = "(submit it first): current values encoded=[1, 0], run=[0, 0]";
    await assertRejects(() => cache.snapshot(), SnapshotError, says);
    gpu.device.queue.submit([encoder.finish()]);
    await cache.snapshot();

    const truncation = gpu.device.createCommandEncoder();
    cache.truncate(truncation, 0, 0);
    const truncated = "(submit it first): current values encoded=[0, 0], run=[1, 0]";
    await assertRejects(() => cache.snapshot(), SnapshotError, truncated);
    gpu.device.queue.submit([truncation.finish()]);
    await cache.snapshot();
  },
);

testRandomly(
  "snapshot: work that leaves the lengths as they are is refused until it is submitted",
  async (random) => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    const options = { batch: 2, numKvHeads: 1, headDim: 2, capacity: 3 };
    const cache = tensors.keep(await RingKvCache.create(gpu, options));
    const k = await tensors.upload(random.tensor([2, 1, 1, 2]));
    const append = (encoder: GPUCommandEncoder) => cache.append(encoder, { k, v: k });
    await submit(append);
    const works: ((encoder: GPUCommandEncoder) => void)[] = [
      (encoder) => cache.fork(encoder, { from: 0, to: 1 }),
      (encoder) => {
        const pass = encoder.beginComputePass();
        cache.fork(pass, { from: 1, to: 0 });
        pass.end();
      },
      (encoder) => {
        cache.truncate(encoder, 0);
        append(encoder);
      },
      (encoder) => {
        cache.clear(encoder);
        append(encoder);
      },
      (encoder) => {
        cache.clear(encoder, 1);
        cache.append(encoder, { k, v: k, lengths: [0, 1] });
      },
    ];
    for (const [i, work] of works.entries()) {
      // More rounds than there are counts of changes.
      for (let round = 0; round < 70; round++) await submit(work);
      await cache.snapshot();
      const encoder = gpu.device.createCommandEncoder();
      work(encoder);
      const says = "(submit it first): current values encoded=[1, 1], run=[1, 1], encodedChanges=";
      await assertRejects(() => cache.snapshot(), SnapshotError, says, `${i}`);
      gpu.device.queue.submit([encoder.finish()]);
      const saved = await cache.snapshot();

      // Work that is never submitted is forgotten by what replaces everything.
      work(gpu.device.createCommandEncoder());
      await assertRejects(() => cache.snapshot(), SnapshotError, says);
      await cache.restore(saved);
      assertEquals(await cache.snapshot(), saved);
      work(gpu.device.createCommandEncoder());
      await submit((encoder) => {
        cache.clear(encoder);
        append(encoder);
      });
      await cache.snapshot();
    }
  },
);

testRandomly("snapshot: is of the moment it was asked for", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const options = { numKvHeads: 1, headDim: 2, capacity: 3, window: 3 };
  const cache = tensors.keep(await RingKvCache.create(gpu, options));
  const k = await tensors.upload(random.tensor([1, 1, 1, 2]));
  await submit((encoder) => cache.append(encoder, { k, v: k }));
  const before = await stateOf(cache);
  const pending = cache.snapshot();
  await submit((encoder) => {
    for (let i = 0; i < 4; i++) cache.append(encoder, { k, v: k });
  });
  const restored = tensors.keep(await RingKvCache.restore(gpu, await pending));
  assertEquals(await stateOf(restored), before);
});

Deno.test("snapshot: a device that refuses the memory is heard", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const cache = tensors.keep(
    await RingKvCache.create(gpu, { numKvHeads: 1, headDim: 2, capacity: 3 }),
  );
  await withRefusedBuffers(async () => {
    await assertRejects(() => cache.snapshot(), Error, "read RingKvCache");
  });
});

testRandomly("a cache outlives its device in a snapshot", async (random) => {
  const options = { batch: 2, numKvHeads: 1, headDim: 4, capacity: 5, window: 4, maxSeqLen: 2 };
  const lost = await openGpu();
  const cache = await RingKvCache.create(lost, options);
  for (let i = 0; i < 4; i++) await play(cache, randomStep(random, cache, 2));
  const saved = await cache.snapshot();
  const next = { ...randomStep(random, cache, 2), lengths: undefined };
  const expected = await play(cache, next);

  const pending = [cache.snapshot(), lost.settled(), lost.waitFor(new Promise<never>(() => {}))];
  lost.destroy();
  const results = await Promise.allSettled(pending);
  // What the GPU did before it was lost may come through; what it never did must not.
  for (const result of results) {
    if (result.status === "rejected") assert(result.reason instanceof DeviceLostError);
  }
  assertEquals(results[2].status, "rejected");
  // The lost cache refuses, but neither hangs nor aborts.
  const encoder = lost.device.createCommandEncoder();
  const calls = [
    () => cache.truncate(encoder, cache.length() - 1, 0),
    () => cache.fork(encoder, { from: 0, to: 1 }),
    () => cache.clear(encoder),
  ];
  for (const call of calls) assertThrows(call, DeviceLostError);
  await assertRejects(() => cache.snapshot(), DeviceLostError);
  await assertRejects(() => cache.restore(saved), DeviceLostError);
  await assertRejects(() => RingKvCache.restore(lost, saved), DeviceLostError);
  cache.destroy();

  using tensors = new Tensors();
  const resumed = tensors.keep(await RingKvCache.restore(await sharedGpu(), saved));
  assertSame(await play(resumed, next), expected, "the next step");
});
