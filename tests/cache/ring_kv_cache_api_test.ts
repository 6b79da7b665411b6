// Sizes, lengths and refusals of the ring cache.
import {
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  Attention,
  type AttentionSpec,
  Gpu,
  GpuWorkError,
  RingKvCache,
  type RingKvCacheOptions,
  Tensor,
} from "../../mod.ts";
import { assertAtOnce } from "../support/at_once.ts";
import { buffersOf, withRefusedBuffers } from "../support/buffers.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { submit, Tensors } from "../support/run.ts";
import { downloadKv, downloadU32 } from "../support/transcript.ts";

const zeros = (...shape: number[]) => ({
  data: new Float32Array(shape.reduce((product, size) => product * size, 1)),
  shape,
});

Deno.test("ring: bytes are those of K, V, two counters per sequence, and a count of changes", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const cases: (RingKvCacheOptions & { bytes: number })[] = [
    { numKvHeads: 1, headDim: 64, capacity: 256, bytes: 256 * 128 * 4 + 72 },
    { numKvHeads: 8, headDim: 64, capacity: 256, bytes: 8 * 256 * 128 * 4 + 72 },
    { batch: 3, numKvHeads: 2, headDim: 7, valueDim: 5, capacity: 11, bytes: 6 * 11 * 12 * 4 + 88 },
    // 15 and 21 elements: each tensor ends on a multiple of four bytes.
    { numKvHeads: 1, headDim: 5, valueDim: 7, capacity: 3, dtype: "f16", bytes: 32 + 44 + 72 },
    { numKvHeads: 1, headDim: 5, valueDim: 7, capacity: 3, kvDtype: "f16", bytes: 32 + 44 + 72 },
    // Each row of integers has a step and whole words; rope has a table of 16 bytes a pair.
    { numKvHeads: 2, headDim: 64, capacity: 256, kvDtype: "int8", bytes: 1024 * 68 + 72 },
    { numKvHeads: 2, headDim: 64, capacity: 256, kvDtype: "int4", bytes: 1024 * 36 + 72 },
    { numKvHeads: 1, headDim: 5, valueDim: 9, capacity: 3, kvDtype: "int8", bytes: 36 + 48 + 72 },
    { numKvHeads: 1, headDim: 5, valueDim: 9, capacity: 3, kvDtype: "int4", bytes: 24 + 36 + 72 },
    { numKvHeads: 1, headDim: 8, capacity: 1, rope: { dims: 6 }, bytes: 64 + 72 + 48 },
  ];
  for (const { bytes, ...options } of cases) {
    const isF16 = options.dtype === "f16" || options.kvDtype === "f16";
    if (isF16 && !await hasF16()) continue;
    const cache = tensors.keep(await RingKvCache.create(gpu, options));
    assertEquals(cache.bytes, bytes);
  }
});

Deno.test("ring: says whether it rotates keys", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  for (const rope of [undefined, {}]) {
    const options = { numKvHeads: 1, headDim: 4, capacity: 2, rope };
    assertEquals(tensors.keep(await RingKvCache.create(gpu, options)).hasRope, rope !== undefined);
  }
});

Deno.test("ring: the spec is what an attention needs to know", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const spec = async (options: RingKvCacheOptions) =>
    tensors.keep(await RingKvCache.create(gpu, options)).spec;
  const shape = { numKvHeads: 2, headDim: 8, capacity: 20 };
  const filled = {
    ...shape,
    batch: 1,
    valueDim: 8,
    sinks: 0,
    dtype: "f32",
    kvDtype: "f32",
    layout: "BSNH",
    kvLayout: "BNSH",
  };
  assertEquals({ ...await spec(shape) }, { ...filled, window: undefined } as never);
  const wrapping = { ...shape, overflow: "wrap", maxSeqLen: 5 } as const;
  assertEquals({ ...await spec(wrapping) }, { ...filled, window: 16 } as never);
  assertEquals({ ...await spec({ ...shape, window: 7 }) }, { ...filled, window: 7 } as never);
});

