// Keys and values whose channels are calibrated and whose rows are rotated before they are stored as integers: what is
// stored is near what was appended, and attention is that of what is stored, whatever becomes of its scores.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Attention,
  calibrateKv,
  type HostTensor,
  type KvCalibration,
  PagedKvCache,
  PagePool,
  type PagePoolOptions,
  planAttention,
  referenceAttention,
  RingKvCache,
  type RingKvCacheOptions,
  SharedPrefixAttention,
  SnapshotError,
} from "../../mod.ts";
import { assertClose, assertSame, maskedScores, TOLERANCE } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import {
  appendedBounds,
  randomCalibration,
  restored,
  type RowTransform,
  transformsOf,
} from "../support/kv_transform.ts";
import { gpuTuning, LIMITS } from "../support/plan.ts";
import { type Random, testRandomly } from "../support/random.ts";
import {
  concatenate,
  firstOfKeys,
  rounded,
  runAttention,
  submit,
  Tensors,
} from "../support/run.ts";
import { downloadTokens, downloadU32, poison } from "../support/transcript.ts";

const [BATCH, KV_HEADS, HEADS] = [2, 2, 6];

/** Keys and values that a cache holds, out of their transform. */
async function readTokens(
  cache: RingKvCache,
  transforms: Record<"k" | "v", RowTransform>,
): Promise<Record<"k" | "v", HostTensor>> {
  const k = restored(await downloadTokens(cache, "k"), transforms.k);
  const v = cache.spec.valuesAre === "keys"
    ? firstOfKeys(k, cache.spec.valueDim)
    : restored(await downloadTokens(cache, "v"), transforms.v);
  return { k, v };
}

/** What a score goes through, by name: an offset of keys adds to it before any of this. */
const SCORES = {
  plain: {},
  "softcap, ALiBi and sinks": {
    ...{ scale: 0.3, softcap: 5 },
    ...{ alibiSlopes: [0.1, 0.2, 0.3, 0, 0.5, 1], sinkLogits: [0, 1, -1, 2, 0.5, -3] },
  },
} as const;

/** Appends to a ring until it has wrapped, and compares what it holds, and attention over it, step by step. */
async function play(random: Random, options: RingKvCacheOptions): Promise<void> {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const cache = tensors.keep(await RingKvCache.create(gpu, options));
  poison(cache);
  const { headDim, valueDim, dtype, kvDtype, valuesAre, window, sinks } = cache.spec;
  const transforms = transformsOf({ ...options, headDim, valueDim });
  for (const [step, seqLen] of [3, 1, 3, 1, 3, 3].entries()) {
    const host = {
      k: rounded(random.tensor([BATCH, seqLen, KV_HEADS, headDim]), dtype),
      v: rounded(random.tensor([BATCH, seqLen, KV_HEADS, valueDim]), dtype),
    };
    const k = await tensors.upload(host.k, dtype);
    const v = valuesAre === "keys" ? undefined : await tensors.upload(host.v, dtype);
    await submit((encoder) => cache.append(encoder, { k, v }));
    const held = await readTokens(cache, transforms);
    for (const name of valuesAre === "keys" ? ["k"] as const : ["k", "v"] as const) {
      const bounds = appendedBounds(host[name], transforms[name], kvDtype);
      const newest = newestOf(held[name], seqLen);
      bounds.forEach((bound, i) =>
        assert(Math.abs(newest[i] - host[name].data[i]) <= bound, `${name}[${i}] is off by more`)
      );
    }

    const q = rounded(random.tensor([BATCH, seqLen, HEADS, headDim]), dtype);
    const [name, scores] = Object.entries(SCORES)[step % 2];
    const expected = referenceAttention({ q, ...held }, { window, sinks, ...scores });
    for (const impl of ["staged", "fused"] as const) {
      const tuning = impl === "fused" && step === 1 ? gpuTuning(random) : undefined;
      const spec = { ...cache.spec, numHeads: HEADS, seqLen, impl, tuning, ...scores };
      const { o, lse } = await runAttention({ ...spec, outputs: ["lse"] }, { q, cache });
      const what = `${impl}, ${name}, step ${step}`;
      assertClose(o, expected.o, SLACK * TOLERANCE[dtype], `o, ${what}`);
      assertClose(lse!, maskedScores(expected.lse), SLACK * TOLERANCE.f32, `lse, ${what}`);
    }
  }
}

