// Keys and values that one storage binding cannot hold.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Attention,
  type AttentionSpec,
  type HostTensor,
  planAttention,
  referenceRow,
  RingKvCache,
  Tensor,
} from "../../mod.ts";
import { headParts } from "../../src/cache/head_parts.ts";
import { assertClose, TOLERANCE } from "../support/compare.ts";
import { sharedGpu } from "../support/gpu.ts";
import { fusedPlan, LIMITS, stagedPlan } from "../support/plan.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { submit, Tensors } from "../support/run.ts";

const MIB = 2 ** 20;

function randomShape(random: Random) {
  return {
    batch: random.integer(1, 9),
    numKvHeads: random.integer(1, 9),
    capacity: random.integer(1, 40),
    headDim: random.integer(1, 9),
    valueDim: random.integer(1, 9),
    kvDtype: random.pick(["f32", "f16"] as const),
  };
}

testRandomly(
  "parts: cover every head once, each within a binding, and no fewer would do",
  (random) => {
    for (let round = 0; round < 1000; round++) {
      const shape = randomShape(random);
      const bytes = shape.kvDtype === "f16" ? 2 : 4;
      const headBytes = shape.capacity * Math.max(shape.headDim, shape.valueDim) * bytes;
      const maxStorageBufferBindingSize = headBytes + random.integer(0, 8 * headBytes);
      const parts = headParts("test", shape, { ...LIMITS, maxStorageBufferBindingSize });
      let head = 0;
      for (const { firstHead, numHeads } of parts) {
        assertEquals(firstHead, head);
        assert(numHeads > 0 && numHeads * headBytes <= maxStorageBufferBindingSize);
        head += numHeads;
      }
      assertEquals(head, shape.batch * shape.numKvHeads);
      assertEquals(
        parts.length,
        Math.ceil(head / Math.floor(maxStorageBufferBindingSize / headBytes)),
      );
    }
  },
);

Deno.test("parts: one head that no binding holds is refused, with the values and the cure", () => {
  const shape = { batch: 1, numKvHeads: 1, headDim: 128, valueDim: 64, kvDtype: "f32" } as const;
  const says = "(lower capacity, or use a smaller kvDtype): current values capacity=262145, " +
    'headDim=128, valueDim=64, kvDtype="f32", headBytes=134218240, ' +
    "maxStorageBufferBindingSize=134217728";
  const cut = (capacity: number) => headParts("test", { ...shape, capacity }, LIMITS);
  assertThrows(() => cut(262145), RangeError, says);
  assertEquals(cut(262144), [{ firstHead: 0, numHeads: 1 }]);
});

Deno.test("parts: more heads than kernels count are refused, however small", () => {
  const small = { batch: 2 ** 16, capacity: 1, headDim: 1, valueDim: 1, kvDtype: "f16" } as const;
  const limits = { ...LIMITS, maxStorageBufferBindingSize: 2 ** 32 - 4 };
  const cut = (numKvHeads: number) => headParts("cut", { ...small, numKvHeads }, limits);
  assertEquals(cut(2 ** 16 - 1).length, 2);
  assertThrows(() => cut(2 ** 17), RangeError, "keys must fit 1024 storage bindings");
});

testRandomly("parts: every block of a plan reads one part", (random) => {
  for (let round = 0; round < 300; round++) {
    const shape = { ...randomShape(random), capacity: random.integer(200, 400) };
    const { batch, numKvHeads } = shape;
    const spec: AttentionSpec = {
      ...{ ...shape, kvLayout: "BNSH", maxScratchBytes: 20_000 },
      numHeads: numKvHeads * random.integer(1, 3),
      seqLen: random.integer(1, 2),
    };
    // Keys and values are cut into parts; queries and outputs are not.
    const { headDim, valueDim = headDim } = spec;
    const rowBytes = batch * spec.numHeads * spec.seqLen! * Math.max(headDim, valueDim) * 4;
    const kvBytes = 400 * 9 * 4 * random.integer(1, 9);
    const limits = { ...LIMITS, maxStorageBufferBindingSize: Math.max(rowBytes, kvBytes) };
    for (const plan of [fusedPlan(spec, limits), stagedPlan(spec, limits)]) {
      const tilesPerHead = plan.blocks.reduce((sum, { numTiles }) => sum + numTiles, 0) /
        (batch * numKvHeads);
      for (const { part, firstTile, numTiles } of plan.blocks) {
        const { firstHead, numHeads } = plan.parts[part];
        assert(firstTile >= firstHead * tilesPerHead);
        assert(firstTile + numTiles <= (firstHead + numHeads) * tilesPerHead);
      }
    }
  }
});