Deno.test("ring: length counts everything appended, storedLen what is still there", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const cache = tensors.keep(
    await RingKvCache.create(gpu, { batch: 2, numKvHeads: 1, headDim: 4, capacity: 5, window: 4 }),
  );
  const k = await tensors.upload(zeros(2, 2, 1, 4));
  assertEquals([cache.length(), cache.length(1), cache.storedLen], [0, 0, 0]);
  await submit((encoder) => {
    cache.append(encoder, { k, v: k });
    assertEquals([cache.length(), cache.length(1), cache.storedLen], [2, 2, 2]);
    cache.clear(encoder, 1);
    assertEquals([cache.length(), cache.length(1), cache.storedLen], [2, 0, 2]);
    cache.append(encoder, { k, v: k });
    cache.append(encoder, { k, v: k });
    assertEquals([cache.length(), cache.length(1), cache.storedLen], [6, 4, 5]);
    assertEquals(cache.maxLength, 6);
  });
  assertEquals([...await downloadU32(cache.lengthsBuffer)], [6, 4]);
  await submit((encoder) => cache.clear(encoder));
  assertEquals([cache.length(), cache.length(1), cache.storedLen], [0, 0, 0]);
  assertEquals([...await downloadU32(cache.lengthsBuffer)], [0, 0]);
});

Deno.test("ring: destroy frees every buffer", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const k = await tensors.upload(zeros(1, 1, 1, 4));
  const { made, alive } = await buffersOf(async () => {
    const cache = await RingKvCache.create(gpu, { numKvHeads: 1, headDim: 4, capacity: 5 });
    await submit((encoder) => cache.append(encoder, { k, v: k }));
    await gpu.settled();
    cache.destroy();
  });
  assertNotEquals(made, []);
  assertEquals(alive, []);
});

Deno.test("ring: ragged appends, forks and truncates of a loop make no buffers, and destroy frees what they use", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const k = await tensors.upload(zeros(2, 3, 1, 4));
  const { made, alive } = await buffersOf(async () => {
    const options = { batch: 2, numKvHeads: 1, headDim: 4, capacity: 64 };
    const cache = await RingKvCache.create(gpu, { ...options, rope: {} });
    const step = (lengths: number[], length: number) =>
      submit((encoder) => {
        cache.append(encoder, { k, v: k, lengths });
        cache.fork(encoder, { from: 0, to: 1 });
        cache.fork(encoder, { from: 1, to: 0 });
        cache.ropeQueries(encoder, k);
        cache.truncate(encoder, length);
        cache.truncate(encoder, length, 1);
      });
    await step([3, 2], 1);
    await step([3, 2], 2);
    await buffersOf(async () => {
      for (let i = 0; i < 20; i++) await step([3, 2], 1 + i % 2);
    }).then(({ made }) => assertEquals(made, [], "in the loop"));
    await gpu.settled();
    cache.destroy();
  });
  assertNotEquals(made, []);
  assertEquals(alive, []);
});