/** Channels go to about 11, and scores to 11 times the sum of a query: so much more is lost. */
const SLACK = 16;

/** The last tokens of each sequence, in the order of [B, S, N, H]. */
function newestOf({ data, shape: [batch, tokens, heads, size] }: HostTensor, seqLen: number) {
  const row = heads * size;
  return Array.from(
    { length: batch },
    (_, b) =>
      Array.prototype.slice.call(
        data,
        (b * tokens + tokens - seqLen) * row,
        (b + 1) * tokens * row,
      ),
  )
    .flat();
}

const RING = { capacity: 11, window: 6, maxSeqLen: 3, sinks: 1 };

for (const kvDtype of ["int8", "int4"] as const) {
  for (const kind of ["calibrated", "rotated", "calibrated and rotated"] as const) {
    testRandomly(`transform: ${kvDtype}, ${kind}, wrapped, with sinks`, async (random) => {
      for (
        const sizes of [
          { headDim: 8, valueDim: 16 },
          { headDim: 2 * random.integer(1, 20), valueDim: 2 * random.integer(1, 20) },
          { headDim: 24, valueDim: 16, valuesAre: "keys" as const },
        ]
      ) {
        const shape = { batch: BATCH, numKvHeads: KV_HEADS, ...sizes };
        await play(random, {
          ...{ ...shape, ...RING, kvDtype },
          ...(kind.startsWith("calibrated") && { kvCalibration: randomCalibration(random, shape) }),
          ...(kind.endsWith("rotated") && { kvRotation: "hadamard" }),
        });
      }
    });
  }
}

testRandomly(
  "transform: rows of more elements than a workgroup has invocations",
  async (random) => {
    const gpu = await sharedGpu();
    const shape = { numKvHeads: 1, headDim: 66, valueDim: 65 };
    const kvCalibration = randomCalibration(random, shape);
    using tensors = new Tensors();
    const stored = { kvDtype: "int8", kvCalibration } as const;
    const options = { ...shape, ...stored, capacity: 3, maxSeqLen: 3 };
    const cache = tensors.keep(await RingKvCache.create(gpu, options));
    const k = await tensors.upload(random.tensor([1, 3, 1, 66]));
    const v = await tensors.upload(random.tensor([1, 3, 1, 65]));
    await submit((encoder) => cache.append(encoder, { k, v }));
    const held = await readTokens(cache, transformsOf(options));
    const q = random.tensor([1, 1, 2, 66]);
    const spec = { ...cache.spec, numHeads: 2, outputs: ["lse"] as const };
    const { o, lse } = await runAttention(spec, { q, cache });
    const expected = referenceAttention({ q, ...held }, {});
    assertClose(o, expected.o, SLACK * TOLERANCE.f32, "o");
    assertClose(lse!, expected.lse, SLACK * TOLERANCE.f32, "lse");
  },
);

testRandomly("transform: f16 tokens in layout BNSH, calibrated in odd sizes", async (random) => {
  if (!await hasF16()) return;
  const shape = { batch: 1, numKvHeads: 2, headDim: 7, valueDim: 5 };
  const kvCalibration = randomCalibration(random, shape);
  using tensors = new Tensors();
  const options = { ...shape, capacity: 5, maxSeqLen: 3, dtype: "f16", layout: "BNSH" } as const;
  const cache = tensors.keep(
    await RingKvCache.create(await sharedGpu(), { ...options, kvDtype: "int4", kvCalibration }),
  );
  const k = await tensors.upload(random.tensor([1, 2, 3, 7]), "f16");
  const v = await tensors.upload(random.tensor([1, 2, 3, 5]), "f16");
  await submit((encoder) => cache.append(encoder, { k, v }));
  const held = await readTokens(cache, transformsOf({ ...shape, kvCalibration }));
  const q = rounded(random.tensor([1, 3, 4, 7]), "f16");
  const expected = referenceAttention({ q, ...held }, {});
  for (const impl of ["staged", "fused"] as const) {
    const spec = { ...cache.spec, layout: "BSNH", numHeads: 4, seqLen: 3, impl } as const;
    const { o } = await runAttention(spec, { q, cache });
    assertClose(o, expected.o, SLACK * TOLERANCE.f16, impl);
  }
});

