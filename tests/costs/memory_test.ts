// What the cache of a model takes and what fits, without a GPU, and that a real cache takes just that.
import { assert, assertEquals } from "@std/assert";
import {
  attentionParameters,
  type CacheOptions,
  type CacheShape,
  feasibleSpace,
  kvBytes,
  kvCacheBytes,
  type KvDtype,
  largestBatch,
  longestContext,
  type MemoryBudget,
  RingKvCache,
} from "../../mod.ts";
import { rowBytes } from "../../src/tensor/dtype.ts";
import { buffersOf } from "../support/buffers.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { testRefusals } from "../support/refusals.ts";

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const K = 1024;

const LAYERS_7B = { numLayers: 32, headDim: 128 };
const MHA_7B: CacheShape = { ...LAYERS_7B, numKvHeads: 32 };
const MQA_7B: CacheShape = { ...LAYERS_7B, numKvHeads: 1 };
const LAYERS_70B = { numLayers: 80, headDim: 128 };

/** 80e9 bytes, as the card's maker prints them, beside the f16 weights of LLaMA-2-7B. */
const CARD: MemoryBudget = { memoryBytes: 80e9, weightBytes: 13.5e9 };

Deno.test("published: 32 heads of 128 in f16 take 16,384 bytes a token and layer, one head 512", () => {
  // 2 (K and V) x 32 heads x 128 elements x 2 bytes = 16,384; 2 x 1 x 128 x 2 = 512.
  const layer = { numLayers: 1, headDim: 128 };
  assertEquals(kvCacheBytes({ ...layer, numKvHeads: 32 }, { contextLen: 1 }), 16384);
  assertEquals(kvCacheBytes({ ...layer, numKvHeads: 1 }, { contextLen: 1 }), 512);
});

Deno.test("published: 1,024 tokens of 32 such layers take 512 MiB, and 16 MiB", () => {
  // 16,384 x 32 layers x 1,024 tokens = 2^14 x 2^5 x 2^10 = 2^29; 512 x 32 x 1,024 = 2^24.
  assertEquals(kvCacheBytes(MHA_7B, { contextLen: K }), 512 * MIB);
  assertEquals(kvCacheBytes(MQA_7B, { contextLen: K }), 16 * MIB);
});

Deno.test("published: LLaMA-2-7B at 16K takes 8 GiB, with one KV head 0.25 GiB", () => {
  // 512 MiB x 16 = 8 GiB; 16 MiB x 16 = 0.25 GiB.
  assertEquals(kvCacheBytes(MHA_7B, { contextLen: 16 * K }), 8 * GIB);
  assertEquals(kvCacheBytes(MQA_7B, { contextLen: 16 * K }), 0.25 * GIB);
});

Deno.test("published: 80 layers of 64 heads at 16K take 40 GiB, with one KV head 0.625 GiB", () => {
  // 2 x 80 x 64 x 128 x 16,384 x 2 bytes = 42,949,672,960 = 40 GiB, and a 64th of it.
  const at = { contextLen: 16 * K };
  assertEquals(kvCacheBytes({ ...LAYERS_70B, numKvHeads: 64 }, at), 40 * GIB);
  assertEquals(kvCacheBytes({ ...LAYERS_70B, numKvHeads: 1 }, at), 0.625 * GIB);
});

Deno.test("published: the 8 KV heads of LLaMA-2-70B take an eighth of MHA's bytes", () => {
  for (const contextLen of [1, 4096, 100_000]) {
    const mha = kvCacheBytes({ ...LAYERS_70B, numKvHeads: 64 }, { contextLen });
    assertEquals(kvCacheBytes({ ...LAYERS_70B, numKvHeads: 8 }, { contextLen }) * 8, mha);
  }
});

Deno.test("published: an 80 GB card holds one sequence of 64K with MHA and not two, with MQA over 60", () => {
  // 80e9 - 13.5e9 = 66.5e9 bytes are left. MHA: 524,288 bytes a token x 65,536 = 34.36e9, twice that 68.72e9.
  // MQA: 16,384 x 65,536 = 1.0737e9, 61 times. Were the 80 GB binary (85.9e9), MHA would hold two.
  assertEquals(largestBatch(MHA_7B, CARD, { contextLen: 64 * K }), 1);
  assertEquals(largestBatch(MQA_7B, CARD, { contextLen: 64 * K }), 61);
  const binary = { ...CARD, memoryBytes: 80 * GIB };
  assertEquals(largestBatch(MHA_7B, binary, { contextLen: 64 * K }), 2);
});

