// Snapshots of sequences in pages: what is restored goes on bit for bit, and what no cache can be is refused.
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  Attention,
  PagedKvCache,
  type PagedKvCacheOptions,
  PagePool,
  type PagePoolOptions,
  PoolExhaustedError,
  RingKvCache,
  SnapshotError,
} from "../../mod.ts";
import { buffersOf } from "../support/buffers.ts";
import { assertSame } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { randomCalibration } from "../support/kv_transform.ts";
import { Random, testRandomly } from "../support/random.ts";
import { shapeOf, submit, Tensors } from "../support/run.ts";
import { partsOf, snapshotOf, type SnapshotParts } from "../support/snapshots.ts";

const POOL: PagePoolOptions = {
  ...{ layers: 2, numKvHeads: 2, headDim: 4, valueDim: 8, pageSize: 4, numPages: 30 },
};
const OPTIONS: PagedKvCacheOptions = {
  ...{ batch: 4, capacity: 40, sinks: 3, window: 6, rope: { base: 100 } },
};

/** A cache with sequences that share pages, gave some back, and were cut. */
async function grown(random: Random, tensors: Tensors, pool = POOL, options = OPTIONS) {
  const gpu = await sharedGpu();
  const pages = tensors.keep(await PagePool.create(gpu, pool));
  const cache = tensors.keep(await PagedKvCache.create(pages, options));
  for (const counts of [[9, 0, 5, 0], [8, 0, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0]]) {
    await append(random, tensors, cache, counts);
  }
  await submit((encoder) => cache.fork(encoder, { from: 0, to: 1 }));
  await append(random, tensors, cache, [0, 1, 1, 0]);
  await submit((encoder) => cache.truncate(encoder, 4, 2));
  return cache;
}

async function append(
  random: Random,
  tensors: Tensors,
  cache: PagedKvCache,
  counts: number[],
): Promise<void> {
  const { numKvHeads, headDim, valueDim, dtype } = cache.spec;
  const tokens = counts.reduce((sum, count) => sum + count, 0);
  const k = await tensors.upload(random.tensor([tokens, numKvHeads, headDim]), dtype);
  const v = await tensors.upload(random.tensor([tokens, numKvHeads, valueDim]), dtype);
  await submit((encoder) => {
    cache.extend(encoder, counts);
    for (const layer of cache.layers) layer.append(encoder, { k, v });
  });
}

/** Attention of the last token of each of the first three sequences, in a layer; the fourth has none. */
function attended(
  random: Random,
  tensors: Tensors,
  { spec: { headDim, valueDim, layout, dtype } }: PagedKvCache,
  layer = 1,
) {
  const sizes = { batch: 4, heads: 4, tokens: 1 };
  const queries = random.tensor(shapeOf(layout, { ...sizes, size: headDim }));
  return async ({ spec, layers }: PagedKvCache) => {
    const gpu = await sharedGpu();
    const attention = tensors.keep(await Attention.create(gpu, { ...spec, numHeads: 4 }));
    const q = await tensors.upload(queries, dtype);
    const o = await tensors.poisoned(shapeOf(layout, { ...sizes, size: valueDim }), dtype);
    await submit((encoder) => attention.encode(encoder, { q, cache: layers[layer], o }));
    const rows = await o.download();
    return rows.slice(0, rows.length * 3 / 4);
  };
}

const lengthsOf = (cache: PagedKvCache) => [0, 1, 2, 3].map((b) => cache.length(b));

const STORAGES = [
  ...[{}, { kvDtype: "int8" }, { kvDtype: "int4" }, { kvDtype: "f16", pageSize: 2 }],
  { dtype: "f16", layout: "BNSH" },
] as const;