/** A cache in four bits that is calibrated and rotated, and tokens for it. */
async function filled(random: Random, tensors: Tensors, tokens: number, batch = 1) {
  const shape = { batch, numKvHeads: 2, headDim: 8, valueDim: 16 };
  const options: RingKvCacheOptions = {
    ...{ ...shape, capacity: 8, maxSeqLen: 4, kvDtype: "int4", kvRotation: "hadamard" },
    kvCalibration: randomCalibration(random, shape),
  };
  const cache = tensors.keep(await RingKvCache.create(await sharedGpu(), options));
  const host = {
    k: random.tensor([batch, tokens, 2, 8]),
    v: random.tensor([batch, tokens, 2, 16]),
  };
  const [k, v] = await Promise.all([tensors.upload(host.k), tensors.upload(host.v)]);
  return { cache, options, host, k, v, transforms: transformsOf({ ...shape, ...options }) };
}

testRandomly("transform: stages are those of the keys that are held", async (random) => {
  using tensors = new Tensors();
  const { cache, k, v, transforms } = await filled(random, tensors, 4);
  await submit((encoder) => cache.append(encoder, { k, v }));
  const held = await readTokens(cache, transforms);
  const q = random.tensor([1, 3, 4, 8]);
  const scores = { softcap: 4, sinkLogits: [1, 0, -1, 2] };
  const expected = referenceAttention({ q, ...held }, scores);
  const outputs = ["products", "softcapped", "scores", "weights", "lse"] as const;
  const spec = { ...cache.spec, ...scores, numHeads: 4, seqLen: 3 };
  const actual = await runAttention({ ...spec, outputs }, { q, cache });
  assertClose(actual.o, expected.o, SLACK * TOLERANCE.f32, "o");
  for (const stage of ["products", "softcapped", "scores", "weights"] as const) {
    // Columns behind the four tokens are masked.
    const held = actual[stage]!.filter((_, i) => i % 8 < 4);
    assertClose(held, maskedScores(expected[stage]), SLACK * TOLERANCE.f32, stage);
  }
  assertClose(actual.lse!, maskedScores(expected.lse), SLACK * TOLERANCE.f32, "lse");

  const transformBytes = 4 * 3 * 4 * (8 + 16 + 16 + 2);
  const least = { ...spec, impl: "staged" as const, maxScratchBytes: transformBytes + 4 * 8 * 4 };
  const inBlocks = await runAttention(least, { q, cache });
  assertSame(inBlocks.o, actual.o, "o in blocks of rows");
  const attention = tensors.keep(await Attention.create(cache.gpu, least));
  assert(attention.plan.blocks.length > 1, "blocks of rows");
  assert(attention.plan.scratchBytes <= least.maxScratchBytes, "scratch");
});

testRandomly(
  "transform: many appends are one, and a fork, a rollback and a snapshot keep it",
  async (random) => {
    using tensors = new Tensors();
    const { cache, options, host, k, v } = await filled(random, tensors, 4, 2);
    await submit((encoder) => cache.append(encoder, { k, v }));
    const whole = await readRaw(cache);

    const other = tensors.keep(await RingKvCache.create(cache.gpu, options));
    for (let token = 0; token < 4; token++) {
      const own = await Promise.all(
        (["k", "v"] as const).map((name) => tensors.upload(tokenOf(host[name], token))),
      );
      await submit((encoder) => other.append(encoder, { k: own[0], v: own[1] }));
    }
    assertSame(await readRaw(other), whole, "many appends");

    const restoredCache = tensors.keep(
      await RingKvCache.restore(cache.gpu, await cache.snapshot()),
    );
    assertSame(await readRaw(restoredCache), whole, "restored");
    assertEquals(restoredCache.spec, cache.spec);
    const q = { q: random.tensor([2, 1, 4, 8]) };
    const outputOf = async (cache: RingKvCache) =>
      (await runAttention({ ...cache.spec, numHeads: 4 }, { ...q, cache })).o;
    const before = await outputOf(cache);
    assertSame(await outputOf(restoredCache), before, "attention over the restored");

    await submit((encoder) => {
      other.append(encoder, { k, v });
      other.truncate(encoder, 4);
    });
    assertSame(await outputOf(other), before, "attention after a rollback");
    await submit((encoder) => other.fork(encoder, { from: 0, to: 1 }));
    const copied = await readRaw(other);
    assertSame(copied.subarray(copied.length / 2), copied.subarray(0, copied.length / 2), "forked");
  },
);