const SHAPE: RingKvCacheOptions = { numKvHeads: 2, headDim: 8, capacity: 16 };
const WRONG_OPTIONS: readonly {
  given: Record<string, unknown>;
  throws: typeof TypeError | typeof RangeError;
  says: string;
}[] = [
  {
    given: { window: 16, maxSeqLen: 2 },
    throws: RangeError,
    says: "capacity=16, sinks=0, window=16, maxSeqLen=2",
  },
  { given: { window: 17 }, throws: RangeError, says: "capacity must be >= sinks + window" },
  { given: { maxSeqLen: 17 }, throws: RangeError, says: "maxSeqLen=17" },
  { given: { maxSeqLen: 0 }, throws: RangeError, says: "maxSeqLen=0" },
  { given: { window: 0 }, throws: RangeError, says: "window=0" },
  { given: { window: 1.5 }, throws: RangeError, says: "window=1.5" },
  { given: { window: "4" }, throws: TypeError, says: 'window="4"' },
  { given: { capacity: 0 }, throws: RangeError, says: "capacity=0" },
  { given: { capacity: NaN }, throws: RangeError, says: "capacity=NaN" },
  { given: { capacity: Infinity }, throws: RangeError, says: "capacity=Infinity" },
  { given: { capacity: undefined }, throws: TypeError, says: "capacity=undefined" },
  { given: { batch: 2 ** 52 }, throws: RangeError, says: "batch must fit one dispatch" },
  { given: { batch: -1 }, throws: RangeError, says: "batch=-1" },
  { given: { numKvHeads: 0 }, throws: RangeError, says: "numKvHeads=0" },
  { given: { numKvHeads: undefined }, throws: TypeError, says: "numKvHeads=undefined" },
  { given: { headDim: 2.5 }, throws: RangeError, says: "headDim=2.5" },
  { given: { valueDim: 0 }, throws: RangeError, says: "valueDim=0" },
  { given: { valueDim: 8n }, throws: TypeError, says: "valueDim=8" },
  { given: { dtype: "f64" }, throws: TypeError, says: 'dtype="f64"' },
  { given: { dtype: "int8" }, throws: TypeError, says: 'dtype="int8"' },
  { given: { kvDtype: "int2" }, throws: TypeError, says: 'kvDtype="int2"' },
  { given: { sinks: -1 }, throws: RangeError, says: "sinks=-1" },
  { given: { sinks: 16 }, throws: RangeError, says: "sinks + maxSeqLen must be at most capacity" },
  { given: { sinks: 3, window: 14 }, throws: RangeError, says: "sinks=3, window=14" },
  { given: { rope: { dims: 7 } }, throws: RangeError, says: "dims=7, headDim=8" },
  { given: { rope: { dims: 10 } }, throws: RangeError, says: "dims=10, headDim=8" },
  { given: { rope: { dims: 0 } }, throws: RangeError, says: "rope.dims=0" },
  { given: { rope: { style: "thirds" } }, throws: TypeError, says: 'rope.style="thirds"' },
  { given: { rope: { base: 0 } }, throws: RangeError, says: "base=0" },
  { given: { rope: { base: "1" } }, throws: TypeError, says: 'rope.base="1"' },
  { given: { rope: { frequencies: [1] } }, throws: RangeError, says: "frequencies=1, dims=8" },
  { given: { rope: { frequencies: 4 } }, throws: TypeError, says: "frequencies=4" },
  {
    given: { rope: { frequencies: () => NaN } },
    throws: RangeError,
    says: "rope.frequencies[0]=NaN",
  },
  { given: { rope: { attentionFactor: Infinity } }, throws: RangeError, says: "Infinity" },
  { given: { layout: "SBNH" }, throws: TypeError, says: 'layout="SBNH"' },
  { given: { overflow: "drop" }, throws: TypeError, says: 'overflow="drop"' },
  { given: { capacity: 2 ** 40 }, throws: RangeError, says: "maxStorageBufferBindingSize=" },
  { given: { capacity: 2 ** 53 }, throws: RangeError, says: "capacity=" },
  { given: { headDim: 2 ** 40 }, throws: RangeError, says: "maxStorageBufferBindingSize=" },
  { given: { headDim: 2 ** 40, rope: {} }, throws: RangeError, says: "rope.dims must be" },
  { given: { numKvHeads: 1e15 }, throws: RangeError, says: "keys must fit 1024 storage bindings" },
  { given: { numKvHeads: 2 ** 52, batch: 64 }, throws: RangeError, says: "1024 storage bindings" },
  { given: { kvDtype: "u32" }, throws: TypeError, says: 'kvDtype="u32"' },
  { given: { kvDtype: "bool" }, throws: TypeError, says: 'kvDtype="bool"' },
  { given: { rope: false }, throws: TypeError, says: "rope must be an object" },
  { given: { rope: null }, throws: TypeError, says: "rope=null" },
  { given: { rope: { base: 1e39 } }, throws: RangeError, says: "rope.base must be finite in f32" },
  { given: { rope: { attentionFactor: 1e39 } }, throws: RangeError, says: "finite in f32" },
  { given: { rope: { frequencies: () => -1e39 } }, throws: RangeError, says: "finite in f32" },
  { given: { rope: { frequencies: [1, 2, 3, "4"] } }, throws: TypeError, says: "frequencies[3]" },
];

