// What is bound once and replayed must be what is encoded anew each time, and cost the host nothing but dispatches.
import { assertEquals, assertThrows } from "@std/assert";
import {
  Attention,
  type Implementation,
  RingKvCache,
  type RingKvCacheOptions,
  Tensor,
} from "../../mod.ts";
import { tensorsOf } from "../../src/cache/kv_memory.ts";
import { inSequence } from "../../src/gpu/bound_work.ts";
import { countCalls } from "../support/calls.ts";
import { assertClose, TOLERANCE } from "../support/compare.ts";
import { sharedGpu } from "../support/gpu.ts";
import { testRandomly } from "../support/random.ts";
import { submit, Tensors } from "../support/run.ts";
import { downloadU32, Transcript } from "../support/transcript.ts";

const [HEADS, KV_HEADS, SIZE, BATCH] = [6, 2, 8, 2];
const RING: RingKvCacheOptions = {
  batch: BATCH,
  numKvHeads: KV_HEADS,
  headDim: SIZE,
  capacity: 70,
};

const WORKING = ["createBindGroup", "createBuffer", "createComputePipelineAsync"] as const;

/** A loop over a ring, bound once: its tensors of one token, and the steps' tensors side by side. */
async function loop(tensors: Tensors, impl: Implementation, options: RingKvCacheOptions) {
  const gpu = await sharedGpu();
  const cache = tensors.keep(await RingKvCache.create(gpu, options));
  const attention = tensors.keep(
    await Attention.create(gpu, { ...cache.spec, numHeads: HEADS, impl }),
  );
  const poisoned = (heads: number) => tensors.poisoned([BATCH, 1, heads, SIZE]);
  const [q, k, v, o] = [HEADS, KV_HEADS, KV_HEADS, HEADS].map(poisoned);
  const step = { q: await q, k: await k, v: await v, o: await o };
  const append = cache.bindAppend(step);
  const attend = attention.bind({ q: step.q, cache, o: step.o });
  return { cache, step, append, attend };
}

for (const impl of ["fused", "staged"] as const) {
  testRandomly(`bound: 300 steps of a wrapping ring, ${impl}, bound once`, async (random) => {
    const { device } = await sharedGpu();
    using tensors = new Tensors();
    const [numSteps, cleared, window] = [300, 130, 60];
    const { cache, step, append, attend } = await loop(tensors, impl, { ...RING, window });
    const inputs = Array.from({ length: numSteps }, () => ({
      q: random.tensor([BATCH, 1, HEADS, SIZE]),
      k: random.tensor([BATCH, 1, KV_HEADS, SIZE]),
      v: random.tensor([BATCH, 1, KV_HEADS, SIZE]),
    }));
    const all = async (name: "q" | "k" | "v") => {
      const data = inputs.flatMap((input) => [...input[name].data]);
      return await tensors.upload({ data, shape: [data.length] });
    };
    const history = { q: await all("q"), k: await all("k"), v: await all("v") };
    const outputs = await tensors.poisoned([numSteps * BATCH * HEADS * SIZE]);

    const calls = await countCalls(device, WORKING, () => {
      const encoder = device.createCommandEncoder();
      for (let i = 0; i < numSteps; i++) {
        if (i === cleared) cache.clear(encoder, 1);
        for (const name of ["q", "k", "v"] as const) {
          const { buffer, bytes } = step[name];
          encoder.copyBufferToBuffer(history[name].buffer, i * bytes, buffer, 0, bytes);
        }
        append.encode(encoder);
        attend.encode(encoder);
        const { buffer, bytes } = step.o;
        encoder.copyBufferToBuffer(buffer, 0, outputs.buffer, i * bytes, bytes);
      }
      device.queue.submit([encoder.finish()]);
    });
    assertEquals(Object.values(calls), [0, 0, 0]);

    const transcript = new Transcript(cache);
    const expected = inputs.flatMap(({ q, k, v }, i) => {
      if (i === cleared) transcript.clear(1);
      transcript.append(k, v);
      return [...transcript.attend(q, window)];
    });
    assertClose(await outputs.download(), expected, TOLERANCE.f32, "o of all steps");
    assertEquals([cache.length(0), cache.length(1)], [numSteps, numSteps - cleared]);
    assertEquals([...await downloadU32(cache.lengthsBuffer)], [numSteps, numSteps - cleared]);
  });
}

