// Rotary position embedding: keys on append, queries by rotate, against float64.
import { assertThrows } from "@std/assert";
import { RingKvCache, type RopeOptions, Tensor } from "../../mod.ts";
import { ropedRow } from "../../src/reference/rope.ts";
import { assertClose, assertSame } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { ropedTensor } from "../support/rope.ts";
import { rounded, shapeOf, submit, Tensors } from "../support/run.ts";
import { downloadKv } from "../support/transcript.ts";

const POSITIONS = [0, 1, 4095, 131071, 1_000_000, 2 ** 24];
/** The docs' bound of the error, in parts of the magnitude of a pair. */
const BOUND = 3e-7;

/** The frequencies of Llama 3.1, from a base of 500000. */
const llama3: RopeOptions = {
  base: 500_000,
  frequencies(frequency) {
    const turns = 8192 * frequency / (2 * Math.PI);
    if (turns > 4) return frequency;
    if (turns < 1) return frequency / 8;
    const smooth = (turns - 1) / 3;
    return (1 - smooth) * frequency / 8 + smooth * frequency;
  },
};

const OPTIONS: readonly { name: string; headDim: number; rope: RopeOptions }[] = [
  { name: "halves", headDim: 128, rope: {} },
  { name: "pairs", headDim: 64, rope: { style: "pairs" } },
  { name: "the last dims alone, halves", headDim: 36, rope: { firstDim: 28 } },
  {
    name: "dims in the middle, pairs",
    headDim: 33,
    rope: { firstDim: 5, dims: 20, style: "pairs" },
  },
  { name: "the first dims alone, halves", headDim: 33, rope: { dims: 8 } },
  { name: "the first dims alone, pairs", headDim: 80, rope: { dims: 20, style: "pairs" } },
  { name: "one pair", headDim: 2, rope: { base: 1e6 } },
  { name: "Llama 3", headDim: 64, rope: llama3 },
  { name: "a factor", headDim: 8, rope: { attentionFactor: 1.2079441541679836 } },
  {
    name: "a table, of negative, zero and large frequencies",
    headDim: 8,
    rope: { frequencies: [-0.3, 0, 7.5, Math.PI] },
  },
];

/** The same tensor of one token, appended as a key at a position and rotated as a query of that position. */
async function ropedOnDevice(
  cache: RingKvCache,
  row: { data: Float32Array; shape: readonly number[] },
  position: number,
): Promise<{ key: Float32Array; query: Float32Array }> {
  using tensors = new Tensors();
  const x = await tensors.upload(row, cache.spec.dtype);
  const q = await tensors.upload(row, cache.spec.dtype);
  cache.gpu.device.queue.writeBuffer(cache.lengthsBuffer, 0, new Uint32Array([position]));
  await submit((encoder) => {
    cache.append(encoder, { k: x, v: x });
    cache.ropeQueries(encoder, q);
  });
  return { key: await downloadKv(cache, "k"), query: await q.download() };
}

async function check(
  random: Random,
  { headDim, rope }: { headDim: number; rope: RopeOptions },
  dtype: "f32" | "f16",
): Promise<void> {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const options = { numKvHeads: 1, headDim, capacity: 1, overflow: "wrap", rope, dtype } as const;
  const cache = tensors.keep(await RingKvCache.create(gpu, options));
  const rounding = dtype === "f16" ? 2 ** -10 : 0;
  for (const position of POSITIONS) {
    const row = rounded(random.tensor([1, 1, 1, headDim]), dtype) as ReturnType<Random["tensor"]>;
    const { key, query } = await ropedOnDevice(cache, row, position);
    const { attentionFactor = 1 } = rope;
    const magnitude = Math.SQRT2 * attentionFactor;
    const expected = ropedRow(row.data, position, rope);
    assertClose(key, expected, magnitude * (BOUND + rounding), `key at ${position}`);
    assertClose(query, expected, magnitude * (BOUND + rounding), `query at ${position}`);
  }
}

for (const { name, ...options } of OPTIONS) {
  testRandomly(`rope: ${name}`, async (random) => {
    await check(random, options, "f32");
    if (await hasF16()) await check(random, options, "f16");
  });
}