for (const { given, throws, says } of WRONG_OPTIONS) {
  const [[name, value]] = Object.entries(given);
  const shown = typeof value === "object" ? Deno.inspect(value) : value;
  Deno.test(`ring: cannot be created with ${name} ${shown}`, async () => {
    const gpu = await sharedGpu();
    const options = { ...SHAPE, ...given } as RingKvCacheOptions;
    const start = performance.now();
    const { made } = await buffersOf(async () => {
      await assertRejects(() => RingKvCache.create(gpu, options), throws, says);
    });
    assertEquals(made, []);
    assertAtOnce(start);
  });
}

Deno.test("ring: null in place of an object is named", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const none = null as never;
  await assertRejects(() => RingKvCache.create(gpu, none), TypeError, "options=null");
  const cache = tensors.keep(await RingKvCache.create(gpu, { ...SHAPE, rope: {} }));
  await submit((encoder) => {
    assertThrows(() => cache.append(encoder, none), TypeError, "tokens must be an object");
    assertThrows(() => cache.bindAppend(none), TypeError, "tokens=null");
    assertThrows(() => cache.fork(encoder, none), TypeError, "pair=null");
    assertThrows(() => cache.ropeQueries(encoder, none), TypeError, "q=null");
    assertThrows(() => cache.truncate(encoder, none), TypeError, "length=null");
    assertThrows(() => cache.truncate(encoder, 0, none), TypeError, "sequence=null");
    assertThrows(() => cache.clear(encoder, none), TypeError, "sequence=null");
  });
});

Deno.test("ring: options may change while it is made, and its spec not at all", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const frequencies = [1, 0.5, 0.25, 0.125];
  const options = { ...SHAPE, rope: { frequencies } };
  const pending = RingKvCache.create(gpu, options);
  Object.assign(options, { capacity: 1e9, headDim: 1, kvDtype: "bool", rope: null });
  frequencies.fill(NaN);
  const cache = tensors.keep(await pending);
  const { capacity, headDim, kvDtype } = cache.spec;
  assertEquals([capacity, headDim, kvDtype], [16, 8, "f32"]);
  const header = new TextDecoder().decode((await cache.snapshot()).subarray(16));
  assertMatch(header, /"frequencies":\[1,0.5,0.25,0.125\]/);
  assertThrows(() => (cache.spec as { capacity: number }).capacity = 7, TypeError);
});

Deno.test("ring: the least capacity for a window and a chunk is enough", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  tensors.keep(await RingKvCache.create(gpu, { ...SHAPE, window: 15, maxSeqLen: 2 }));
  tensors.keep(await RingKvCache.create(gpu, { ...SHAPE, window: 1, maxSeqLen: 16 }));
});

/** A cache of two sequences, of 4 and 2 tokens, with everything that shows whether it changed. */
async function filledCache(tensors: Tensors, options: Partial<RingKvCacheOptions>) {
  const gpu = await sharedGpu();
  const shape = { batch: 2, numKvHeads: 1, headDim: 4, valueDim: 3, capacity: 5 };
  const cache = tensors.keep(await RingKvCache.create(gpu, { ...shape, ...options }));
  const tokens = (numTokens: number, fill: number) => {
    const filled = (size: number) => ({
      data: new Float32Array(2 * numTokens * size).fill(fill),
      shape: [2, numTokens, 1, size],
    });
    return { k: filled(4), v: filled(3) };
  };
  const upload = async (numTokens: number, fill: number) => {
    const { k, v } = tokens(numTokens, fill);
    return { k: await tensors.upload(k), v: await tensors.upload(v) };
  };
  const two = await upload(2, 1);
  await submit((encoder) => {
    cache.append(encoder, two);
    cache.clear(encoder, 1);
    cache.append(encoder, two);
  });
  const state = async () => ({
    lengths: [cache.length(0), cache.length(1), cache.storedLen],
    lengthsOnDevice: [...await downloadU32(cache.lengthsBuffer)],
    k: [...await downloadKv(cache, "k")],
    v: [...await downloadKv(cache, "v")],
  });
  return { cache, upload, state };
}