Deno.test("bound: a ring refuses what it would lose, however often it was bound before", async () => {
  using tensors = new Tensors();
  const { cache, append } = await loop(tensors, "fused", { ...RING, capacity: 3 });
  await submit((encoder) => {
    for (let i = 0; i < 3; i++) append.encode(encoder);
    assertThrows(() => append.encode(encoder), RangeError, "length=3, seqLen=1, capacity=3");
  });
  assertEquals([cache.length(0), ...await downloadU32(cache.lengthsBuffer)], [3, 3, 3]);
  await submit((encoder) => {
    cache.clear(encoder);
    append.encode(encoder);
  });
  assertEquals([cache.length(0), ...await downloadU32(cache.lengthsBuffer)], [1, 1, 1]);
});

Deno.test("bound: an attention refuses an empty cache, and one that lost what queries see", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const { cache, step, append, attend } = await loop(tensors, "fused", { ...RING, window: 4 });
  const spec = { ...cache.spec, window: undefined, numHeads: HEADS };
  const everything = tensors.keep(await Attention.create(gpu, spec)).bind({
    ...step,
    cache,
    k: undefined,
    v: undefined,
  });
  await submit((encoder) => {
    assertThrows(() => attend.encode(encoder), RangeError, "append first");
    for (let i = 0; i < RING.capacity; i++) append.encode(encoder);
    everything.encode(encoder);
    append.encode(encoder);
    attend.encode(encoder);
    assertThrows(() => everything.encode(encoder), RangeError, "length=71, oldest=1");
  });
});

Deno.test("bound: tensors are checked when they are bound", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const { cache, step } = await loop(tensors, "fused", RING);
  const attention = tensors.keep(await Attention.create(gpu, { ...cache.spec, numHeads: HEADS }));
  const wrong = () => attention.bind({ q: step.k, cache, o: step.o });
  assertThrows(wrong, RangeError, `q must have shape [${BATCH}, 1, ${HEADS}, ${SIZE}]`);
  assertThrows(() => cache.bindAppend({ k: step.q, v: step.v }), RangeError, "k must have shape");
});

Deno.test("bound: what is no encoder and no pass is refused, and nothing is counted", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const { cache, step, append, attend } = await loop(tensors, "fused", { ...RING, rope: {} });
  const attention = tensors.keep(await Attention.create(gpu, { ...cache.spec, numHeads: HEADS }));
  await submit((encoder) => append.encode(encoder));
  const { q, k, v, o } = step;
  for (const target of [null, undefined, 7, {}, gpu.device, gpu.device.queue]) {
    const encoder = target as unknown as GPUCommandEncoder;
    const says = "target must be a GPUCommandEncoder or a GPUComputePassEncoder";
    const calls = [
      () => append.encode(encoder),
      () => attend.encode(encoder),
      () => cache.append(encoder, { k, v }),
      () => cache.ropeQueries(encoder, q),
      () => cache.fork(encoder, { from: 0, to: 1 }),
      () => attention.encode(encoder, { q, cache, o }),
    ];
    for (const call of calls) assertThrows(call, TypeError, says);
    const copies = [() => cache.truncate(encoder, 0), () => cache.clear(encoder, 1)];
    for (const call of copies) assertThrows(call, TypeError, "encoder must be a GPUCommandEncoder");
  }
  await submit((encoder) => {
    const pass = encoder.beginComputePass();
    const copies = [
      () => cache.truncate(pass as unknown as GPUCommandEncoder, 0),
      () => cache.clear(pass as unknown as GPUCommandEncoder),
    ];
    for (const call of copies) assertThrows(call, TypeError, "(end the pass before)");
    pass.end();
  });
  assertEquals([cache.length(0), ...await downloadU32(cache.lengthsBuffer)], [1, 1, 1]);
});