Deno.test("published: with MQA it holds 64 sequences of 32K, or 16 of 128K, with room to spare", () => {
  // 16,384 x 32,768 x 64 = 16,384 x 131,072 x 16 = 34.36e9 of 66.5e9 bytes.
  const cells = feasibleSpace(MQA_7B, CARD, { contextLens: [32 * K, 128 * K], batches: [16, 64] });
  const bytesOf = (contextLen: number, batch: number) => {
    const cell = cells.find((cell) => cell.contextLen === contextLen && cell.batch === batch)!;
    assert(cell.fits || cell.bytes > 66.5e9);
    return cell.fits ? cell.bytes : Infinity;
  };
  assert(bytesOf(32 * K, 64) < 0.55 * 66.5e9);
  assert(bytesOf(128 * K, 16) < 0.55 * 66.5e9);
  assertEquals(bytesOf(128 * K, 64), Infinity);
});

Deno.test("published otherwise: 7B with MHA at 128K takes 64 GiB, not the 32 GB that some print", () => {
  // 2 x 32 layers x 32 heads x 128 x 131,072 tokens x 2 bytes = 2^36.
  assertEquals(kvCacheBytes(MHA_7B, { contextLen: 128 * K }), 64 * GIB);
});

function randomShape(random: Random): CacheShape {
  const numLayers = random.integer(1, 40);
  return {
    numLayers,
    numKvHeads: random.integer(1, 70),
    headDim: random.integer(1, 300),
    valueDim: random.next() < 0.5 ? undefined : random.integer(1, 300),
    windowed: random.next() < 0.5 ? undefined : {
      numLayers: random.integer(0, numLayers),
      window: random.integer(1, 5000),
      sinks: random.pick([undefined, 0, 4]),
    },
  };
}

const DTYPES: readonly KvDtype[] = ["f32", "f16", "int8", "int4"];

testRandomly("memory: bytes shrink exactly as the heads do", (random) => {
  for (let i = 0; i < 100; i++) {
    const numKvHeads = random.integer(1, 8);
    const groupSize = random.integer(1, 71);
    // Whole words, so that no buffer is padded.
    const shape = { ...randomShape(random), headDim: 2 * random.integer(1, 128), valueDim: 64 };
    const options = { contextLen: random.integer(1, 10_000), dtype: random.pick(DTYPES) };
    const mha = kvCacheBytes({ ...shape, numKvHeads: numKvHeads * groupSize }, options);
    assertEquals(mha / kvCacheBytes({ ...shape, numKvHeads }, options), groupSize);
  }
});

testRandomly(
  "memory: without windows it is 2 x layers x heads x size x tokens x batch x bytes",
  (random) => {
    for (let i = 0; i < 100; i++) {
      const { numLayers, numKvHeads } = randomShape(random);
      const [headDim, contextLen, batch] = [random.integer(1, 128) * 2, 100, random.integer(1, 9)];
      const elements = 2 * numLayers * numKvHeads * headDim * contextLen * batch;
      for (const [dtype, size] of [["f32", 4], ["f16", 2]] as const) {
        const bytes = kvCacheBytes({ numLayers, numKvHeads, headDim }, {
          contextLen,
          batch,
          dtype,
        });
        assertEquals(bytes, elements * size);
      }
    }
  },
);

Deno.test("memory: a quantized row is its scale and whole words", () => {
  // 128 x 8 bits = 32 words, 128 x 4 = 16; 5 x 8 = 40 bits = 2 words, 5 x 4 = 20 bits = 1 word.
  assertEquals(["int8", "int4"].map((dtype) => rowBytes(128, dtype as KvDtype)), [132, 68]);
  assertEquals(["int8", "int4"].map((dtype) => rowBytes(5, dtype as KvDtype)), [12, 8]);
  assertEquals(["f32", "f16"].map((dtype) => rowBytes(5, dtype as KvDtype)), [20, 10]);
  const shape = { batch: 3, numKvHeads: 2, headDim: 128, valueDim: 5, kvDtype: "int4" as const };
  assertEquals(kvBytes(shape, 7), 3 * 2 * 7 * (68 + 8));
});

Deno.test("memory: a latent cache has one row of a token, of which the value is a part", () => {
  // DeepSeek-AI 2024, arXiv 2412.19437: 512 + 64 numbers in each of 61 layers.
  const latent = { numLayers: 61, numKvHeads: 1, headDim: 576, valueDim: 512, isLatent: true };
  assertEquals(kvCacheBytes(latent, { contextLen: 1 }), 70_272);
  assertEquals(kvCacheBytes(latent, { contextLen: 8192, batch: 2 }), 2 * 575_668_224);
  // A quantized row has one step.
  assertEquals(kvCacheBytes(latent, { contextLen: 10, dtype: "int8" }), 10 * 61 * (576 + 4));
  assertEquals(
    kvCacheBytes({ ...latent, isLatent: false }, { contextLen: 1 }),
    61 * (576 + 512) * 2,
  );
});