Deno.test('ring: overflow "error" refuses what does not fit, and nothing has changed', async () => {
  using tensors = new Tensors();
  const { cache, upload, state } = await filledCache(tensors, { overflow: "error" });
  const before = await state();
  assertEquals(before.lengths, [4, 2, 4]);
  // It fits the second sequence: none must have it if one cannot.
  const two = await upload(2, 9);
  await submit((encoder) => {
    assertThrows(() => cache.append(encoder, two), RangeError, "length=4, seqLen=2, capacity=5");
  });
  assertEquals(await state(), before);
  const one = await upload(1, 9);
  await submit((encoder) => cache.append(encoder, one));
  assertEquals((await state()).lengthsOnDevice, [5, 3]);
});

Deno.test("ring: refuses to overwrite what is still in the window, and nothing has changed", async () => {
  using tensors = new Tensors();
  const { cache, upload, state } = await filledCache(tensors, { window: 4, maxSeqLen: 2 });
  const before = await state();
  const three = await upload(3, 9);
  await submit((encoder) => {
    const says = "length=4, seqLen=3, capacity=5, sinks=0, window=4";
    assertThrows(() => cache.append(encoder, three), RangeError, says);
  });
  assertEquals(await state(), before);
  const two = await upload(2, 9);
  await submit((encoder) => cache.append(encoder, two));
  assertEquals((await state()).lengthsOnDevice, [6, 4]);
});

Deno.test("ring: without a window nothing is lost unasked", async () => {
  using tensors = new Tensors();
  const { cache, upload } = await filledCache(tensors, {});
  const two = await upload(2, 9);
  await submit((encoder) => {
    assertThrows(() => cache.append(encoder, two), RangeError, "tokens would be lost");
  });
});

Deno.test("ring: refuses lengths that do not match, and nothing has changed", async () => {
  using tensors = new Tensors();
  const { cache, upload, state } = await filledCache(tensors, { window: 3 });
  const before = await state();
  const one = await upload(1, 9);
  const wrong: [unknown, typeof TypeError | typeof RangeError, string][] = [
    [null, TypeError, "lengths=null"],
    [0, TypeError, "lengths=0"],
    ["", TypeError, 'lengths=""'],
    [1, TypeError, "lengths=1"],
    ["11", TypeError, 'lengths="11"'],
    [[1], RangeError, "lengths=[1], batch=2"],
    [[1, 1, 1], RangeError, "lengths=[1, 1, 1], batch=2"],
    [[1, "1"], TypeError, 'lengths[1]="1"'],
    [[1, undefined], TypeError, "lengths[1]=undefined"],
    [[-1, 1], RangeError, "lengths[0]=-1"],
    [[0.5, 1], RangeError, "lengths[0]=0.5"],
    [[1, 2], RangeError, "sequence=1, length=2, seqLen=1"],
  ];
  await submit((encoder) => {
    for (const [lengths, throws, says] of wrong) {
      const given = { ...one, lengths: lengths as number[] };
      assertThrows(() => cache.append(encoder, given), throws, says);
    }
  });
  assertEquals(await state(), before);
  await submit((encoder) => cache.append(encoder, { ...one, lengths: [0, 0] }));
  assertEquals(await state(), before);
});