/** Stored keys as they lie, with what is not there as NaN. */
async function readRaw(cache: RingKvCache): Promise<Float32Array> {
  const tokens = await downloadTokens(cache, "k");
  return Float32Array.from(tokens.data);
}

/** One token of [B, S, N, H]. */
function tokenOf({ data, shape: [batch, tokens, heads, size] }: HostTensor, token: number) {
  const row = heads * size;
  const rows = Array.from({ length: batch }, (_, b) => {
    const start = (b * tokens + token) * row;
    return Array.prototype.slice.call(data, start, start + row) as number[];
  });
  return { data: rows.flat(), shape: [batch, 1, heads, size] };
}

testRandomly(
  "transform: a prefix in one calibration and suffixes in another are one context",
  async (random) => {
    using tensors = new Tensors();
    const prefix = await filled(random, tensors, 4);
    const suffix = await filled(random, tensors, 3, 2);
    const attention = tensors.keep(
      await SharedPrefixAttention.create(prefix.cache.gpu, {
        ...{ ...suffix.cache.spec, numHeads: 4, prefix: prefix.cache.spec },
      }),
    );
    const queries = random.tensor([2, 1, 4, 8]);
    const q = await tensors.upload(queries);
    const [o, lse] = [await tensors.poisoned([2, 1, 4, 16]), await tensors.poisoned([2, 1, 4])];
    await submit((encoder) => {
      prefix.cache.append(encoder, { k: prefix.k, v: prefix.v });
      suffix.cache.append(encoder, { k: suffix.k, v: suffix.v });
      const views = { prefix: { cache: prefix.cache }, suffix: { cache: suffix.cache } };
      attention.encode(encoder, { q, o, lse, ...views });
    });
    const [first, rest] = [
      await readTokens(prefix.cache, prefix.transforms),
      await readTokens(suffix.cache, suffix.transforms),
    ];
    const kv = { k: concatenate(first.k, rest.k), v: concatenate(first.v, rest.v) };
    const expected = referenceAttention({ q: queries, ...kv });
    assertClose(await o.download(), expected.o, SLACK * TOLERANCE.f32, "o");
    assertClose(await lse.download(), expected.lse, SLACK * TOLERANCE.f32, "lse");
  },
);

testRandomly(
  "transform: one huge channel costs the others nothing once it is calibrated, and little once it is rotated",
  async (random) => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    const [tokens, headDim] = [64, 16];
    const host = random.tensor([1, tokens, 1, headDim]);
    for (let row = 0; row < tokens; row++) host.data[row * headDim + 3] = 300 + 20 * random.next();
    const k = await tensors.upload(host);
    const shape = { numKvHeads: 1, headDim, capacity: tokens, maxSeqLen: tokens };
    const options = {
      plain: {},
      rotated: { kvRotation: "hadamard" },
      calibrated: { kvCalibration: calibrateKv({ k: host, v: host }) },
    } as const;
    // The usual element of a row, which without either loses all of it.
    const least = { plain: 0.3, rotated: 0, calibrated: 0 };
    const most = { plain: 1, rotated: 320 / 4 / 14 * 4, calibrated: 0.11 };
    for (const [name, option] of Object.entries(options)) {
      const all = { ...shape, kvDtype: "int4" as const, ...option };
      const cache = tensors.keep(await RingKvCache.create(gpu, all));
      await submit((encoder) => cache.append(encoder, { k, v: k }));
      const held = await readTokens(cache, transformsOf(all));
      for (const part of ["k", "v"] as const) {
        const others = host.data.map((x, i) =>
          i % headDim === 3 ? 0 : Math.abs(held[part].data[i] - x)
        );
        const mean = others.reduce((sum, x) => sum + x, 0) / others.length;
        const kind = name as keyof typeof options;
        assert(mean >= least[kind] && mean <= most[kind], `${part}, ${name}: ${mean}`);
      }
    }
  },
);

