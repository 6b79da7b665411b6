// What is bound once and replayed must be what is encoded anew each time, and cost the host nothing but dispatches.
import { assertEquals, assertThrows } from "@std/assert";
import { Attention, type Implementation, RingKvCache, type RingKvCacheOptions } from "../../mod.ts";
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
