// Whose is an error: work that WebGPU refuses is told to who depends on it, and to nobody else.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  attend,
  Attention,
  Gpu,
  GpuWorkError,
  MultiQueryAttention,
  PagedKvCache,
  PagePool,
  RingKvCache,
  Tensor,
} from "../../mod.ts";
import { Decoder } from "../../src/model/decoder.ts";
import { assertSame } from "../support/compare.ts";
import { weightsOf as layerWeights } from "../support/layer.ts";
import { TINY, weightsOf } from "../support/models.ts";
import { printed } from "../support/printed.ts";
import { type Random, testRandomly } from "../support/random.ts";

const SHAPE = { numHeads: 2, numKvHeads: 1, headDim: 4 };
const SPEC = { ...SHAPE, capacity: 3 };

/** Runs on a device of its own, where errors are expected. */
function testRefusals(name: string, test: (gpu: Gpu, random: Random) => Promise<void>): void {
  testRandomly(`refusals: ${name}`, async (random) => {
    const gpu = await Gpu.open();
    try {
      await printed(() => test(gpu, random));
    } finally {
      gpu.destroy();
    }
  });
}

function inputs(random: Random) {
  const [q, k, v] = [2, 1, 1].map((heads) => random.tensor([1, 3, heads, 4]));
  return { q, k, v };
}

/** Submits what the function encodes, as a caller does. */
function submit({ device }: Gpu, encode: (encoder: GPUCommandEncoder) => void): void {
  const encoder = device.createCommandEncoder();
  encode(encoder);
  device.queue.submit([encoder.finish()]);
}

/** Submits what the function encodes beside a copy that WebGPU refuses, so that none of it runs. */
async function submitRefused(gpu: Gpu, encode: (encoder: GPUCommandEncoder) => void) {
  const gone = await Tensor.empty(gpu, [1]);
  const other = await Tensor.empty(gpu, [1]);
  gone.destroy();
  submit(gpu, (encoder) => {
    encode(encoder);
    encoder.copyBufferToBuffer(gone.buffer, 0, other.buffer, 0, 4);
  });
}

/** An attention bound to tensors on the device. */
async function bound(gpu: Gpu, random: Random) {
  const { k, v } = inputs(random);
  const attention = await Attention.create(gpu, SPEC);
  const tensors = {
    q: await Tensor.upload(gpu, random.tensor([1, 1, 2, 4])),
    k: await Tensor.upload(gpu, k),
    v: await Tensor.upload(gpu, v),
    o: await Tensor.empty(gpu, [1, 1, 2, 4]),
  };
  return { ...tensors, attention, work: attention.bind(tensors) };
}

testRefusals(
  "of two callers without a guard both are told, with one its owner alone",
  async (gpu, random) => {
    const [one, other] = [await bound(gpu, random), await bound(gpu, random)];
    await submitRefused(gpu, (encoder) => one.work.encode(encoder));
    submit(gpu, (encoder) => other.work.encode(encoder));
    await assertRejects(() => one.o.download(), GpuWorkError);
    await assertRejects(() => other.o.download(), GpuWorkError);

    const gone = await Tensor.empty(gpu, [1]);
    gone.destroy();
    const results = await Promise.allSettled([
      gpu.guard("one", () =>
        submit(gpu, (encoder) => {
          one.work.encode(encoder);
          encoder.clearBuffer(gone.buffer);
        })),
      gpu.guard("other", () => submit(gpu, (encoder) => other.work.encode(encoder))),
    ]);
    assertEquals(results.map(({ status }) => status), ["rejected", "fulfilled"]);
    await assertRejects(() => one.o.download(), GpuWorkError);
    await other.o.download();
  },
);