testRandomly(
  "transform: four bits of short rows lose less than rounding by their range",
  async (random) => {
    using tensors = new Tensors();
    const [tokens, headDim] = [256, 8];
    const host = random.tensor([1, tokens, 1, headDim]);
    const channels = { offsets: Array(headDim).fill(0), scales: Array(headDim).fill(1) };
    const options = {
      ...{ numKvHeads: 1, headDim, capacity: tokens, maxSeqLen: tokens, kvDtype: "int4" as const },
      kvCalibration: { k: channels, v: channels },
    };
    const cache = tensors.keep(await RingKvCache.create(await sharedGpu(), options));
    const k = await tensors.upload(host);
    await submit((encoder) => cache.append(encoder, { k, v: k }));
    const held = await readTokens(cache, transformsOf(options));
    let [squares, byRange] = [0, 0];
    for (let start = 0; start < host.data.length; start += headDim) {
      const row = [...host.data.subarray(start, start + headDim)];
      byRange += headDim * ((Math.max(...row) - Math.min(...row)) / 15) ** 2 / 12;
      row.forEach((x, h) => squares += (held.k.data[start + h] - x) ** 2);
    }
    assert(squares < 0.6 * byRange, `squared errors: ${squares}, by range ${byRange}`);
  },
);

testRandomly(
  "transform: four bits are the same words, however many invocations store a row, and no step is below the normal numbers",
  async (random) => {
    using tensors = new Tensors();
    const [tokens, headDim, leastStep] = [64, 12, 2 ** -126];
    const host = random.tensor([1, tokens, 1, headDim]);
    // Odd rows have a plain step just above the least, which some grids would round to one below it.
    for (let row = 1; row < tokens; row += 2) {
      const own = host.data.subarray(row * headDim, (row + 1) * headDim);
      own.forEach((x, h) => own[h] = Math.abs(x) % 1 * 15 * leastStep);
      own.set([0, 15.01 * leastStep]);
    }
    const channels = { offsets: Array(headDim).fill(0), scales: Array(headDim).fill(1) };
    const options = {
      ...{ numKvHeads: 1, headDim, capacity: tokens, maxSeqLen: tokens, kvDtype: "int4" as const },
      kvCalibration: { k: channels, v: channels },
    };
    const k = await tensors.upload(host);
    const gpu = await sharedGpu();
    const [few, many] = await Promise.all([true, false].map(async (isSoftware) => {
      const profile = { value: { ...gpu.profile, isSoftware } };
      const cache = tensors.keep(
        await RingKvCache.create(Object.create(gpu, { profile }), options),
      );
      await submit((encoder) => cache.append(encoder, { k, v: k }));
      return await downloadU32(cache.parts[0].k.buffer);
    }));
    assertEquals(few, many);
    const steps = many.filter((_, i) => i % 3 === 0).map((head) => head >>> 16);
    assert(steps.every((bits) => bits >= 0x80), `upper halves of steps: ${steps}`);
  },
);

Deno.test("transform: calibrateKv finds middles and scales, in either layout, and refuses what is no number", () => {
  const bsnh = { data: [-4, 7, 100, 0, 4, 7, 102, 0], shape: [1, 2, 2, 2] };
  const bnsh = { data: [-4, 7, 4, 7, 100, 0, 102, 0], shape: [1, 2, 2, 2] };
  const { k, v } = calibrateKv({ k: bsnh, v: bsnh });
  assertEquals(k.offsets, [0, 7, 101, 0]);
  // A channel that does not vary has a part of the scale of its head.
  assertEquals(k.scales, [4, 4 / 128, 1, 1 / 128]);
  assertEquals(v, k);
  assertEquals(calibrateKv({ k: bnsh, layout: "BNSH" }), { k });
  const zeros = { data: [0, 0, 0, 0], shape: [1, 2, 1, 2] };
  assertEquals(calibrateKv({ k: zeros }).k, { offsets: [0, 0], scales: [1, 1] });
  const huge = { data: [3e38, -3e38], shape: [1, 2, 1, 1] };
  assertEquals(calibrateKv({ k: huge }).k.scales, [Math.fround(3e38)]);

  for (const bad of [NaN, Infinity, 1e39]) {
    const data = [1, 2, 3, bad];
    assertThrows(() => calibrateKv({ k: { data, shape: [1, 2, 1, 2] } }), RangeError, "k[3]");
  }
  assertThrows(
    () => calibrateKv({ k: { data: [1], shape: [1, 1, 1, 2] } }),
    RangeError,
    "k must have as many elements as its shape",
  );
  assertThrows(
    () => calibrateKv({ k: { data: [1], shape: [1] } }),
    TypeError,
    "k must be [B, S, N, H]",
  );
  const other = { data: [1, 2], shape: [1, 1, 1, 2] };
  assertThrows(() => calibrateKv({ k: bsnh, v: other }), RangeError, "the same tokens and heads");
  assertThrows(() => calibrateKv(undefined as never), TypeError, "captured must be an object");
});