for (const storage of STORAGES) {
  const name = JSON.stringify(storage);
  testRandomly(`paged snapshot: goes on bit for bit in other pages, ${name}`, async (random) => {
    if (name.includes("f16") && !await hasF16()) return;
    using tensors = new Tensors();
    const gpu = await sharedGpu();
    const pool = { ...POOL, ...storage };
    const cache = await grown(random, tensors, pool);
    const attend = attended(random, tensors, cache);
    const saved = await cache.snapshot();
    const others = tensors.keep(await PagePool.create(gpu, { ...pool, numPages: 41 }));
    // Another cache has pages before, between and behind those that are restored.
    const other = tensors.keep(await PagedKvCache.create(others, { capacity: 40 }));
    const before = await written(random, tensors, other, 9);
    const resumed = tensors.keep(await PagedKvCache.restore(others, saved));
    assertEquals(await before(), true, "pages of others are as they were");
    assertEquals(lengthsOf(resumed), lengthsOf(cache));
    assertEquals(await resumed.snapshot(), saved, "the bytes are the same");
    assertSame(await attend(resumed), await attend(cache), "outputs");
    // Sequences 0 and 1 share pages, which the next token of either copies.
    const shared = resumed.pages(0).filter((page) => resumed.pages(1).includes(page));
    assert(shared.length > 0);
    assertEquals(resumed.needed(0, 1), cache.needed(0, 1));
    const seed = random.integer(0, 2 ** 31);
    for (const one of [cache, resumed]) await append(new Random(seed), tensors, one, [1, 1, 1, 0]);
    assertSame(await attend(resumed), await attend(cache), "outputs after another token");
    await submit((encoder) => {
      resumed.clear(encoder);
      other.clear(encoder);
    });
    assertEquals(others.available, 41, "the pool is whole at the end");
  });
}

/** Appends tokens to a cache of one sequence; tells whether its pages are as they were then. */
async function written(random: Random, tensors: Tensors, cache: PagedKvCache, count: number) {
  await append(random, tensors, cache, [count]);
  const rows = async () => (await cache.snapshot()).toString();
  const before = await rows();
  return async () => await rows() === before;
}

testRandomly("paged snapshot: of what has not run there is none", async (random) => {
  using tensors = new Tensors();
  const { device } = await sharedGpu();
  const cache = await grown(random, tensors);
  const changes: ((encoder: GPUCommandEncoder) => void)[] = [
    (encoder) => cache.fork(encoder, { from: 2, to: 3 }),
    (encoder) => cache.truncate(encoder, 3, 2),
    (encoder) => cache.clear(encoder, 2),
    (encoder) => cache.recall(encoder, [1, 2], 2),
    (encoder) => cache.extend(encoder, [0, 0, 0, 0]),
  ];
  for (const change of changes) {
    const encoder = device.createCommandEncoder();
    change(encoder);
    await assertRejects(() => cache.snapshot(), SnapshotError, "submit it first");
    device.queue.submit([encoder.finish()]);
    await cache.snapshot();
  }
  await submit((encoder) => cache.extend(encoder, [1, 0, 0, 0]));
  await assertRejects(() => cache.snapshot(), SnapshotError, "must have been appended");
});