testRefusals(
  "a caller's refused work reaches its owner's download, and no other call",
  async (gpu, random) => {
    // What ran before the last wait without an error is not concerned.
    const early = await bound(gpu, random);
    submit(gpu, (encoder) => early.work.encode(encoder));
    const earlier = await early.o.download();
    for (let run = 0; run < 20; run++) {
      const { work, o, q } = await bound(gpu, random);
      submit(gpu, (encoder) => work.encode(encoder));
      const before = await o.download();
      const given = inputs(random);
      const expected = await attend(gpu, given);
      await submitRefused(gpu, (encoder) => work.encode(encoder));
      assertSame((await attend(gpu, given)).o.data, expected.o.data, "another's attention");
      await gpu.guard("do something else", () => {});
      assertEquals((await q.download()).length, 8);
      assertSame(await early.o.download(), earlier, "what was there before");
      for (let i = 0; i < 2; i++) {
        await assertRejects(() => o.download(), GpuWorkError, "refused work that was to write it");
      }
      // Written anew, it is as good as ever; and there is nothing that nobody was told.
      submit(gpu, (encoder) => work.encode(encoder));
      assertSame(await o.download(), before, "o");
      await gpu.settled();
    }
  },
);

testRefusals(
  "a caller's own refused copy reaches downloads, but not what watched work wrote",
  async (gpu, random) => {
    const tensor = await Tensor.upload(gpu, { data: [1, 2], shape: [2] });
    const { q, k, v } = inputs(random);
    const [qDevice, kDevice, vDevice] = await Promise.all(
      [q, k, v].map((host) => Tensor.upload(gpu, host)),
    );
    const { o } = await attend(gpu, { q: qDevice, k: kDevice, v: vDevice });
    const gone = await Tensor.empty(gpu, [2]);
    gone.destroy();
    submit(gpu, (encoder) => encoder.copyBufferToBuffer(gone.buffer, 0, tensor.buffer, 0, 8));
    assertEquals((await attend(gpu, { q, k, v })).o.data, await o.download());
    await assertRejects(() => tensor.download(), GpuWorkError, "may have been to write it");
    assertEquals(await tensor.download(), Float32Array.of(1, 2));
    assertEquals((await Tensor.upload(gpu, { data: [3], shape: [1] })).length, 1);
  },
);

testRefusals(
  "work that reads what was refused throws, until that is written",
  async (gpu, random) => {
    const { work, o } = await bound(gpu, random);
    const next = await Attention.create(gpu, SPEC);
    const { k, v } = inputs(random);
    const tensors = {
      q: o,
      k: await Tensor.upload(gpu, k),
      v: await Tensor.upload(gpu, v),
      o: await Tensor.empty(gpu, [1, 1, 2, 4]),
    };
    await submitRefused(gpu, (encoder) => work.encode(encoder));
    await assertRejects(() => o.download(), GpuWorkError);
    const encoder = gpu.device.createCommandEncoder();
    const says = "refused work that was to write what it reads";
    assertThrows(() => next.encode(encoder, tensors), GpuWorkError, says);
    await assertRejects(() => attend(gpu, { ...tensors, q: o }), GpuWorkError, says);
    work.encode(encoder);
    next.encode(encoder, tensors);
    gpu.device.queue.submit([encoder.finish()]);
    assert((await tensors.o.download()).every(Number.isFinite));
  },
);

testRefusals("what work writes for itself does not stop it", async (gpu, random) => {
  // Slices of the context leave states that a second kernel merges.
  const spec = { ...SHAPE, capacity: 5000 };
  const attention = await Attention.create(gpu, spec);
  assert(attention.plan.impl === "fused" && attention.plan.slices > 1, "the context is not cut");
  const tensors = {
    q: await Tensor.upload(gpu, random.tensor([1, 1, 2, 4])),
    k: await Tensor.upload(gpu, random.tensor([1, 5000, 1, 4])),
    v: await Tensor.upload(gpu, random.tensor([1, 5000, 1, 4])),
    o: await Tensor.empty(gpu, [1, 1, 2, 4]),
  };
  const work = attention.bind(tensors);
  await submitRefused(gpu, (encoder) => work.encode(encoder));
  await assertRejects(() => tensors.o.download(), GpuWorkError);
  submit(gpu, (encoder) => work.encode(encoder));
  assert((await tensors.o.download()).every((value) => value !== 0));
});