Deno.test("bound: works in sequence are checked and counted before any is encoded", async () => {
  using tensors = new Tensors();
  const { cache, append, attend } = await loop(tensors, "fused", { ...RING, capacity: 3 });
  const four = inSequence([append, attend, append, append, append]);
  await submit((encoder) => {
    assertThrows(() => four.encode(encoder), RangeError, "length=3, seqLen=1, capacity=3");
  });
  assertEquals([cache.length(0), ...await downloadU32(cache.lengthsBuffer)], [0, 0, 0]);
  await submit((encoder) => inSequence([append, attend, append]).encode(encoder));
  assertEquals([cache.length(0), ...await downloadU32(cache.lengthsBuffer)], [2, 2, 2]);
});

Deno.test("bound: a target that fails while it is encoded into takes the counting back", async () => {
  const { device } = await sharedGpu();
  using tensors = new Tensors();
  const { cache, append } = await loop(tensors, "fused", RING);
  const encoder = device.createCommandEncoder();
  const broken = {
    beginComputePass() {
      throw new Error("no pass");
    },
  } as unknown as GPUCommandEncoder;
  assertThrows(() => append.encode(broken), Error, "no pass");
  const pass = encoder.beginComputePass();
  const shortPass = {
    dispatchWorkgroups() {
      throw new Error("no dispatch");
    },
    setPipeline() {},
    setBindGroup() {},
  } as unknown as GPUComputePassEncoder;
  assertThrows(() => inSequence([append, append]).encode(shortPass), Error, "no dispatch");
  pass.end();
  encoder.finish();
  assertEquals([cache.length(0), cache.length(1)], [0, 0]);
});

Deno.test("bound: what was handed over may change", async () => {
  using tensors = new Tensors();
  const { cache, step } = await loop(tensors, "fused", { ...RING, capacity: 4 });
  const lengths = [1, 0];
  const append = cache.bindAppend({ ...step, lengths });
  lengths.fill(0);
  await submit((encoder) => {
    for (let i = 0; i < 4; i++) append.encode(encoder);
    assertThrows(() => append.encode(encoder), RangeError, "length=4, seqLen=1, capacity=4");
  });
  assertEquals([cache.length(0), cache.length(1)], [4, 0]);
  assertEquals([...await downloadU32(cache.lengthsBuffer)], [4, 0]);
});

Deno.test("bound: buffers that are read and written at once are refused by us", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const options = { numKvHeads: 1, headDim: 1, capacity: 4 };
  const cache = tensors.keep(await RingKvCache.create(gpu, { ...options, batch: 2 }));
  const wrap = (buffer: GPUBuffer, shape: number[]) => Tensor.wrap(gpu, buffer, shape);
  const own = await tensors.poisoned([2, 1, 1, 1]);
  const says = "new tokens must have buffers of their own";
  for (const { buffer } of [...tensorsOf(cache.parts), { buffer: cache.lengthsBuffer }]) {
    const alias = wrap(buffer, [2, 1, 1, 1]);
    assertThrows(() => cache.bindAppend({ k: alias, v: own }), TypeError, says);
    assertThrows(() => cache.bindAppend({ k: own, v: alias }), TypeError, says);
  }
  cache.bindAppend({ k: own, v: own });
  const spec = { ...cache.spec, numHeads: 1 };
  const attention = tensors.keep(await Attention.create(gpu, spec));
  const o = wrap(cache.lengthsBuffer, [2, 1, 1, 1]);
  const apart = "every output must have a buffer of its own";
  assertThrows(() => attention.bind({ q: own, cache, o }), TypeError, apart);
});
