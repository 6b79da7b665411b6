// Products of queries and keys in f16: scores and outputs are within the docs' bound of the reference, at any magnitude.
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import {
  Attention,
  type AttentionSpec,
  type Dtype,
  explain,
  Gpu,
  type HostTensor,
  type KvDtype,
  planAttention,
  referenceAttention,
  RingKvCache,
} from "../../mod.ts";
import { assertClose, assertSame, MASKED, maskedScores, TOLERANCE } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { LIMITS } from "../support/plan.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { randomInputs, rounded, runAttention, submit, Tensors } from "../support/run.ts";
import { type Draw, randomDraw, randomSizes, referenceOf } from "../support/score_options.ts";

const KV_DTYPES = ["f16", "int8", "int4"] as const;
const LARGEST: Partial<Record<KvDtype, number>> = { int8: 127, int4: 7 };

/** The docs' bound of the error of any score. */
function scoreBound({ spec, inputs: { q, k } }: Draw): number {
  const { headDim, kvDtype, scale = 1 / Math.sqrt(headDim) } = spec;
  const magnitudes = (row: ArrayLike<number>) => Array.from(row, Math.abs);
  const ofKeys = Array.from({ length: k.data.length / headDim }, (_, row) => {
    const key = magnitudes(Array.prototype.slice.call(k.data, row * headDim, (row + 1) * headDim));
    const largest = LARGEST[kvDtype!];
    const step = largest ? Math.max(...key) / largest : 1;
    return 6 * key.reduce((a, b) => a + b) + headDim * step;
  });
  return Math.abs(scale) * Math.max(...magnitudes(q.data)) * Math.max(...ofKeys) / 1024;
}

async function check(draw: Draw): Promise<void> {
  const { spec, inputs } = draw;
  const expected = referenceAttention(...referenceOf(draw));
  const what = JSON.stringify(spec);
  const bound = scoreBound(draw);
  const largest = Math.max(...Array.from(inputs.v.data, Math.abs));
  const actual = await runAttention({ ...spec, arithmetic: "f16", outputs: ["lse"] }, inputs);
  const inSums = TOLERANCE.f32 * Math.max(1, Math.abs(spec.scale ?? 1));
  assertClose(actual.lse!, maskedScores(expected.lse), bound + inSums, `lse of ${what}`);
  const off = (Math.exp(2 * bound) - 1) * largest;
  assertClose(actual.o, expected.o, off + TOLERANCE[spec.dtype ?? "f32"], `o of ${what}`);
}

for (const kvDtype of KV_DTYPES) {
  testRandomly(`products in f16: scores of any kind, keys in ${kvDtype}`, async (random) => {
    if (!await hasF16()) return;
    for (const dtype of ["f32", "f16"] as const) {
      await check(randomDraw(random, { ...randomSizes(random), dtype, kvDtype }));
    }
  });
}

/** Numbers of either sign and nearly the same magnitude: sums of their products cancel. */
function large(random: Random, shape: readonly number[], most: number): HostTensor {
  const { data } = random.tensor(shape);
  return { data: data.map((x) => Math.sign(x || 1) * most * (1 - 0.1 * Math.abs(x))), shape };
}

const MAGNITUDES: readonly { q: number; k: number; dtype: Dtype }[] = [
  { q: 65504, k: 65504, dtype: "f16" },
  { q: 1e-4, k: 65504, dtype: "f16" },
  { q: 65504, k: 0.05, dtype: "f16" },
  { q: 1e30, k: 65504, dtype: "f32" },
  { q: 1e37, k: 0.05, dtype: "f32" },
  { q: 1e-36, k: 65504, dtype: "f32" },
];

for (const { q: mostQ, k: mostK, dtype } of MAGNITUDES) {
  testRandomly(
    `products in f16: queries of ${mostQ} in ${dtype}, keys of ${mostK}`,
    async (random) => {
      if (!await hasF16()) return;
      for (const kvDtype of KV_DTYPES) {
        const [numHeads, seqLen, headDim, capacity] = [3, 2, 16, 70];
        const scale = 1 / (mostQ * mostK);
        const spec = { numHeads, numKvHeads: 1, headDim, seqLen, capacity, scale, dtype, kvDtype };
        const inputs = {
          q: rounded(large(random, [1, seqLen, numHeads, headDim], mostQ), dtype),
          k: rounded(large(random, [1, capacity, 1, headDim], mostK), kvDtype),
          v: rounded(random.tensor([1, capacity, 1, headDim]), kvDtype),
        };
        await check({ spec, inputs });
      }
    },
  );
}

testRandomly("products in f16 are: a factor is rounded to 11 bits", async (random) => {
  if (!await hasF16()) return;
  const spec: AttentionSpec = {
    ...{ numHeads: 1, headDim: 4, capacity: 1, scale: 1, kvDtype: "f16", outputs: ["lse"] },
  };
  const inputs = randomInputs(random, spec);
  const score = 1 + 2 ** -13;
  inputs.q.data = [score, 0, 0, 0];
  inputs.k.data = [1, 0, 0, 0];
  const lseOf = async (arithmetic: Dtype) =>
    (await runAttention({ ...spec, arithmetic }, inputs)).lse!;
  assertSame(await lseOf("f32"), [score], "in f32");
  assertSame((await lseOf("f16")).map((x) => Number(x === score)), [0], "in f16");
});