testRefusals(
  "a cache whose append was refused says so until it is cleared or restored",
  async (gpu, random) => {
    const cache = await RingKvCache.create(gpu, { ...SHAPE, batch: 2, capacity: 8 });
    const attention = await Attention.create(gpu, { ...cache.spec, numHeads: 2 });
    const [k, v, q, o] = await Promise.all(
      [1, 1, 2, 2].map((heads) => Tensor.upload(gpu, random.tensor([2, 1, heads, 4]))),
    );
    const saved = await cache.snapshot();
    const append = cache.bindAppend({ k, v });
    const attends = attention.bind({ q, cache, o });
    const heals = [
      async () => await cache.restore(saved),
      () => submit(gpu, (encoder) => cache.clear(encoder)),
    ];
    for (const heal of heals) {
      submit(gpu, (encoder) => append.encode(encoder));
      await gpu.settled();
      await submitRefused(gpu, (encoder) => append.encode(encoder));
      await assertRejects(() => gpu.settled(), GpuWorkError, "Cannot trust the results");
      const length = cache.length();
      const encoder = gpu.device.createCommandEncoder();
      const calls = [
        () => append.encode(encoder),
        () => cache.truncate(encoder, 1),
        () => cache.fork(encoder, { from: 0, to: 1 }),
        () => cache.clear(encoder, 0),
      ];
      for (const call of calls) assertThrows(call, GpuWorkError, "clear or restore it");
      assertThrows(() => attends.encode(encoder), GpuWorkError);
      await assertRejects(() => cache.snapshot(), GpuWorkError, "clear or restore it");
      assertEquals(cache.length(), length);
      await heal();
      submit(gpu, (encoder) => {
        append.encode(encoder);
        attends.encode(encoder);
      });
      assert((await o.download()).every(Number.isFinite));
      assertEquals(cache.length(), 1);
      submit(gpu, (encoder) => cache.clear(encoder));
    }
  },
);

testRefusals(
  "a cache in pages whose work was refused says so until it is cleared",
  async (gpu, random) => {
    const pool = await PagePool.create(gpu, { ...SHAPE, layers: 2, numPages: 6, pageSize: 2 });
    const cache = await PagedKvCache.create(pool, { batch: 2, capacity: 8, rope: {} });
    const other = await PagedKvCache.create(pool, { capacity: 8 });
    const [layer, another] = cache.layers;
    const attention = await Attention.create(gpu, { ...cache.spec, numHeads: 2 });
    const [k, v, q, o] = await Promise.all(
      [1, 1, 2, 2].map((heads) => Tensor.upload(gpu, random.tensor([2, 1, heads, 4]))),
    );
    const append = layer.bindAppend({ k, v });
    const attends = attention.bind({ q, cache: layer, o });
    const ragged = await Attention.create(gpu, { ...cache.spec, numHeads: 2, tokens: 2 });
    const [k2, v2, q2, o2] = [k, v, q, o].map(({ buffer, shape }) =>
      Tensor.wrap(gpu, buffer, [2, shape[2], 4])
    );
    const raggedAppend = layer.bindAppend({ k: k2, v: v2 });
    const raggedRope = layer.bindRopeQueries(q2);
    const raggedAttends = ragged.bind({ q: q2, cache: layer, o: o2 });
    const step = (encoder: GPUCommandEncoder) => {
      cache.extend(encoder, [1, 1]);
      append.encode(encoder);
      another.append(encoder, { k, v });
    };
    type Encode = (encoder: GPUCommandEncoder) => void;
    const grow: Encode = (encoder) => cache.extend(encoder, [1, 1]);
    const clear: Encode = (encoder) => cache.clear(encoder, 1);
    /** What is refused, and what runs before it. */
    const refused: readonly [Encode, Encode?][] = [
      [step],
      [grow],
      [(encoder) => append.encode(encoder), grow],
      [(encoder) => cache.truncate(encoder, 1)],
      [(encoder) => cache.fork(encoder, { from: 0, to: 1 })],
      [clear],
      [(encoder) => cache.recall(encoder, [1], 1), clear],
    ];
    for (const [encode, before = step] of refused) {
      submit(gpu, step);
      submit(gpu, before);
      await gpu.settled();
      await submitRefused(gpu, encode);
      await assertRejects(() => gpu.settled(), GpuWorkError, "Cannot trust the results");
      const counted = () => [cache.length(0), cache.length(1), pool.available];
      const atRefusal = counted();
      const encoder = gpu.device.createCommandEncoder();
      const calls = [
        () => cache.extend(encoder, [1, 0]),
        () => cache.truncate(encoder, 1),
        () => cache.fork(encoder, { from: 0, to: 1 }),
        () => cache.clear(encoder, 0),
        () => cache.remember([1]),
        () => cache.recall(encoder, [1], 1),
      ];
      for (const call of calls) assertThrows(call, GpuWorkError, "clear or restore it");
      for (const work of [append, attends, raggedAppend, raggedRope, raggedAttends]) {
        assertThrows(() => work.encode(encoder), GpuWorkError, "was to write what it reads");
      }
      assertEquals(counted(), atRefusal);
      submit(gpu, (encoder) => other.extend(encoder, [1]));
      submit(gpu, (encoder) => other.clear(encoder));
      submit(gpu, (encoder) => cache.clear(encoder));
      submit(gpu, (encoder) => {
        step(encoder);
        attends.encode(encoder);
      });
      assert((await o.download()).every(Number.isFinite));
      assertEquals(counted(), [1, 1, 4]);
      submit(gpu, (encoder) => cache.clear(encoder));
    }
  },
);