/** What a header may not say; each is refused, and the message says as much. */
const WRONG: Readonly<Record<string, [(parts: SnapshotParts) => void, string]>> = {
  "a field that is missing": [({ header }) => delete header.sequences, "field sequences"],
  "a field that is strange": [({ header }) => header.more = 1, "known fields alone"],
  "a pool that is null": [({ header }) => header.pool = null, "pool must be an object"],
  "other layers": [({ header }) => header.pool.layers = 3, "snapshot.layers=3"],
  "other heads": [({ header }) => header.pool.numKvHeads = 1, "snapshot.numKvHeads=1"],
  "other keys": [({ header }) => header.pool.headDim = 8, "snapshot.headDim=8"],
  "other values": [({ header }) => header.pool.valueDim = "8", 'snapshot.valueDim="8"'],
  "other types": [({ header }) => header.pool.kvDtype = "int8", 'snapshot.kvDtype="int8"'],
  "other pages": [({ header }) => header.pool.pageSize = 8, "snapshot.pageSize=8"],
  "another layout": [({ header }) => header.pool.layout = "BNSH", 'snapshot.layout="BNSH"'],
  "a batch of 0": [({ header }) => header.options.batch = 0, "batch=0"],
  "a batch of more": [({ header }) => header.options.batch = 5, "an entry for each sequence"],
  "no capacity": [({ header }) => delete header.options.capacity, "field capacity"],
  "a small capacity": [({ header }) => header.options.capacity = 9, "fit the capacity"],
  "sinks below 0": [({ header }) => header.options.sinks = -1, "sinks=-1"],
  "a window of half a token": [({ header }) => header.options.window = 0.5, "window=0.5"],
  "no window": [({ header }) => delete header.options.window, "behind the window"],
  "odd rope": [({ header }) => header.options.rope.dims = 3, "dims=3"],
  "strange rope": [({ header }) => header.options.rope.base = 3, 'field="base"'],
  "sequences that are no list": [({ header }) => header.sequences = {}, "an entry for each"],
  "a sequence that is null": [({ header }) => header.sequences[1] = null, "sequences[1] must"],
  "a length below 0": [({ header }) => header.sequences[0].length = -1, "length=-1"],
  "a length of more pages": [({ header }) => header.sequences[2].length = 5, "pages of its tokens"],
  "an oldest token within a page": [({ header }) => header.sequences[0].oldest = 6, "oldest=6"],
  "an oldest token that is seen": [({ header }) => header.sequences[0].oldest = 16, "oldest=16"],
  "an oldest sink": [({ header }) => header.sequences[0].oldest = 4, "oldest=4"],
  "a page that was given back": [({ header }) => header.sequences[0].pages[1] = 1, "place=1"],
  "a page that is missing": [({ header }) => header.sequences[0].pages[0] = null, "place=0"],
  "a page that comes later": [({ header }) => header.sequences[0].pages[0] = 1, "page=1"],
  "a page that is a string": [({ header }) => header.sequences[1].pages[0] = "0", 'page="0"'],
  "a page below 0": [({ header }) => header.sequences[1].pages[0] = -1, "page=-1"],
  "a page in two places": [({ header }) => header.sequences[1].pages.reverse(), "place=1"],
  "rows of a page too few": [(parts) => parts.rows = parts.rows.slice(0, -4), "rows of its pages"],
  "rows of a page too many": [
    (parts) => parts.rows = new Uint8Array(parts.rows.length + 4),
    "rows of its pages",
  ],
};

testRandomly(
  "paged snapshot: what no cache can be is refused, and nothing is made",
  async (random) => {
    using tensors = new Tensors();
    const cache = await grown(random, tensors);
    const { pool } = cache;
    assertEquals(cache.pages(0).length, 3, "a page was given back");
    const snapshot = await cache.snapshot();
    const parts = partsOf(snapshot);
    const { available } = pool;
    for (const [what, [change, says]] of Object.entries(WRONG)) {
      const copy = structuredClone(parts);
      change(copy);
      const wrong = await snapshotOf(copy, snapshot);
      const { made } = await buffersOf(async () => {
        await assertRejects(() => PagedKvCache.restore(pool, wrong), SnapshotError, says, what);
      });
      assertEquals([made, pool.available], [[], available], what);
    }
    const flipped = snapshot.slice();
    flipped[random.integer(16, flipped.length - 1)] ^= 1;
    const bytes: [Uint8Array, string][] = [
      [flipped, "damaged or cut short"],
      [snapshot.slice(0, -1), "damaged or cut short"],
      [snapshot.with(8, 9), "of version 1"],
      [snapshot.with(7, 0), "must be those of a snapshot"],
      [new Uint8Array(3), "must be those of a snapshot"],
    ];
    for (const [wrong, says] of bytes) {
      await assertRejects(() => PagedKvCache.restore(pool, wrong), SnapshotError, says);
    }
    await assertRejects(() => PagedKvCache.restore(pool, "" as never), TypeError, "a Uint8Array");
    await assertRejects(
      () => PagedKvCache.restore(pool, snapshot, { maxBytes: 9 }),
      RangeError,
      "maxBytes=9",
    );
    const gpu = await sharedGpu();
    await assertRejects(() => RingKvCache.restore(gpu, snapshot), SnapshotError, "of a snapshot");
  },
);

/** Rotary positions of a pool of two layers. */
const ROPES = [{ base: 100 }, { dims: 2, style: "pairs" }] as const;

testRandomly("paged snapshot: layers keep rotary positions of their own", async (random) => {
  using tensors = new Tensors();
  for (const rope of [ROPES, [undefined, ROPES[1]], [undefined, undefined], [ROPES[0], ROPES[0]]]) {
    const cache = await grown(random, tensors, POOL, { ...OPTIONS, rope });
    const resumed = await resumes(random, tensors, cache, POOL);
    const has = rope.map((one) => one !== undefined);
    assertEquals(resumed.layers.map(({ hasRope }) => hasRope), has);
  }
});

