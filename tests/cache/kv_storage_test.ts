// Keys and values in f16, int8 and int4: what is stored is near what was appended, and attention is that of what is stored.
import { assert, assertEquals } from "@std/assert";
import {
  type Dtype,
  type HostTensor,
  type KvDtype,
  planAttention,
  referenceAttention,
  RingKvCache,
  type RingKvCacheOptions,
} from "../../mod.ts";
import { assertClose, assertSame, TOLERANCE } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { rounded, runAttention, submit, Tensors } from "../support/run.ts";
import { downloadKv, downloadTokens, poison } from "../support/transcript.ts";

const [BATCH, HEADS, KV_HEADS] = [2, 6, 2];
const LARGEST: Partial<Record<KvDtype, number>> = { int8: 127, int4: 7 };

/** The most that an element of a row may be off, as the docs state it. */
function mostOff(row: ArrayLike<number>, dtype: KvDtype): number {
  const largest = Math.max(...Array.from(row, Math.abs));
  const ofStep = LARGEST[dtype];
  // The division that finds the integer is in f32; f16 has no more than 2^-24 to offer below its normal numbers.
  if (ofStep) return largest / ofStep * (0.5 + 1e-4) + 1.5e-36;
  return dtype === "f16" ? largest / 1024 + 2 ** -24 : 0;
}

/** Rows, or so many elements at a time. */
const rowsOf = ({ data, shape }: HostTensor, size = shape.at(-1)!): number[][] => {
  return Array.from(
    { length: data.length / size },
    (_, row) => Array.prototype.slice.call(data, row * size, (row + 1) * size),
  );
};

/** Rows of very different magnitudes, zeros among them. */
function unevenTensor(random: Random, shape: readonly number[], dtype: Dtype): HostTensor {
  const tensor = { ...random.tensor(shape), shape };
  const size = shape.at(-1)!;
  for (let row = 0; row < tensor.data.length / size; row++) {
    const factor = random.pick([1, 1, 3, 1e-3, 0]);
    for (let h = 0; h < size; h++) tensor.data[row * size + h] *= factor;
  }
  return rounded(tensor, dtype);
}

/** [B, S, N, H] tensors, one after the other along S. */
function concatenated(tensors: readonly HostTensor[]): HostTensor {
  const [batch, , heads, size] = tensors[0].shape;
  const data = Array.from({ length: batch }, (_, b) =>
    tensors.flatMap(({ data, shape }) => {
      const length = shape[1] * heads * size;
      return Array.prototype.slice.call(data, b * length, (b + 1) * length);
    })).flat();
  return { data, shape: [batch, data.length / (batch * heads * size), heads, size] };
}

/** The docs' bound of the error of an output row, from the inputs that nobody rounded. */
function boundsOf(
  { q, k, v }: Record<"q" | "k" | "v", HostTensor>,
  kvDtype: KvDtype,
): number {
  const mostOfRows = (rows: number[][]) => Math.max(...rows.map((row) => mostOff(row, kvDtype)));
  const norm = Math.max(...rowsOf(q).map((row) => row.reduce((sum, x) => sum + Math.abs(x), 0)));
  const score = norm * mostOfRows(rowsOf(k)) / Math.sqrt(q.shape[3]);
  const largest = Math.max(...rowsOf(v).flat().map(Math.abs));
  return mostOfRows(rowsOf(v)) + (Math.exp(2 * score) - 1) * largest;
}