Deno.test("memory: a windowed layer stops growing at its window, its sinks and a last append", () => {
  const shape = { numLayers: 6, numKvHeads: 1, headDim: 64 };
  const windowed = { ...shape, windowed: { numLayers: 5, window: 512, sinks: 4 } };
  const perSlot = 2 * 64 * 2;
  const slots = (options: CacheOptions) => kvCacheBytes(windowed, options) / perSlot;
  assertEquals(slots({ contextLen: 500 }), 6 * 500);
  assertEquals(slots({ contextLen: 516 }), 6 * 516);
  assertEquals(slots({ contextLen: 2000 }), 2000 + 5 * 516);
  assertEquals(slots({ contextLen: 2000, maxSeqLen: 33 }), 2000 + 5 * (516 + 32));
  assertEquals(slots({ contextLen: 2000, batch: 3 }), 3 * (2000 + 5 * 516));
});

for (const dtype of ["f32", "f16", "int8", "int4"] as const) {
  testRandomly(`memory: a real ring cache of ${dtype} takes what is planned`, async (random) => {
    if (dtype === "f16" && !await hasF16()) return;
    for (let i = 0; i < 5; i++) {
      const shape = {
        numKvHeads: random.integer(1, 4),
        headDim: random.integer(1, 33),
        valueDim: random.integer(1, 33),
      };
      const [window, maxSeqLen, batch] = [random.integer(1, 50), random.integer(1, 9), i + 1];
      const sinks = random.integer(0, 5);
      const capacity = sinks + window + maxSeqLen - 1;
      let held = 0;
      const { sizes } = await buffersOf(async () => {
        const cache = await RingKvCache.create(await sharedGpu(), {
          ...{ ...shape, capacity, window, sinks, maxSeqLen, batch, kvDtype: dtype },
        });
        held = cache.bytes;
        cache.destroy();
      });
      assertEquals(held, sizes.reduce((sum, size) => sum + size));
      // What a budget must have for the cache to fit is what the cache says that it holds.
      const layer = { ...shape, numLayers: 1, windowed: { numLayers: 1, window, sinks } };
      const options = { contextLens: [10_000], batches: [batch], dtype, maxSeqLen };
      const [{ bytes }] = feasibleSpace(layer, { memoryBytes: 1e9 }, options);
      assertEquals(bytes, held, JSON.stringify({ ...shape, capacity, batch }));
    }
  });
}

testRandomly(
  "memory: the longest context and the largest batch fit, and one more does not",
  (random) => {
    for (let i = 0; i < 200; i++) {
      const shape = randomShape(random);
      const dtype = random.pick(DTYPES);
      const budget = {
        memoryBytes: random.next() * 1e10 + 1e9,
        weightBytes: random.next() * 1e9,
        activationBytes: random.integer(0, 1e6),
      };
      const fits = (contextLen: number, batch: number) => {
        if (contextLen === 0 || batch === 0) return true;
        const options = { contextLens: [contextLen], batches: [batch], dtype };
        return feasibleSpace(shape, budget, options)[0].fits;
      };
      const batch = random.integer(1, 64);
      const longest = longestContext(shape, budget, { batch, dtype });
      if (longest === Infinity) {
        assertEquals(shape.windowed?.numLayers, shape.numLayers);
        assert(fits(2 ** 40, batch));
      } else {
        assert(fits(longest, batch) && !fits(longest + 1, batch), `context ${longest}`);
      }
      const contextLen = random.integer(1, 1e5);
      const most = largestBatch(shape, budget, { contextLen, dtype });
      assert(fits(contextLen, most) && !fits(contextLen, most + 1), `batch ${most}`);
    }
  },
);

Deno.test("memory: where every layer has a window, a context that fits has no end", () => {
  const shape = { ...MHA_7B, windowed: { numLayers: 32, window: 4096 } };
  assertEquals(longestContext(shape, CARD), Infinity);
  assertEquals(
    longestContext(shape, { memoryBytes: 1e9 }),
    Math.floor((1e9 - 256 - 2048) / 524288),
  );
  assertEquals(longestContext(shape, { memoryBytes: 1000 }), 0);
});