/** Restores a cache in a pool of its own, within its bytes and no fewer; both layers go on as the first's do. */
async function resumes(
  random: Random,
  tensors: Tensors,
  cache: PagedKvCache,
  shape: PagePoolOptions,
): Promise<PagedKvCache> {
  const pool = tensors.keep(await PagePool.create(await sharedGpu(), shape));
  const saved = await cache.snapshot();
  const { bytes } = cache;
  const { made } = await buffersOf(async () => {
    const restore = () => PagedKvCache.restore(pool, saved, { maxBytes: bytes - 1 });
    await assertRejects(restore, RangeError, `bytes=${bytes}, maxBytes=${bytes - 1}`);
  });
  assertEquals(made, []);
  const resumed = tensors.keep(await PagedKvCache.restore(pool, saved, { maxBytes: bytes }));
  assertEquals(resumed.spec, cache.spec);
  assertEquals(resumed.bytes, cache.bytes);
  const seed = random.integer(0, 2 ** 31);
  for (const one of [cache, resumed]) await append(new Random(seed), tensors, one, [1, 2, 1, 0]);
  for (const layer of [0, 1]) {
    const attend = attended(random, tensors, cache, layer);
    assertSame(await attend(resumed), await attend(cache), `layer ${layer}`);
  }
  return resumed;
}

testRandomly("paged snapshot: one object of rotary positions is for all layers", async (random) => {
  using tensors = new Tensors();
  const cache = await grown(random, tensors);
  const saved = await cache.snapshot();
  const parts = partsOf(saved);
  assertEquals(parts.header.options.rope.dims, 4);
  parts.header.options.rope = [parts.header.options.rope, parts.header.options.rope];
  const listed = await snapshotOf(parts, saved);
  const pool = tensors.keep(await PagePool.create(await sharedGpu(), POOL));
  const resumed = tensors.keep(await PagedKvCache.restore(pool, listed));
  assertEquals(await resumed.snapshot(), saved);
});

/** What a list of rotary positions may not say. */
const WRONG_ROPES: Readonly<Record<string, [(options: SnapshotParts["header"]) => void, string]>> =
  {
    "a layer too few": [({ rope }) => rope.pop(), "rope=1, layers=2"],
    "a layer too many": [({ rope }) => rope.push(null), "rope=3, layers=2"],
    "no layer": [(options) => options.rope = [], "rope=0, layers=2"],
    "an object of layers": [(options) => options.rope = { ...options.rope }, "field dims"],
    "a layer that is a number": [({ rope }) => rope[1] = 3, "options.rope[1] must be an object"],
    "a layer that is a list": [({ rope }) => rope[1] = [rope[1]], "options.rope[1] must be"],
    "a layer that is false": [({ rope }) => rope[0] = false, "options.rope[0] must be an object"],
    "a layer that lacks a field": [({ rope }) => delete rope[1].frequencies, "field frequencies"],
    "a layer with a strange field": [({ rope }) => rope[1].base = 3, 'field="base"'],
    "a layer of odd size": [({ rope }) => rope[1].dims = 3, "rope[1].dims"],
    "a layer larger than its heads": [({ rope }) => rope[0].dims = 6, "rope[0].dims"],
    "a layer of too few frequencies": [({ rope }) => rope[0].frequencies.pop(), "dims / 2"],
    "a frequency that is null": [
      ({ rope }) => rope[1].frequencies[0] = null,
      "rope[1].frequencies[0] must be a number",
    ],
  };

testRandomly(
  "paged snapshot: lists of rotary positions that no cache has are refused",
  async (random) => {
    using tensors = new Tensors();
    const cache = await grown(random, tensors, POOL, { ...OPTIONS, rope: ROPES });
    await assertRefused(cache, WRONG_ROPES);
  },
);