Deno.test("ring: refuses to truncate to what it has not, and nothing has changed", async () => {
  using tensors = new Tensors();
  const { cache, upload, state } = await filledCache(tensors, { window: 4, maxSeqLen: 2 });
  const two = await upload(2, 9);
  await submit((encoder) => cache.append(encoder, two));
  const before = await state();
  assertEquals(before.lengths, [6, 4, 5]);
  assertEquals([cache.oldest(0), cache.oldest(1)], [1, 0]);
  const wrong: [unknown, unknown, typeof TypeError | typeof RangeError, string][] = [
    [7, 0, RangeError, "length=7, currentLength=6"],
    [5, undefined, RangeError, "length=5, currentLength=4"],
    [3, 0, RangeError, "length=3, overwritten=1, oldest=1, window=4"],
    [1, 0, RangeError, "overwritten=1"],
    [3, undefined, RangeError, "overwritten=1"],
    [-1, 1, RangeError, "length=-1"],
    [1.5, 1, RangeError, "length=1.5"],
    [undefined, 1, TypeError, "length=undefined"],
    [4, 2, RangeError, "sequence=2, batch=2"],
    [4, "0", TypeError, 'sequence="0"'],
  ];
  await submit((encoder) => {
    for (const [length, sequence, throws, says] of wrong) {
      const truncate = () => cache.truncate(encoder, length as number, sequence as number);
      assertThrows(truncate, throws, says);
    }
  });
  assertEquals(await state(), before);
  await submit((encoder) => cache.truncate(encoder, 4));
  assertEquals((await state()).lengthsOnDevice, [4, 4]);
  await submit((encoder) => cache.truncate(encoder, 0, 1));
  assertEquals((await state()).lengthsOnDevice, [4, 0]);
  await submit((encoder) => cache.truncate(encoder, 0));
  assertEquals((await state()).lengthsOnDevice, [0, 0]);
  assertEquals(cache.oldest(0), 0);
});

Deno.test("ring: refuses to fork what it has not, and nothing has changed", async () => {
  using tensors = new Tensors();
  const { cache, state } = await filledCache(tensors, {});
  const before = await state();
  const wrong: [unknown, unknown, typeof TypeError | typeof RangeError, string][] = [
    [0, 2, RangeError, "sequence=2, batch=2"],
    [-1, 0, RangeError, "sequence=-1"],
    [0, undefined, TypeError, "sequence=undefined"],
    [1, 1, RangeError, "from=1, to=1"],
  ];
  await submit((encoder) => {
    for (const [from, to, throws, says] of wrong) {
      const pair = { from: from as number, to: to as number };
      assertThrows(() => cache.fork(encoder, pair), throws, says);
    }
  });
  assertEquals(await state(), before);
});

Deno.test("ring: an attention whose queries miss tokens after a rollback is refused", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const { cache, upload } = await filledCache(tensors, { window: 4, maxSeqLen: 2 });
  const two = await upload(2, 9);
  await submit((encoder) => cache.append(encoder, two));
  await submit((encoder) => cache.truncate(encoder, 4, 0));
  const attention = tensors.keep(await Attention.create(gpu, { ...cache.spec, numHeads: 1 }));
  const q = await tensors.upload(zeros(2, 1, 1, 4));
  const o = await tensors.upload(zeros(2, 1, 1, 3));
  const one = await upload(1, 9);
  await submit((encoder) => {
    const encode = () => attention.encode(encoder, { q, cache, o });
    // The last token would see the one that was overwritten; the next one does not.
    assertThrows(encode, RangeError, "window=4, seqLen=1, length=4, oldest=1");
    cache.append(encoder, one);
    encode();
  });
});

Deno.test("ring: refuses tensors that do not match, and nothing has changed", async () => {
  using tensors = new Tensors();
  const { cache, upload, state } = await filledCache(tensors, { window: 3 });
  const { k, v } = await upload(1, 9);
  const before = await state();
  const refuses = async (
    tokens: { k: unknown; v: unknown },
    throws: typeof TypeError | typeof RangeError,
    says: string,
  ) => {
    await submit((encoder) => {
      assertThrows(() => cache.append(encoder, tokens as { k: Tensor; v: Tensor }), throws, says);
    });
  };
  const one = await tensors.upload(zeros(1, 1, 1, 4));
  await refuses({ k: one, v }, RangeError, "k must have shape [2, 1, 1, 4]");
  await refuses({ k, v: k }, RangeError, "v must have shape [2, 1, 1, 3]");
  const twoTokens = await tensors.upload(zeros(2, 2, 1, 3));
  await refuses({ k, v: twoTokens }, RangeError, "v=[2, 2, 1, 3]");
  const flat = await tensors.upload(zeros(8));
  await refuses({ k: flat, v }, RangeError, "k=[8]");
  await refuses({ k, v: undefined }, TypeError, "v must be a Tensor");
  await refuses({ k: { data: [], shape: k.shape }, v }, TypeError, "k must be a Tensor");
  if (await hasF16()) {
    const half = await tensors.upload(zeros(2, 1, 1, 3), "f16");
    await refuses({ k, v: half }, TypeError, 'v must be f32: current value v="f16"');
  }
  assertEquals(await state(), before);
});