testRefusals(
  "a layer's and a decoder's refused work rejects that call, and the cache knows",
  async (gpu, random) => {
    const options = { dim: 8, ...SHAPE, cache: { capacity: 8 } };
    const layer = await MultiQueryAttention.create(gpu, layerWeights(random, options), options);
    const decoder = await Decoder.create(gpu, TINY, weightsOf(TINY, random));
    const x = random.tensor([1, 1, 8]);
    const { data: expected } = await layer.forward(x);
    await decoder.feed([1]);
    const logits = await decoder.forward([2]);

    const { queue } = gpu.device;
    const { submit: submitted } = queue;
    // A command buffer that was submitted before is refused.
    queue.submit = (buffers) => {
      queue.submit = submitted;
      submitted.call(queue, buffers);
      submitted.call(queue, buffers);
    };
    const refused = layer.forward(x);
    await assertRejects(() => refused, GpuWorkError, "Cannot run MultiQueryAttention");
    await assertRejects(() => layer.forward(x), GpuWorkError, "clear or restore it");
    queue.submit = (buffers) => {
      queue.submit = submitted;
      submitted.call(queue, buffers);
      submitted.call(queue, buffers);
    };
    await assertRejects(() => decoder.feed([1]), GpuWorkError, "Cannot feed Decoder");
    await assertRejects(() => decoder.feed([1]), GpuWorkError, "clear or restore it");
    await gpu.settled();

    submit(gpu, (encoder) => layer.cache.clear(encoder));
    assertSame((await layer.forward(x)).data, expected, "y");
    decoder.clear();
    await decoder.feed([1]);
    assertSame(await decoder.forward([2]), logits, "logits");
  },
);

testRefusals(
  "a download of what is destroyed is refused, and nobody else hears of it",
  async (gpu) => {
    const [gone, other] = await Promise.all([Tensor.empty(gpu, [2]), Tensor.empty(gpu, [2])]);
    gone.destroy();
    const results = await Promise.allSettled([gone.download(), other.download(), gpu.settled()]);
    assertEquals(results.map(({ status }) => status), ["rejected", "fulfilled", "fulfilled"]);
    assert((results[0] as PromiseRejectedResult).reason instanceof GpuWorkError);
  },
);

testRefusals("many errors are one message of bounded length", async (gpu) => {
  for (let i = 0; i < 5000; i++) gpu.device.createBuffer({ size: 4, usage: 0x4000_0000 });
  const error = await assertRejects(() => gpu.settled(), GpuWorkError);
  assert(error.message.length < 2000, `${error.message.length} characters`);
  await gpu.settled();
});