/** Asserts that snapshots of a cache whose options say something else are refused, and nothing is made. */
async function assertRefused(
  cache: PagedKvCache,
  wrong: Readonly<Record<string, [(options: SnapshotParts["header"]) => void, string]>>,
): Promise<void> {
  const snapshot = await cache.snapshot();
  const parts = partsOf(snapshot);
  for (const [what, [change, says]] of Object.entries(wrong)) {
    const copy = structuredClone(parts);
    change(copy.header.options);
    const bytes = await snapshotOf(copy, snapshot);
    const restore = () => PagedKvCache.restore(cache.pool, bytes);
    const { made } = await buffersOf(async () => {
      await assertRejects(restore, SnapshotError, says, what);
    });
    assertEquals(made, [], what);
  }
}

const INTEGERS = { ...POOL, kvDtype: "int4" } as const;

testRandomly("paged snapshot: calibrations and rotations are kept", async (random) => {
  using tensors = new Tensors();
  const kvCalibration = calibrationsOf(random);
  for (const transform of [{ kvCalibration }, { kvCalibration, kvRotation: "hadamard" }] as const) {
    const cache = await grown(random, tensors, INTEGERS, { ...OPTIONS, ...transform });
    await resumes(random, tensors, cache, INTEGERS);
  }
});

/** A calibration of each layer of the pool. */
function calibrationsOf(random: Random) {
  return [0, 1].map(() => randomCalibration(random, { numKvHeads: 2, headDim: 4, valueDim: 8 }));
}

/** What calibrations may not say. */
const WRONG_CALIBRATIONS: Readonly<
  Record<string, [(options: SnapshotParts["header"]) => void, string]>
> = {
  "a layer too few": [({ kvCalibration }) => kvCalibration.pop(), "kvCalibration=1, layers=2"],
  "a layer too many": [({ kvCalibration }) => kvCalibration.push({}), "kvCalibration=3"],
  "no array": [(options) => options.kvCalibration = {}, "kvCalibration must be an array"],
  "the number of layers": [
    (options) => options.kvCalibration = 2,
    "kvCalibration must be an array",
  ],
  "null": [(options) => options.kvCalibration = null, "kvCalibration must be an array"],
  "a layer that is null": [
    ({ kvCalibration }) => kvCalibration[1] = null,
    "kvCalibration[1] must be an object",
  ],
  "no values": [({ kvCalibration }) => delete kvCalibration[0].v, "kvCalibration[0].v must be"],
  "a scale of 0": [
    ({ kvCalibration }) => kvCalibration[1].k.scales[3] = 0,
    "kvCalibration[1].k.scales[3]",
  ],
  "an offset that is a string": [
    ({ kvCalibration }) => kvCalibration[0].v.offsets[0] = "1",
    "kvCalibration[0].v.offsets[0] must be a number",
  ],
  "channels of another size": [
    ({ kvCalibration }) => kvCalibration[0].k.offsets.pop(),
    "numbers=7, channels=8",
  ],
  "a rotation that is none": [(options) => options.kvRotation = "x", 'kvRotation="x"'],
};

testRandomly("paged snapshot: calibrations that no cache has are refused", async (random) => {
  using tensors = new Tensors();
  const options = { ...OPTIONS, kvCalibration: calibrationsOf(random) };
  const cache = await grown(random, tensors, INTEGERS, options);
  await assertRefused(cache, WRONG_CALIBRATIONS);
  // Rows of other numbers than integers.
  const floats = await grown(random, tensors);
  const { kvCalibration } = options;
  const given: typeof WRONG_CALIBRATIONS = {
    "calibrations of floats": [(options) => options.kvCalibration = kvCalibration, '"f32"'],
  };
  await assertRefused(floats, given);
});

testRandomly("paged snapshot: a pool of too few pages stays whole", async (random) => {
  using tensors = new Tensors();
  const cache = await grown(random, tensors);
  const saved = await cache.snapshot();
  const pool = tensors.keep(await PagePool.create(await sharedGpu(), { ...POOL, numPages: 3 }));
  await assertRejects(() => PagedKvCache.restore(pool, saved), PoolExhaustedError, "available=3");
  assertEquals(pool.available, 3);
});

testRandomly("paged snapshot: pages of half words are refused", async (random) => {
  if (!await hasF16()) return;
  using tensors = new Tensors();
  const pool = { ...POOL, kvDtype: "f16", headDim: 3, pageSize: 3 } as const;
  const cache = await grown(random, tensors, pool, { batch: 4, capacity: 40 });
  await assertRejects(() => cache.snapshot(), RangeError, "use an even pageSize");
});