Deno.test("ring: refuses to append without keys, by name", async () => {
  using tensors = new Tensors();
  const { cache, upload } = await filledCache(tensors, {});
  const { v } = await upload(1, 9);
  await submit((encoder) => {
    const append = () => cache.append(encoder, { v } as { k: Tensor; v: Tensor });
    assertThrows(append, TypeError, "k must be a Tensor");
  });
});

Deno.test("ring: refuses tensors of another device", async () => {
  using tensors = new Tensors();
  const { cache, upload } = await filledCache(tensors, { window: 3 });
  const { k } = await upload(1, 9);
  const other = await Gpu.open();
  try {
    const v = await Tensor.upload(other, zeros(2, 1, 1, 3));
    await submit((encoder) => {
      assertThrows(
        () => cache.append(encoder, { k, v }),
        TypeError,
        "v must live on the same device",
      );
    });
  } finally {
    other.destroy();
  }
});

Deno.test("ring: refuses sequences that it does not have", async () => {
  using tensors = new Tensors();
  const { cache } = await filledCache(tensors, {});
  await submit((encoder) => {
    assertThrows(() => cache.clear(encoder, 2), RangeError, "sequence=2, batch=2");
    assertThrows(() => cache.clear(encoder, -1), RangeError, "sequence=-1");
    assertThrows(() => cache.clear(encoder, "0" as never), TypeError, 'sequence="0"');
  });
  assertThrows(() => cache.length(2), RangeError, "sequence=2, batch=2");
  assertThrows(() => cache.length(0.5), RangeError, "sequence=0.5");
  assertThrows(() => cache.oldest(2), RangeError, "sequence=2, batch=2");
  assertThrows(() => cache.oldest(-1), RangeError, "sequence=-1");
  assertEquals(cache.length(0), 4);
});

Deno.test("ring: an attention planned for another layout is refused", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  // Where capacity and KV heads are as many, shapes cannot tell the layouts apart.
  const square = { numKvHeads: 2, headDim: 8, capacity: 2 };
  const cache = tensors.keep(await RingKvCache.create(gpu, square));
  const attention = tensors.keep(await Attention.create(gpu, { ...square, numHeads: 2 }));
  const k = await tensors.upload(zeros(1, 1, 2, 8));
  const o = await tensors.upload(zeros(1, 1, 2, 8));
  await submit((encoder) => {
    cache.append(encoder, { k, v: k });
    const encode = () => attention.encode(encoder, { q: k, cache, o });
    assertThrows(encode, TypeError, 'kvLayout="BSNH"');
  });
});

Deno.test("ring: an attention planned for other sinks or another storage is refused", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const options = { ...SHAPE, sinks: 2, kvDtype: "int8" } as const;
  const cache = tensors.keep(await RingKvCache.create(gpu, options));
  const attentionOf = async (other: Partial<AttentionSpec>) =>
    tensors.keep(await Attention.create(gpu, { ...cache.spec, numHeads: 2, ...other }));
  const [withoutSinks, int4] = [
    await attentionOf({ sinks: 0 }),
    await attentionOf({ kvDtype: "int4" }),
  ];
  const k = await tensors.upload(zeros(1, 1, 2, 8));
  const o = await tensors.upload(zeros(1, 1, 2, 8));
  await submit((encoder) => {
    cache.append(encoder, { k, v: k });
    const encode = (attention: Attention) => () => attention.encode(encoder, { q: k, cache, o });
    assertThrows(encode(withoutSinks), RangeError, "sinks=0, cache.spec.sinks=2");
    assertThrows(encode(int4), TypeError, 'kvDtype="int4", cache.spec.kvDtype="int8"');
  });
});