testRandomly(
  "transform: a cache measures itself as calibrateKv measures what was appended",
  async (random) => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    const shape = { batch: 2, numKvHeads: 2, headDim: 6, valueDim: 3, capacity: 8 };
    for (const kvDtype of ["f32", "f16", "int8"] as const) {
      if (kvDtype === "f16" && !await hasF16()) continue;
      const cache = tensors.keep(await RingKvCache.create(gpu, { ...shape, kvDtype }));
      const host = { k: random.tensor([2, 3, 2, 6]), v: random.tensor([2, 3, 2, 3]) };
      const [k, v] = [await tensors.upload(host.k), await tensors.upload(host.v)];
      await assertRejects(() => cache.calibrate(), RangeError, "the cache is empty");
      const encoder = gpu.device.createCommandEncoder();
      cache.append(encoder, { k, v, lengths: [3, 0] });
      await assertRejects(() => cache.calibrate(), SnapshotError, "encoded work has not run");
      gpu.device.queue.submit([encoder.finish()]);
      const first = {
        k: { data: host.k.data.slice(0, 36), shape: [1, 3, 2, 6] },
        v: { data: host.v.data.slice(0, 18), shape: [1, 3, 2, 3] },
      };
      const expected = calibrateKv(first);
      const actual = await cache.calibrate();
      for (const name of ["k", "v"] as const) {
        const within = kvDtype === "f32" ? 0 : 0.01;
        assertClose(actual[name]!.offsets, expected[name]!.offsets, within, `${kvDtype}, offsets`);
        assertClose(actual[name]!.scales, expected[name]!.scales, within, `${kvDtype}, scales`);
      }
    }
  },
);