async function play(random: Random, options: RingKvCacheOptions): Promise<void> {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const cache = tensors.keep(await RingKvCache.create(gpu, options));
  poison(cache);
  const { headDim, valueDim, dtype, kvDtype, window, sinks } = cache.spec;
  const appended: Record<"k" | "v", HostTensor[]> = { k: [], v: [] };
  for (const [step, seqLen] of [3, 1, 3, 1, 3, 3, 1].entries()) {
    const shape = [BATCH, seqLen, KV_HEADS];
    appended.k.push(unevenTensor(random, [...shape, headDim], dtype));
    appended.v.push(unevenTensor(random, [...shape, valueDim], dtype));
    const k = await tensors.upload(appended.k.at(-1)!, dtype);
    const v = await tensors.upload(appended.v.at(-1)!, dtype);
    await submit((encoder) => cache.append(encoder, { k, v }));

    const whole = { k: concatenated(appended.k), v: concatenated(appended.v) };
    const stored = { k: whole.k, v: whole.v };
    for (const name of ["k", "v"] as const) {
      stored[name] = await downloadTokens(cache, name);
      // Integers have a step for a row; a float is off by itself alone.
      const unit = LARGEST[kvDtype] ? whole[name].shape[3] : 1;
      const perToken = KV_HEADS * whole[name].shape[3] / unit;
      const expected = rowsOf(whole[name], unit);
      rowsOf(stored[name], unit).forEach((row, index) => {
        const token = Math.floor(index / perToken) % cache.length();
        const isLost = token >= sinks && token < cache.length() - (cache.spec.capacity - sinks);
        if (isLost) return;
        assertClose(
          row,
          expected[index],
          mostOff(expected[index], kvDtype),
          `${name}, step ${step}`,
        );
      });
    }

    const q = rounded(random.tensor([BATCH, seqLen, HEADS, headDim]), dtype);
    const exact = referenceAttention({ q, ...whole }, { window, sinks }).o;
    const expected = referenceAttention({ q, ...stored }, { window, sinks }).o;
    const bound = boundsOf({ q, ...whole }, kvDtype);
    for (const impl of ["staged", "fused"] as const) {
      const { o } = await runAttention({ ...cache.spec, numHeads: HEADS, seqLen, impl }, {
        q,
        cache,
      });
      // Sums of values up to 3 lose as much more.
      assertClose(o, expected, 3 * TOLERANCE[dtype], `${impl}, step ${step}`);
      assertClose(o, exact, bound + 3 * TOLERANCE[dtype], `${impl} from the exact, step ${step}`);
    }
  }
}

for (const dtype of ["f32", "f16"] as const) {
  for (const kvDtype of ["f32", "f16", "int8", "int4"] as const) {
    testRandomly(`storage: ${dtype} tokens in ${kvDtype}, wrapped, with sinks`, async (random) => {
      if ((dtype === "f16" || kvDtype === "f16") && !await hasF16()) return;
      for (const [headDim, valueDim] of [[8, 8], [random.integer(1, 40), random.integer(1, 40)]]) {
        const shape = { batch: BATCH, numKvHeads: KV_HEADS, headDim, valueDim };
        const ring = { capacity: 11, window: 6, maxSeqLen: 3, sinks: random.integer(0, 3) };
        await play(random, { ...shape, ...ring, dtype, kvDtype });
      }
    });
  }
}

testRandomly(
  "storage: int8 is loaded by 64 bits where its rows are an even number, and read alike",
  async (random) => {
    const { profile } = await sharedGpu();
    for (const capacity of [6, 7]) {
      const shape = { numKvHeads: 1, headDim: 16, valueDim: 112, kvDtype: "int8" } as const;
      using tensors = new Tensors();
      const options = { ...shape, capacity, window: 3, sinks: 1 };
      const cache = tensors.keep(await RingKvCache.create(await sharedGpu(), options));
      poison(cache);
      for (let step = 0; step < 8; step++) {
        const k = await tensors.upload(random.tensor([1, 1, 1, 16]));
        const v = await tensors.upload(random.tensor([1, 1, 1, 112]));
        await submit((encoder) => cache.append(encoder, { k, v }));
        const q = random.tensor([1, 1, 2, 16]);
        const spec = { ...cache.spec, numHeads: 2 };
        const plan = planAttention(spec, cache.gpu.device.limits, profile);
        assert(plan.impl === "fused");
        const isLong = profile.longLoads && capacity === 6;
        assertEquals(plan.loads, isLong ? "words" : "packs");
        const { o } = await runAttention(spec, { q, cache });
        const held = { k: await downloadTokens(cache, "k"), v: await downloadTokens(cache, "v") };
        const expected = referenceAttention({ q, ...held }, { window: 3, sinks: 1 });
        assertClose(o, expected.o, TOLERANCE.f32, `capacity ${capacity}, step ${step}`);
      }
    }
  },
);