Deno.test("ring: an attention over an empty cache is refused", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const cache = tensors.keep(await RingKvCache.create(gpu, SHAPE));
  const attention = tensors.keep(await Attention.create(gpu, { ...cache.spec, numHeads: 2 }));
  const q = await tensors.upload(zeros(1, 1, 2, 8));
  const o = await tensors.upload(zeros(1, 1, 2, 8));
  await submit((encoder) => {
    assertThrows(() => attention.encode(encoder, { q, cache, o }), RangeError, "append first");
  });
});

Deno.test("ring: an attention over an empty cache is refused, whatever it returns", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const cache = tensors.keep(await RingKvCache.create(gpu, SHAPE));
  const outputs = ["weights"] as const;
  const spec = { ...cache.spec, numHeads: 2, outputs };
  const attention = tensors.keep(await Attention.create(gpu, spec));
  const q = await tensors.upload(zeros(1, 1, 2, 8));
  const o = await tensors.upload(zeros(1, 1, 2, 8));
  const weights = await tensors.upload(zeros(1, 2, 1, 16));
  await submit((encoder) => {
    const encode = () => attention.encode(encoder, { q, cache, o, weights });
    assertThrows(encode, RangeError, "append first");
  });
});

Deno.test("ring: an attention that needs tokens which were overwritten is refused", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const options = { numKvHeads: 1, headDim: 4, capacity: 5, window: 4, maxSeqLen: 2 };
  const cache = tensors.keep(await RingKvCache.create(gpu, options));
  const k = await tensors.upload(zeros(1, 2, 1, 4));
  await submit((encoder) => {
    for (let i = 0; i < 3; i++) cache.append(encoder, { k, v: k });
  });
  // Of 6 tokens the ring has the last 5: the first of 3 queries would have seen the token before them.
  const cases: [Partial<AttentionSpec>, string][] = [
    [{ seqLen: 3 }, "seqLen=3"],
    [{ window: 5, seqLen: 2 }, "window=5"],
    [{ window: undefined }, "window=undefined"],
  ];
  for (const [given, says] of cases) {
    const spec = { ...cache.spec, numHeads: 2, ...given };
    const attention = tensors.keep(await Attention.create(gpu, spec));
    const q = await tensors.upload(zeros(1, spec.seqLen ?? 1, 2, 4));
    const o = await tensors.upload(zeros(1, spec.seqLen ?? 1, 2, 4));
    await submit((encoder) => {
      assertThrows(() => attention.encode(encoder, { q, cache, o }), RangeError, says);
    });
  }
  // A narrower window than the cache keeps is fine, with more queries than were appended at once.
  const narrow = { ...cache.spec, numHeads: 2, window: 2, seqLen: 4 };
  const attention = tensors.keep(await Attention.create(gpu, narrow));
  const q = await tensors.upload(zeros(1, 4, 2, 4));
  const o = await tensors.upload(zeros(1, 4, 2, 4));
  await submit((encoder) => attention.encode(encoder, { q, cache, o }));
});

Deno.test("ring: an attention of another shape than the cache is refused", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const cache = tensors.keep(await RingKvCache.create(gpu, SHAPE));
  const k = await tensors.upload(zeros(1, 1, 2, 8));
  const q = await tensors.upload(zeros(1, 1, 4, 8));
  const o = await tensors.upload(zeros(1, 1, 4, 8));
  const spec = { ...cache.spec, numHeads: 4 };
  const wrong = tensors.keep(await Attention.create(gpu, { ...spec, capacity: 8 }));
  await submit((encoder) => {
    cache.append(encoder, { k, v: k });
    assertThrows(
      () => wrong.encode(encoder, { q, cache, o }),
      RangeError,
      "capacity=8, cache.spec.capacity=16",
    );
  });
});

Deno.test("ring: a device that refuses the memory is heard", async () => {
  const gpu = await sharedGpu();
  await withRefusedBuffers(async () => {
    await assertRejects(() => RingKvCache.create(gpu, SHAPE), GpuWorkError, "cache k");
  });
});