Deno.test("parts: a plan is cut like the cache; tensors in another order are not", () => {
  const spec: AttentionSpec = {
    ...{ batch: 2, numHeads: 8, numKvHeads: 2, headDim: 128, capacity: 131072 },
    kvLayout: "BNSH",
  };
  for (const impl of ["fused", "staged"] as const) {
    const { parts, blocks } = planAttention({ ...spec, impl }, LIMITS);
    assertEquals(parts, [{ firstHead: 0, numHeads: 2 }, { firstHead: 2, numHeads: 2 }]);
    assertEquals(blocks.map(({ part }) => part), [0, 1]);
    const half = blocks[0].numTiles;
    assertEquals(blocks[1].firstTile, half);
    assertEquals(blocks[1].numTiles, half);
  }
  const says = "k must fit one storage binding";
  assertThrows(() => planAttention({ ...spec, kvLayout: "BSNH" }, LIMITS), RangeError, says);
});

testRandomly("a cache of 256 MiB of keys, where a binding holds 128 MiB", async (random) => {
  const gpu = await sharedGpu();
  const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits;
  if (maxStorageBufferBindingSize > 128 * MIB) {
    console.log(`nothing is split: a binding holds ${maxStorageBufferBindingSize} bytes`);
  }
  const tooLong = Math.floor(Math.min(maxStorageBufferBindingSize, maxBufferSize) / 512) + 1;
  await assertRejects(
    () => RingKvCache.create(gpu, { numKvHeads: 1, headDim: 128, capacity: tooLong }),
    RangeError,
    "one KV head of one sequence must fit one storage binding",
  );

  using tensors = new Tensors();
  const shape = { batch: 2, numKvHeads: 2, headDim: 128, valueDim: 4 };
  const [capacity, chunk, numHeads] = [131072, 16384, 4];
  const cache = tensors.keep(
    await RingKvCache.create(gpu, { ...shape, capacity, overflow: "wrap", maxSeqLen: chunk }),
  );
  assertEquals(cache.bytes, 4 * capacity * (128 + 4) * 4 + 16 + 64);
  if (maxStorageBufferBindingSize === 128 * MIB) assertEquals(cache.parts.length, 2);
  // Three chunks, three times each: nine of them wrap a ring of eight.
  const chunks: { k: HostTensor; v: HostTensor }[] = [];
  for (let i = 0; i < 3; i++) {
    const k = random.tensor([2, chunk, 2, 128]);
    const v = random.tensor([2, chunk, 2, 4]);
    chunks.push({ k, v });
    using uploaded = new Tensors();
    const tokens = { k: await uploaded.upload(k), v: await uploaded.upload(v) };
    await submit((encoder) => {
      for (let turn = 0; turn < 3; turn++) cache.append(encoder, tokens);
    });
    await gpu.settled();
  }
  const order = [0, 0, 0, 1, 1, 1, 2, 2, 2];
  const window = cache.spec.window!;
  const context = order.flatMap((index) =>
    Array.from({ length: chunk }, (_, token) => [index, token] as const)
  ).slice(-window);
  const sequence = (batch: number, name: "k" | "v", size: number): HostTensor => {
    const data = new Float32Array(window * 2 * size);
    context.forEach(([index, token], at) => {
      const start = (batch * chunk + token) * 2 * size;
      const source = chunks[index][name].data as Float32Array;
      data.set(source.subarray(start, start + 2 * size), at * 2 * size);
    });
    return { data, shape: [1, window, 2, size] };
  };

  const q = random.tensor([2, 1, numHeads, 128]);
  const queries = await tensors.upload(q);
  const outputs: Record<string, Float32Array> = {};
  for (const impl of ["fused", "staged"] as const) {
    const attention = tensors.keep(
      await Attention.create(gpu, { ...cache.spec, numHeads, impl, maxScratchBytes: 64 * MIB }),
    );
    const o = await tensors.poisoned([2, 1, numHeads, 4]);
    await submit((encoder) => attention.encode(encoder, { q: queries, cache, o }));
    outputs[impl] = await o.download();
  }
  for (const batch of [0, 1]) {
    const size = numHeads * 128;
    const inputs = {
      q: { data: q.data.subarray(batch * size, (batch + 1) * size), shape: [1, 1, numHeads, 128] },
      k: sequence(batch, "k", 128),
      v: sequence(batch, "v", 4),
    };
    for (const head of [0, numHeads - 1]) {
      const expected = referenceRow(inputs, { batch: 0, head, token: 0 });
      for (const [impl, o] of Object.entries(outputs)) {
        const at = (batch * numHeads + head) * 4;
        const what = `${impl}, sequence ${batch}, head ${head}`;
        assertClose(o.subarray(at, at + 4), expected.o, TOLERANCE.f32, what);
      }
    }
  }
});

Deno.test("a tensor that no binding holds is refused", async () => {
  const gpu = await sharedGpu();
  const { maxStorageBufferBindingSize } = gpu.device.limits;
  const shape = [maxStorageBufferBindingSize / 4 + 1];
  const says = "must fit one storage binding of the device (split it)";
  await assertRejects(() => Tensor.empty(gpu, shape), RangeError, says);
});