/** What becomes of one row. */
async function storedRow(row: readonly number[], kvDtype: KvDtype): Promise<Float32Array> {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const options = { numKvHeads: 1, headDim: row.length, capacity: 1, kvDtype };
  const cache = tensors.keep(await RingKvCache.create(gpu, options));
  const k = await tensors.upload({ data: row, shape: [1, 1, 1, row.length] });
  await submit((encoder) => cache.append(encoder, { k, v: k }));
  const [stored, value] = [await downloadKv(cache, "k"), await downloadKv(cache, "v")];
  assertEquals(stored, value);
  return stored;
}

for (const kvDtype of ["int8", "int4"] as const) {
  const most = LARGEST[kvDtype]!;

  Deno.test(`storage: ${kvDtype} holds every one of its integers`, async () => {
    const integers = Array.from({ length: 2 * most + 1 }, (_, i) => i - most);
    for (const factor of [1, 2 ** 60, 2 ** -100]) {
      const row = integers.map((n) => n * factor);
      assertSame(await storedRow(row, kvDtype), row, `times ${factor}`);
    }
  });

  testRandomly(`storage: ${kvDtype} of more rows than workgroups`, async (random) => {
    const [headDim, seqLen] = [4, 8200];
    using tensors = new Tensors();
    const options = { numKvHeads: 1, headDim, capacity: seqLen, maxSeqLen: seqLen, kvDtype };
    const cache = tensors.keep(await RingKvCache.create(await sharedGpu(), options));
    const host = random.tensor([1, seqLen, 1, headDim]);
    const k = await tensors.upload(host);
    await submit((encoder) => cache.append(encoder, { k, v: k }));
    for (const name of ["k", "v"] as const) {
      assertClose(await downloadKv(cache, name), host.data, 0.501 / most, name);
    }
  });

  Deno.test(`storage: ${kvDtype} of the largest and of too small numbers`, async () => {
    const largest = 3.4028234663852886e38;
    const row = [largest, -largest, 0, largest / 2];
    assertClose(await storedRow(row, kvDtype), row, mostOff(row, kvDtype), "largest");
    for (const tiny of [0, 1e-37, 1e-40, 1e-45]) {
      const row = [tiny, -tiny, tiny, 0, tiny];
      assertClose(await storedRow(row, kvDtype), row, 1.5e-36, `${tiny}`);
    }
  });

  Deno.test(`storage: ${kvDtype} makes a row with an infinity or a NaN NaN, and no other`, async () => {
    const gpu = await sharedGpu();
    for (const bad of [Infinity, -Infinity, NaN]) {
      const stored = await storedRow([1, 2, 3, bad, 4], kvDtype);
      assert(stored.every(Number.isNaN), `${bad}: ${stored}`);
      using tensors = new Tensors();
      const options = { numKvHeads: 2, headDim: 4, capacity: 3, kvDtype, window: 1 };
      const cache = tensors.keep(await RingKvCache.create(gpu, options));
      const append = async (data: number[]) => {
        const k = await tensors.upload({ data, shape: [1, 1, 2, 4] });
        await submit((encoder) => cache.append(encoder, { k, v: k }));
      };
      await append([1, bad, 0, 0, 1, 1, 1, 1]);
      const q = { data: new Float32Array(8).fill(1), shape: [1, 1, 2, 4] };
      for (const impl of ["staged", "fused"] as const) {
        const { o } = await runAttention({ ...cache.spec, numHeads: 2, impl }, { q, cache });
        assert(o.subarray(0, 4).every(Number.isNaN), `${impl}, seen: ${o}`);
        assertClose(o.subarray(4), [1, 1, 1, 1], TOLERANCE.f32, `${impl}, the other head`);
      }
      // Out of the window it reaches nobody.
      await append([2, 2, 2, 2, 3, 3, 3, 3]);
      for (const impl of ["staged", "fused"] as const) {
        const { o } = await runAttention({ ...cache.spec, numHeads: 2, impl }, { q, cache });
        assertClose(o, [2, 2, 2, 2, 3, 3, 3, 3], TOLERANCE.f32, `${impl}, not seen`);
      }
    }
  });
}