testRandomly("rope: values and what is beyond dims stay to the bit", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const shape = { numKvHeads: 1, headDim: 9, capacity: 1, overflow: "wrap" } as const;
  const cache = tensors.keep(await RingKvCache.create(gpu, { ...shape, rope: { dims: 4 } }));
  const row = random.tensor([1, 1, 1, 9]);
  const { key, query } = await ropedOnDevice(cache, row, 1234);
  assertSame(key.subarray(4), row.data.subarray(4), "key");
  assertSame(query.subarray(4), row.data.subarray(4), "query");
  assertSame(await downloadKv(cache, "v"), row.data, "value");
});

testRandomly("rope: a key and a query match by their distance alone", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const shape = { numKvHeads: 1, headDim: 64, capacity: 1, overflow: "wrap" } as const;
  const cache = tensors.keep(await RingKvCache.create(gpu, { ...shape, rope: {} }));
  const [k, q] = [random.tensor([1, 1, 1, 64]), random.tensor([1, 1, 1, 64])];
  const scoreAt = async (keyAt: number, queryAt: number) => {
    const { key } = await ropedOnDevice(cache, k, keyAt);
    const { query } = await ropedOnDevice(cache, q, queryAt);
    return key.reduce((sum, x, h) => sum + x * query[h], 0);
  };
  const scores: number[] = [];
  for (const start of POSITIONS.slice(0, -1)) scores.push(await scoreAt(start, start + 77));
  assertClose(scores, new Array(scores.length).fill(scores[0]), 64 * 4 * BOUND, "scores");
});

testRandomly(
  "rope: one cache rotates queries of any number of heads and tokens",
  async (random) => {
    const gpu = await sharedGpu();
    for (const layout of ["BSNH", "BNSH"] as const) {
      using tensors = new Tensors();
      const shape = { numKvHeads: 1, headDim: 4, capacity: 8, layout };
      const cache = tensors.keep(await RingKvCache.create(gpu, { ...shape, rope: {} }));
      const k = await tensors.upload(random.tensor([1, 6, 1, 4]));
      const kv = layout === "BSNH" ? k : Tensor.wrap(gpu, k.buffer, [1, 1, 6, 4]);
      await submit((encoder) => cache.append(encoder, { k: kv, v: kv }));
      // The last ones have more pairs than the grid has invocations.
      for (const [heads, tokens] of [[2, 3], [3, 3], [3, 2], [2, 2], [6, 1], [6000, 6]]) {
        const host = random.tensor(shapeOf(layout, { batch: 1, heads, tokens, size: 4 }));
        const q = await tensors.upload(host);
        await submit((encoder) => cache.ropeQueries(encoder, q));
        const expected = ropedTensor(
          host,
          ([, outer, inner]) => 6 - tokens + (layout === "BSNH" ? outer : inner),
          {},
        );
        const what = `${heads} heads of ${tokens} tokens in ${layout}`;
        assertClose(await q.download(), expected.data, 2 * BOUND, what);
      }
    }
  },
);

Deno.test("rope: queries that cannot be rotated are refused", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const shape = { numKvHeads: 1, headDim: 8, capacity: 4 };
  const plain = tensors.keep(await RingKvCache.create(gpu, shape));
  const cache = tensors.keep(await RingKvCache.create(gpu, { ...shape, rope: {} }));
  const two = tensors.keep(await Tensor.empty(gpu, [1, 2, 1, 8]));
  const one = tensors.keep(await Tensor.empty(gpu, [1, 1, 1, 8]));
  const narrow = tensors.keep(await Tensor.empty(gpu, [1, 1, 1, 4]));
  await submit((encoder) => {
    cache.append(encoder, { k: one, v: one });
    plain.append(encoder, { k: one, v: one });
    const says = "the cache must be created with rope";
    assertThrows(() => plain.ropeQueries(encoder, one), TypeError, says);
    assertThrows(() => cache.ropeQueries(encoder, two), RangeError, "seqLen=2, maxLength=1");
    assertThrows(() => cache.ropeQueries(encoder, narrow), RangeError, "q=[1, 1, 1, 4]");
    assertThrows(
      () => cache.ropeQueries(encoder, undefined as never),
      TypeError,
      "q must be a Tensor",
    );
    cache.ropeQueries(encoder, one);
  });
});