testRandomly(
  "products in f16: an element far below the largest of its query keeps its 11 bits",
  async (random) => {
    if (!await hasF16()) return;
    const spec: AttentionSpec = {
      ...{ numHeads: 1, headDim: 4, capacity: 1, scale: 1, kvDtype: "f16", outputs: ["lse"] },
      arithmetic: "f16",
    };
    const inputs = randomInputs(random, spec);
    // An eighth of it is just above the least normal number of f16.
    const score = 2 ** -11 * (1 + 2 ** -10);
    inputs.q.data = [1, score, 0, 0];
    inputs.k.data = [0, 1, 0, 0];
    assertSame((await runAttention(spec, inputs)).lse!, [score], "lse");
  },
);

testRandomly("products in f16: what a row does not see has no influence", async (random) => {
  if (!await hasF16()) return;
  const spec: AttentionSpec = {
    ...{ numHeads: 6, numKvHeads: 2, headDim: 8, seqLen: 9, capacity: 4, kvDtype: "f16" },
    ...{ arithmetic: "f16", outputs: ["lse"], layout: "BNSH" },
  };
  const inputs = randomInputs(random, spec);
  const { o, lse } = await runAttention(spec, inputs);
  const unseen = (rows: Float32Array, size: number) =>
    rows.filter((_, index) => Math.floor(index / size) % 9 < 5);
  assertSame(unseen(o, 8), new Float32Array(6 * 5 * 8), "o of rows that see nothing");
  assertSame(unseen(lse!, 1), new Float32Array(6 * 5).fill(MASKED), "lse of rows that see nothing");

  // The last key of each head, which the last query of each head sees alone.
  for (const value of [Infinity, NaN]) {
    const others = { ...inputs, k: { ...inputs.k, data: Float32Array.from(inputs.k.data) } };
    for (const head of [0, 1]) others.k.data.fill(value, (head * 4 + 3) * 8, (head * 4 + 4) * 8);
    const beside = await runAttention(spec, others);
    const rest = (rows: Float32Array) => rows.filter((_, i) => Math.floor(i / 8) % 9 < 8);
    assertSame(rest(beside.o), rest(o), `o beside ${value}`);
  }
});

testRandomly("products in f16: over a ring that has wrapped", async (random) => {
  if (!await hasF16()) return;
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const shape = { numKvHeads: 2, headDim: 64, capacity: 40, window: 40, rope: {} };
  for (const kvDtype of KV_DTYPES) {
    const cache = tensors.keep(await RingKvCache.create(gpu, { ...shape, kvDtype }));
    const token = { shape: [1, 1, 2, 64] };
    for (let position = 0; position < 57; position++) {
      const k = await tensors.upload(random.tensor(token.shape));
      const v = await tensors.upload(random.tensor(token.shape));
      await submit((encoder) => cache.append(encoder, { k, v }));
    }
    const spec: AttentionSpec = { ...cache.spec, numHeads: 8, outputs: ["lse"] };
    const inputs = { q: random.tensor([1, 1, 8, 64]), cache };
    const expected = await runAttention(spec, inputs);
    const actual = await runAttention({ ...spec, arithmetic: "f16" }, inputs);
    assertClose(actual.lse!, expected.lse!, 5e-4, `lse, ${kvDtype}`);
    assertClose(actual.o, expected.o, 5e-4, `o, ${kvDtype}`);
  }
});

Deno.test("products in f16: what cannot be is refused, and explained", async () => {
  const spec: AttentionSpec = {
    ...{ numHeads: 4, numKvHeads: 1, headDim: 8, capacity: 8 },
    ...{ kvDtype: "int8", arithmetic: "f16" },
  };
  const refuses = (given: Partial<AttentionSpec>, kind: typeof TypeError, says: string) => {
    assertThrows(() => planAttention({ ...spec, ...given }, LIMITS), kind, says);
  };
  const onlyFused = 'only impl "fused" computes products in f16';
  refuses({ impl: "staged" }, TypeError, onlyFused);
  refuses({ outputs: ["lse", "weights"] }, TypeError, onlyFused);
  refuses({ kvDtype: undefined }, RangeError, 'arithmetic="f16", kvDtype="f32"');
  refuses({ arithmetic: "int8" as never }, TypeError, "arithmetic must be");

  const fits = planAttention(spec, LIMITS);
  assertStringIncludes(explain(fits), "products    of queries and keys in f16, added up in f32");
  const none = planAttention(spec, { ...LIMITS, maxComputeWorkgroupStorageSize: 16 });
  assertStringIncludes(none.reason, "no fused tile fits");
  assertEquals(explain(none).includes("products"), false);

  const adapter = await navigator.gpu.requestAdapter();
  const plain = await Gpu.from(await adapter!.requestDevice());
  const says =
    'the device lacks shader-f16 (use arithmetic "f32"): current values arithmetic="f16"';
  await assertRejects(() => Attention.create(plain, spec), RangeError, says);
  plain.destroy();
});