Deno.test("transform: what cannot be is refused before the GPU has work, and by name", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const shape = { numKvHeads: 1, headDim: 8, capacity: 8, kvDtype: "int4" } as const;
  const numbers = (count: number, number = 1) => new Array(count).fill(number);
  const channels = (count = 8) => ({ offsets: numbers(count, 0), scales: numbers(count) });
  const calibration: KvCalibration = { k: channels(), v: channels() };
  const create = (changed: object) => () => RingKvCache.create(gpu, { ...shape, ...changed });
  const withK = (k: object) => create({ kvCalibration: { ...calibration, k } });
  const refused: [() => Promise<unknown>, typeof TypeError | typeof RangeError, string][] = [
    [create({ kvCalibration: calibration, kvDtype: "f16" }), RangeError, 'kvDtype="f16"'],
    [create({ kvRotation: "hadamard", kvDtype: "f32" }), RangeError, 'kvRotation="hadamard"'],
    [create({ kvRotation: "random" }), TypeError, 'kvRotation must be "hadamard"'],
    [create({ kvRotation: "hadamard", headDim: 7 }), RangeError, "headDim=7"],
    [create({ kvRotation: "hadamard", valueDim: 5 }), RangeError, "must divide valueDim"],
    [create({ kvRotation: "hadamard", headDim: 4096 }), RangeError, "at most 2048 elements"],
    [create({ kvCalibration: 3 }), TypeError, "kvCalibration must be an object"],
    [create({ kvCalibration: { k: channels() } }), TypeError, "kvCalibration.v must be an object"],
    [withK(channels(7)), RangeError, "numbers=7, channels=8"],
    [withK({ ...channels(), scales: 1 }), TypeError, "kvCalibration.k.scales must be an array"],
    [withK({ ...channels(), scales: numbers(8, 0) }), RangeError, "kvCalibration.k.scales[0]"],
    [withK({ ...channels(), scales: numbers(8, -1) }), RangeError, "above zero"],
    [withK({ ...channels(), scales: numbers(8, Infinity) }), RangeError, "finite"],
    [withK({ ...channels(), offsets: numbers(8, NaN) }), RangeError, "kvCalibration.k.offsets[0]"],
    [
      create({ valuesAre: "keys", valueDim: 4, kvCalibration: calibration }),
      TypeError,
      "kvCalibration.v must be left out",
    ],
    [
      create({ valuesAre: "keys", valueDim: 3, kvRotation: "hadamard" }),
      RangeError,
      "must divide headDim and valueDim",
    ],
  ];
  for (const [call, kind, message] of refused) await assertRejects(call, kind, message);

  const spec = { ...shape, numHeads: 2 };
  const plan = (changed: object) => () => planAttention({ ...spec, ...changed }, LIMITS);
  const wrong = plan({ kvCalibrated: "yes" });
  assertThrows(wrong, TypeError, "kvCalibrated must be one of true, false");
  assertThrows(plan({ kvRotation: "hadamard", kvDtype: "f32" }), RangeError, 'kvDtype="f32"');
  assertThrows(plan({ kvCalibrated: true, maxScratchBytes: 16 }), RangeError, "maxScratchBytes=16");
  const pool = tensors.keep(await PagePool.create(gpu, { ...shape, layers: 2, numPages: 2 }));
  for (const option of [{ kvCalibration: [calibration] }, { kvRotation: "hadamard" }]) {
    const given: object = { ...shape, numPages: 2, ...option };
    await assertRejects(
      () => PagePool.create(gpu, given as PagePoolOptions),
      TypeError,
      "(give it to PagedKvCache.create)",
    );
  }
  const paged = (changed: object) => () => PagedKvCache.create(pool, { capacity: 8, ...changed });
  const listed = (second: object) => paged({ kvCalibration: [calibration, second] });
  const wrongPages: typeof refused = [
    [paged({ kvCalibration: calibration }), TypeError, "kvCalibration must be an array"],
    [paged({ kvCalibration: null }), TypeError, "kvCalibration must be an array"],
    [paged({ kvCalibration: [calibration] }), RangeError, "kvCalibration=1, layers=2"],
    [listed({ k: channels() }), TypeError, "kvCalibration[1].v must be an object"],
    [listed({ k: channels(), v: channels(7) }), RangeError, "numbers=7, channels=8"],
    [paged({ kvRotation: "random" }), TypeError, 'kvRotation must be "hadamard"'],
  ];
  for (const [call, kind, message] of wrongPages) await assertRejects(call, kind, message);
  const floats = tensors.keep(
    await PagePool.create(gpu, { ...shape, kvDtype: "f32", numPages: 2 }),
  );
  await assertRejects(
    () => PagedKvCache.create(floats, { capacity: 8, kvRotation: "hadamard" }),
    RangeError,
    'kvDtype="f32"',
  );

  const plain = tensors.keep(await RingKvCache.create(gpu, shape));
  const rotated = tensors.keep(
    await RingKvCache.create(gpu, { ...shape, kvRotation: "hadamard" }),
  );
  const attention = tensors.keep(await Attention.create(gpu, { ...rotated.spec, numHeads: 2 }));
  const [q, o] = [await tensors.poisoned([1, 1, 2, 8]), await tensors.poisoned([1, 1, 2, 8])];
  assertThrows(() => attention.bind({ q, cache: plain, o }), TypeError, "the planned kvRotation");
  const k = await tensors.upload({ data: numbers(64), shape: [1, 1, 8, 8] }, "int4");
  assertThrows(() => attention.bind({ q, k, v: k, o }), TypeError, "must lie in a cache");
  await assertRejects(() => rotated.calibrate(), TypeError, 'kvRotation="hadamard"');

  const saved = await rotated.snapshot();
  await assertRejects(() => plain.restore(saved), SnapshotError, "snapshot.kvRotation");
  const one = tensors.keep(await RingKvCache.create(gpu, { ...shape, kvCalibration: calibration }));
  const scales = numbers(8).with(7, 2);
  const other = { ...calibration, v: { ...channels(), scales } };
  const two = tensors.keep(await RingKvCache.create(gpu, { ...shape, kvCalibration: other }));
  const ofOne = await one.snapshot();
  await assertRejects(() => two.restore(ofOne), SnapshotError, "kvCalibration");
  assertEquals(one.bytes - plain.bytes, 2 * 8 * 8);
});