Deno.test("memory: a cell is the cache, counters of its sequences and layers, and activations", () => {
  const shape = { numLayers: 2, numKvHeads: 1, headDim: 4 };
  const budget = {
    memoryBytes: 3 * (1600 + 16 + 1000) + 128 + 7,
    weightBytes: 7,
    activationBytes: 1000,
  };
  const options = { contextLens: [50], batches: [1, 2, 3, 4] };
  // 50 tokens of 2 layers, each with a key and a value of 4 numbers in f16.
  const cells = feasibleSpace(shape, budget, options);
  assertEquals(cells.map(({ bytes }) => bytes), [1, 2, 3, 4].map((batch) => batch * 2616 + 128));
  assertEquals(cells.map(({ fits }) => fits), [true, true, true, false]);
});

Deno.test("memory: activations take their share for each sequence", () => {
  const options = { contextLen: 64 * K };
  const perSequence = 16384 * 64 * K + 32 * 8;
  const budget = { memoryBytes: 10 * (perSequence + 1e6) + 32 * 64, activationBytes: 1e6 };
  assertEquals(largestBatch(MQA_7B, budget, options), 10);
  assertEquals(largestBatch(MQA_7B, { ...budget, activationBytes: 1e6 + 1 }, options), 9);
});

Deno.test("attentionParameters() counts the four projections", () => {
  const layer = { hiddenSize: 4544, numHeads: 71, numKvHeads: 1, headDim: 64 };
  const [wide, narrow] = [4544 * 71 * 64, 4544 * 64];
  const counted = { q: wide, k: narrow, v: narrow, o: wide, total: 2 * wide + 2 * narrow };
  assertEquals(attentionParameters(layer), counted);
  const { v, o } = attentionParameters({ ...layer, valueDim: 32 });
  assertEquals([v, o], [narrow / 2, wide / 2]);
});

testRefusals("memory", [
  [
    "a value that is more than its key",
    () => kvCacheBytes({ ...MQA_7B, valueDim: 129, isLatent: true }, { contextLen: 1 }),
    RangeError,
    "headDim=128, valueDim=129",
  ],
  [
    "a negative batch",
    () => kvCacheBytes(MHA_7B, { contextLen: 1, batch: -1 }),
    RangeError,
    "batch=-1",
  ],
  [
    "a fractional context",
    () => kvCacheBytes(MHA_7B, { contextLen: 1.5 }),
    RangeError,
    "contextLen=1.5",
  ],
  [
    "a context of nothing",
    () => kvCacheBytes(MHA_7B, { contextLen: 0 }),
    RangeError,
    "contextLen=0",
  ],
  [
    "a batch of nothing beside a context",
    () => largestBatch(MHA_7B, CARD, { contextLen: 0 }),
    RangeError,
    "contextLen=0",
  ],
  [
    "a context of nothing among others",
    () => feasibleSpace(MHA_7B, CARD, { contextLens: [1, 0], batches: [1] }),
    RangeError,
    "contextLen=0",
  ],
  [
    "no layers",
    () => kvCacheBytes({ ...MHA_7B, numLayers: 0 }, { contextLen: 1 }),
    RangeError,
    "numLayers=0",
  ],
  [
    "a word",
    () => kvCacheBytes({ ...MHA_7B, headDim: "128" as never }, { contextLen: 1 }),
    TypeError,
    'headDim="128"',
  ],
  [
    "an element type",
    () => kvCacheBytes(MHA_7B, { contextLen: 1, dtype: "f8" as never }),
    TypeError,
    'dtype="f8"',
  ],
  [
    "a window",
    () => kvCacheBytes({ ...MHA_7B, windowed: { numLayers: 33, window: 1 } }, { contextLen: 1 }),
    RangeError,
    "windowed.numLayers=33",
  ],
  [
    "heads that do not divide",
    () => attentionParameters({ hiddenSize: 1, numHeads: 7, numKvHeads: 2, headDim: 1 }),
    RangeError,
    "numHeads=7, numKvHeads=2",
  ],
  [
    "a budget below the weights",
    () => longestContext(MHA_7B, { memoryBytes: 12e9, weightBytes: 13.5e9 }),
    RangeError,
    "missingBytes=1500000000",
  ],
  [
    "a budget that is no number",
    () => largestBatch(MHA_7B, { memoryBytes: "80" as never }, { contextLen: 1 }),
    TypeError,
    'memoryBytes="80"',
  ],
  [
    "a negative budget",
    () => longestContext(MHA_7B, { memoryBytes: -1 }),
    RangeError,
    "memoryBytes=-1",
  ],
  [
    "endless memory",
    () => longestContext(MHA_7B, { memoryBytes: Infinity }),
    RangeError,
    "memoryBytes=Infinity",
  ],
]);
