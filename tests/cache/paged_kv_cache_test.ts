// Pages: what a ring does in place, they do by reference; attention over either is the same to the bit where both are planned
// alike, as software does not where it reads small heads of a ring as uniforms.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Attention,
  type AttentionSpec,
  type HostTensor,
  type KvView,
  type Layout,
  PagedKvCache,
  type PagedKvCacheOptions,
  PagePool,
  type PagePoolOptions,
  PoolExhaustedError,
  referenceAttention,
  RingKvCache,
  Tensor,
} from "../../mod.ts";
import { buffersOf } from "../support/buffers.ts";
import { tensorsOf } from "../../src/cache/kv_memory.ts";
import { CachePlaces } from "../../src/model/cache_places.ts";
import { assertClose, TOLERANCE } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { randomCalibration } from "../support/kv_transform.ts";
import { testRandomly } from "../support/random.ts";
import { shapeOf, submit, Tensors } from "../support/run.ts";

/** Fills pages with NaN: who reads a slot that nobody wrote shows it. */
function poison(pool: PagePool): void {
  for (const { buffer } of tensorsOf(pool.layers.flat())) {
    pool.gpu.device.queue.writeBuffer(buffer, 0, new Uint8Array(buffer.size).fill(0xff));
  }
}

/** Runs an attention over a view and reads back its outputs. */
async function attend(
  spec: Omit<AttentionSpec, "headDim" | "capacity">,
  view: KvView,
  queries: HostTensor,
  rope?: (q: Tensor) => void,
) {
  using tensors = new Tensors();
  const attention = tensors.keep(
    await Attention.create(await sharedGpu(), { ...view.spec, ...spec }),
  );
  const q = await tensors.upload(queries, view.spec.dtype);
  const shape = [...queries.shape.slice(0, -1), attention.plan.spec.valueDim];
  const o = await tensors.poisoned(shape, view.spec.dtype);
  const lse = await tensors.poisoned(shape.slice(0, -1));
  rope?.(q);
  await submit((encoder) => attention.encode(encoder, { q, cache: view, o, lse }));
  return { o: await o.download(), lse: await lse.download() };
}

interface Relation {
  kvDtype?: "f16" | "int8" | "int4";
  sinks?: number;
  window?: number;
  hasRope?: boolean;
  layout?: Layout;
  impl?: "staged";
}

const RELATIONS: Record<string, Relation> = {
  "f32": {},
  "f32, staged": { impl: "staged" },
  "f16": { kvDtype: "f16" },
  "int8, a window": { kvDtype: "int8", window: 11 },
  "int4, sinks and a window, staged": { kvDtype: "int4", sinks: 3, window: 9, impl: "staged" },
  "rope, sinks and a window, BNSH": { hasRope: true, sinks: 5, window: 14, layout: "BNSH" },
};

Deno.test("pages: a pool and a cache say the bytes of the buffers that they make", async () => {
  const gpu = await sharedGpu();
  const shape = { numKvHeads: 2, headDim: 8, valueDim: 12, kvDtype: "int8" } as const;
  let pool!: PagePool;
  const { sizes } = await buffersOf(async () => {
    pool = await PagePool.create(gpu, { ...shape, numPages: 8, layers: 2 });
  });
  assertEquals(pool.bytes, sizes.reduce((sum, size) => sum + size));
  const channels = (size: number) => ({
    offsets: new Array(2 * size).fill(0),
    scales: new Array(2 * size).fill(1),
  });
  const kvCalibration = [0, 1].map(() => ({ k: channels(8), v: channels(12) }));
  for (
    const options of [
      ...[{}, { rope: {} }, { rope: [{}, undefined] }, { rope: [{ base: 7 }, { dims: 4 }] }],
      { kvCalibration },
    ]
  ) {
    let bytes = 0;
    const { sizes } = await buffersOf(async () => {
      const cache = await PagedKvCache.create(pool, { batch: 3, capacity: 32, ...options });
      bytes = cache.bytes;
      cache.destroy();
    });
    assertEquals(bytes, sizes.reduce((sum, size) => sum + size));
  }
  pool.destroy();
});

for (const [name, relation] of Object.entries(RELATIONS)) {
  testRandomly(`pages equal a ring to the bit: ${name}`, async (random) => {
    if (relation.kvDtype === "f16" && !await hasF16()) return;
    using tensors = new Tensors();
    const gpu = await sharedGpu();
    const { kvDtype, sinks, window, layout = "BSNH" } = relation;
    const rope = relation.hasRope ? { base: 100 } : undefined;
    const heads = random.integer(1, 3);
    const [batch, numKvHeads, headDim] = [3, random.integer(1, 2), random.pick([8, 12, 16])];
    const shape = { numKvHeads, headDim, valueDim: random.pick([headDim, 8]), kvDtype, layout };
    const capacity = 61;
    const ring = tensors.keep(
      await RingKvCache.create(gpu, {
        ...{ ...shape, batch, capacity, sinks, window, rope, overflow: "error", maxSeqLen: 3 },
      }),
    );
    const pageSize = random.pick([4, 5, 16]);
    const pool = tensors.keep(
      await PagePool.create(gpu, {
        ...{ ...shape, layers: 2, pageSize, numPages: batch * Math.ceil(capacity / pageSize) },
      }),
    );
    poison(pool);
    const paged = tensors.keep(
      await PagedKvCache.create(pool, { batch, capacity, sinks, window, rope, maxSeqLen: 3 }),
    );
    const layer = paged.layers[1];
    const tokensOf = (heads: number, tokens: number, size: number) =>
      random.tensor(shapeOf(layout, { batch, heads, tokens, size }));
    while (true) {
      const seqLen = random.integer(1, 3);
      const lengths = Array.from({ length: batch }, () => random.integer(0, seqLen));
      if (lengths.some((count, b) => paged.length(b) + count > capacity)) break;
      const k = await tensors.upload(tokensOf(numKvHeads, seqLen, headDim));
      const v = await tensors.upload(tokensOf(numKvHeads, seqLen, shape.valueDim));
      await submit((encoder) => {
        ring.append(encoder, { k, v, lengths });
        paged.extend(encoder, lengths);
        for (const { append } of [paged.layers[0], layer].map((one) => ({ append: one }))) {
          append.append(encoder, { k, v });
        }
      });
    }
    const spec = {
      ...{ numHeads: numKvHeads * heads, seqLen: random.integer(1, 3), impl: relation.impl },
      outputs: ["lse"],
    } as const;
    const q = tokensOf(spec.numHeads, spec.seqLen, headDim);
    const turn = (cache: typeof layer | RingKvCache) =>
      rope &&
      ((q: Tensor) =>
        gpu.device.queue.submit([encoded((encoder) => cache.ropeQueries(encoder, q))]));
    const encoded = (encode: (encoder: GPUCommandEncoder) => void) => {
      const encoder = gpu.device.createCommandEncoder();
      encode(encoder);
      return encoder.finish();
    };
    const [own, other] = [
      await attend(spec, layer, q, turn(layer)),
      await attend(spec, ring, q, turn(ring)),
    ];
    assertEquals(own, other);
    assert(other.o.every(Number.isFinite));
    if (window === undefined) {
      assertEquals(
        pool.available,
        pool.shape.pages.count - [0, 1, 2].flatMap((b) => paged.pages(b)).length,
      );
    } else {
      const most = Math.ceil((sinks ?? 0) / pageSize) + Math.ceil((window + 5) / pageSize) + 2;
      assert(paged.pages(0).length <= most, "pages behind the window were given back");
    }
  });
}

/** The storage of a pool, and what its caches make of rows before. */
interface Stored {
  kvDtype?: "int4";
  kvRotation?: "hadamard";
  isCalibrated?: boolean;
}

const STORED: Readonly<Record<string, Stored>> = {
  "f32": {},
  "int4, calibrated and rotated": { kvDtype: "int4", kvRotation: "hadamard", isCalibrated: true },
};

for (const [name, { isCalibrated, kvRotation, ...stored }] of Object.entries(STORED)) {
  testRandomly(
    `pages equal rings to the bit, each layer by its own options: ${name}`,
    async (random) => {
      using tensors = new Tensors();
      const gpu = await sharedGpu();
      const [batch, capacity, headDim, numHeads] = [2, 40, 20, 3];
      const local = { base: random.integer(2, 100) };
      // A layer without, one of a part of its head in the other style, and two that are alike.
      const ropes = isCalibrated
        ? [local, local]
        : [local, undefined, { base: 1e4, dims: 12, style: "pairs" } as const, local];
      const shape = { numKvHeads: 1, headDim, ...stored };
      const channels = { numKvHeads: 1, headDim, valueDim: headDim };
      const kvCalibration = isCalibrated
        ? ropes.map(() => randomCalibration(random, channels))
        : undefined;
      const rings: RingKvCache[] = [];
      for (const [i, rope] of ropes.entries()) {
        const transform = { kvRotation, kvCalibration: kvCalibration?.[i] };
        const options = { ...shape, batch, capacity, rope, ...transform };
        rings.push(tensors.keep(await RingKvCache.create(gpu, options)));
      }
      const pages = { layers: ropes.length, numPages: 30, pageSize: 4 };
      const pool = tensors.keep(await PagePool.create(gpu, { ...shape, ...pages }));
      poison(pool);
      const paged = tensors.keep(
        await PagedKvCache.create(pool, {
          ...{ batch, capacity, rope: ropes, kvCalibration, kvRotation },
        }),
      );
      assertEquals(paged.layers.map(({ hasRope }) => hasRope), ropes.map((rope) => !!rope));
      const append = async (counts: readonly [number, number], isRagged: boolean) => {
        const most = Math.max(...counts);
        const rows = random.tensor([batch, most, 1, headDim]);
        const padded = await tensors.upload(rows);
        const rowsOf = (b: number) =>
          rows.data.slice(b * most * headDim, (b * most + counts[b]) * headDim);
        const ragged = await tensors.upload({
          data: [...rowsOf(0), ...rowsOf(1)],
          shape: [counts[0] + counts[1], 1, headDim],
        });
        const given = isRagged ? ragged : padded;
        await submit((encoder) => {
          paged.extend(encoder, counts);
          for (const layer of paged.layers) layer.append(encoder, { k: given, v: given });
          for (const ring of rings) ring.append(encoder, { k: padded, v: padded, lengths: counts });
        });
      };
      await append([7, 2], true);
      await append([random.integer(1, 5), 3], false);
      for (const cache of [paged, ...rings]) {
        await submit((encoder) => {
          cache.truncate(encoder, 6, 0);
          cache.fork(encoder, { from: 0, to: 1 });
        });
      }
      await append([2, random.integer(1, 4)], true);
      const seqLen = 2;
      const queries = random.tensor([batch, seqLen, numHeads, headDim]);
      const outputs = new Set<string>();
      for (const [i, ring] of rings.entries()) {
        const of = async (cache: RingKvCache | typeof paged.layers[number]) => {
          const rotated = await tensors.upload(queries);
          if (cache.hasRope) await submit((encoder) => cache.ropeQueries(encoder, rotated));
          const q = { data: await rotated.download(), shape: queries.shape };
          return await attend({ numHeads, seqLen, outputs: ["lse"] }, cache, q);
        };
        const own = await of(paged.layers[i]);
        assertEquals(own, await of(ring), `layer ${i}`);
        assert(own.o.every(Number.isFinite));
        outputs.add(own.o.join());
      }
      assertEquals(outputs.size, isCalibrated ? 2 : 3, "layers that are not alike differ");
    },
  );
}

/** Operations of the random test: as many with `-- --steps=N`. */
const STEPS = Number(
  Deno.args.find((arg) => arg.startsWith("--steps="))?.slice("--steps=".length) ?? 400,
);

/** A sequence of the model: the key and value of each token, [2 * headDim]. */
type Text = number[][];

testRandomly(
  "pages: sequences grow, fork, are cut, end and begin alike as if each were alone",
  async (random) => {
    using tensors = new Tensors();
    const gpu = await sharedGpu();
    const [batch, capacity, headDim, numHeads, pageSize] = [4, 23, 4, 2, 4];
    const pool = tensors.keep(
      await PagePool.create(gpu, { numKvHeads: 1, headDim, pageSize, numPages: 14 }),
    );
    poison(pool);
    let cache = tensors.keep(await PagedKvCache.create(pool, { batch, capacity }));
    const attention = tensors.keep(await Attention.create(gpu, { ...cache.spec, numHeads }));
    const o = await tensors.poisoned([batch, 1, numHeads, headDim]);
    // What a token's key and value are depends on the tokens up to it, as in a model, and on nothing else.
    const rowOf = (ids: readonly number[]) => {
      let hash = 7;
      for (const id of ids) hash = (hash * 31 + id + 1) % 65521;
      return Array.from({ length: 2 * headDim }, (_, h) => Math.sin(hash * (h + 1)));
    };
    const ids: number[][] = Array.from({ length: batch }, () => []);
    const texts: Text[] = Array.from({ length: batch }, () => []);
    const known: number[][] = [];
    const counts = { extend: 0, exhausted: 0, recalled: 0, restored: 0 };

    for (let step = 0; step < STEPS; step++) {
      const act = random.pick([
        "extend",
        "extend",
        "extend",
        "truncate",
        "fork",
        "clear",
        "recall",
        "restore",
        "attend",
      ]);
      const b = random.integer(0, batch - 1);
      if (act === "extend") {
        const seqLen = random.integer(1, 5);
        const added = ids.map(({ length }) =>
          Math.min(capacity - length, random.integer(0, seqLen))
        );
        const isRagged = random.next() < 0.5;
        const starts = added.map((_, b) =>
          isRagged ? added.slice(0, b).reduce((sum, count) => sum + count, 0) : b * seqLen
        );
        const rowsOfAll = batch * seqLen;
        const data = {
          k: new Float32Array(rowsOfAll * headDim),
          v: new Float32Array(rowsOfAll * headDim),
        };
        const grown = ids.map((own, b) => {
          const more = Array.from({ length: added[b] }, () => random.integer(0, 1));
          return [...own, ...more];
        });
        const rows = grown.map((own, b) =>
          Array.from({ length: added[b] }, (_, t) => rowOf(own.slice(0, ids[b].length + t + 1)))
        );
        rows.forEach((tokens, b) =>
          tokens.forEach((row, t) => {
            data.k.set(row.slice(0, headDim), (starts[b] + t) * headDim);
            data.v.set(row.slice(headDim), (starts[b] + t) * headDim);
          })
        );
        const shape = isRagged ? [rowsOfAll, 1, headDim] : [batch, seqLen, 1, headDim];
        const k = await tensors.upload({ data: data.k, shape });
        const v = await tensors.upload({ data: data.v, shape });
        const needed = added.reduce((sum, count, b) => sum + cache.needed(b, count), 0);
        const before = [pool.available, ...ids.map((_, b) => cache.pages(b))];
        const encoder = gpu.device.createCommandEncoder();
        try {
          cache.extend(encoder, added);
        } catch (error) {
          assert(error instanceof PoolExhaustedError && needed > pool.available, `${error}`);
          assertEquals([pool.available, ...ids.map((_, b) => cache.pages(b))], before);
          counts.exhausted++;
          continue;
        }
        // Of those who share a page and write into it, the last need not copy it.
        assert(pool.available >= (before[0] as number) - needed);
        assertEquals(pool.available, 14 - new Set(ids.flatMap((_, b) => cache.pages(b))).size);
        cache.layers[0].append(encoder, { k, v });
        gpu.device.queue.submit([encoder.finish()]);
        for (const tensor of [k, v]) tensor.destroy();
        rows.forEach((tokens, b) => texts[b].push(...tokens));
        grown.forEach((own, b) => ids[b] = own);
        counts.extend++;
      } else if (act === "truncate") {
        const length = random.integer(0, ids[b].length);
        await submit((encoder) => cache.truncate(encoder, length, b));
        ids[b] = ids[b].slice(0, length);
        texts[b] = texts[b].slice(0, length);
      } else if (act === "fork") {
        const to = (b + random.integer(1, batch - 1)) % batch;
        await submit((encoder) => cache.fork(encoder, { from: b, to }));
        [ids[to], texts[to]] = [[...ids[b]], [...texts[b]]];
      } else if (act === "clear") {
        if (random.next() < 0.7) {
          cache.remember(ids[b], b);
          known.push(ids[b]);
        }
        await submit((encoder) => cache.clear(encoder, b));
        [ids[b], texts[b]] = [[], []];
      } else if (act === "recall" && known.length > 0) {
        const prompt = [...random.pick(known), random.integer(0, 1)];
        let recalled = 0;
        await submit((encoder) => {
          cache.clear(encoder, b);
          recalled = cache.recall(encoder, prompt, b);
        });
        assert(recalled % pageSize === 0 && recalled < prompt.length);
        counts.recalled += recalled;
        ids[b] = prompt.slice(0, recalled);
        texts[b] = ids[b].map((_, t) => rowOf(ids[b].slice(0, t + 1)));
      } else if (act === "restore" && random.next() < 0.5) {
        const saved = await cache.snapshot();
        const held = new Set(ids.flatMap((_, b) => cache.pages(b))).size;
        cache.destroy();
        assertEquals(pool.available, 14);
        cache.destroy(); // gives nothing back twice
        cache = tensors.keep(await PagedKvCache.restore(pool, saved));
        assertEquals(new Set(ids.flatMap((_, b) => cache.pages(b))).size, held);
        counts.restored++;
      } else if (act === "attend" && ids.some(({ length }) => length > 0)) {
        const queries = random.tensor([batch, 1, numHeads, headDim]);
        const q = await tensors.upload(queries);
        await submit((encoder) => attention.encode(encoder, { q, cache: cache.layers[0], o }));
        q.destroy();
        const actual = await o.download();
        const size = numHeads * headDim;
        texts.forEach((text, b) => {
          if (text.length === 0) return;
          const kvOf = (from: number) => ({
            data: text.flatMap((row) => row.slice(from, from + headDim)),
            shape: [1, text.length, 1, headDim],
          });
          const expected = referenceAttention({
            q: {
              data: queries.data.slice(b * size, (b + 1) * size),
              shape: [1, 1, numHeads, headDim],
            },
            ...{ k: kvOf(0), v: kvOf(headDim) },
          });
          assertClose(
            actual.slice(b * size, (b + 1) * size),
            expected.o,
            TOLERANCE.f32,
            `sequence ${b}`,
          );
        });
      }
      for (const [b, own] of ids.entries()) assertEquals(cache.length(b), own.length);
    }
    await submit((encoder) => cache.clear(encoder));
    assertEquals(pool.available, 14, "the pool is whole at the end");
    assert(
      counts.extend > 20 && counts.exhausted > 0 && counts.recalled > 0 && counts.restored > 0,
      JSON.stringify(counts),
    );
  },
);

testRandomly(
  "pages: heads that one binding cannot hold are cut, for each sequence",
  async (random) => {
    using tensors = new Tensors();
    const gpu = await sharedGpu();
    const { maxStorageBufferBindingSize } = gpu.device.limits;
    if (maxStorageBufferBindingSize > 2 ** 28) return; // the memory for it may not be there
    const [numKvHeads, headDim, pageSize, batch] = [3, 64, 64, 2];
    const headBytes = Math.floor(maxStorageBufferBindingSize * 0.4);
    const numPages = Math.floor(headBytes / (pageSize * headDim * 4));
    const pool = tensors.keep(
      await PagePool.create(gpu, { numKvHeads, headDim, pageSize, numPages }),
    );
    assertEquals(pool.layers[0].map(({ numHeads }) => numHeads), [2, 1]);
    const cache = tensors.keep(await PagedKvCache.create(pool, { batch, capacity: 70 }));
    const ring = tensors.keep(
      await RingKvCache.create(gpu, { numKvHeads, headDim, batch, capacity: 70 }),
    );
    const [layer] = cache.layers;
    const shape = [batch, 68, numKvHeads, headDim];
    const [k, v] = [
      await tensors.upload(random.tensor(shape)),
      await tensors.upload(random.tensor(shape)),
    ];
    await submit((encoder) => {
      cache.extend(encoder, [68, 66]);
      layer.append(encoder, { k, v });
      cache.fork(encoder, { from: 1, to: 0 });
      cache.extend(encoder, [1, 2]);
      layer.append(encoder, { k, v });
      ring.append(encoder, { k, v, lengths: [0, 66] });
      ring.fork(encoder, { from: 1, to: 0 });
      ring.append(encoder, { k, v, lengths: [1, 2] });
    });
    for (const impl of ["fused", "staged"] as const) {
      const q = random.tensor([batch, 2, 6, headDim]);
      const spec = { numHeads: 6, seqLen: 2, impl, outputs: ["lse"] } as const;
      assertEquals(await attend(spec, layer, q), await attend(spec, ring, q));
      // The last step's tokens, one of sequence 0 and two of sequence 1, end to end.
      const row = 6 * headDim;
      const data = [...q.data.slice(row, 2 * row), ...q.data.slice(2 * row)];
      const ragged = { data, shape: [3, 6, headDim] };
      const { o, lse } = await attend({ ...spec, tokens: 3 }, layer, ragged);
      const padded = await attend(spec, ring, q);
      assertClose(o, padded.o.slice(row), TOLERANCE.f32, "o");
      assertClose(lse, padded.lse.slice(6), TOLERANCE.f32, "lse");
    }
  },
);

/** Options by which the same tokens have other words in pages. */
const KINDS: readonly Omit<PagedKvCacheOptions, "capacity">[] = [
  ...[{}, { rope: {} }, { rope: { base: 7 } }, { rope: [{}, undefined] }],
  ...[{ window: 16 }, { window: 17 }, { window: 16, sinks: 1 }, { kvRotation: "hadamard" }],
] as const;

testRandomly(
  "pages: caches find the prompts of those that store alike, and of no others",
  async (random) => {
    using tensors = new Tensors();
    const gpu = await sharedGpu();
    const shape = { layers: 2, numKvHeads: 1, headDim: 8, kvDtype: "int4" } as const;
    const pool = tensors.keep(await PagePool.create(gpu, { ...shape, numPages: 40, pageSize: 4 }));
    const calibrated = () => ({
      kvCalibration: [0, 1].map(() => randomCalibration(random, { ...shape, valueDim: 8 })),
    });
    const prompt = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    for (const kind of [...KINDS, calibrated(), calibrated()]) {
      const [first, alike] = [
        tensors.keep(await PagedKvCache.create(pool, { ...kind, capacity: 16 })),
        tensors.keep(
          await PagedKvCache.create(pool, {
            ...{ ...structuredClone(kind), capacity: 32, batch: 2, maxSeqLen: 2 },
          }),
        ),
      ];
      await submit((encoder) => {
        // Those before it have the same tokens in pages that they hold.
        assertEquals(first.shared(prompt), 0);
        assertEquals(first.recall(encoder, prompt), 0);
        first.extend(encoder, [9]);
        first.remember(prompt);
        assertEquals(alike.shared(prompt), 2);
        const waiting = { id: 0, tokens: prompt, maxTokens: 16, unread: 0 };
        assertEquals(new CachePlaces(alike, encoder).needed(waiting, 9), 1);
        assertEquals(alike.recall(encoder, prompt, 1), 8);
        assertEquals(alike.pages(1), first.pages().slice(0, 2));
      });
    }
  },
);

Deno.test("pages: what cannot be is refused, and changes nothing", async () => {
  using tensors = new Tensors();
  const gpu = await sharedGpu();
  const pool = tensors.keep(
    await PagePool.create(gpu, { numKvHeads: 1, headDim: 4, pageSize: 4, numPages: 3 }),
  );
  const cache = tensors.keep(
    await PagedKvCache.create(pool, { batch: 2, capacity: 10, window: 6 }),
  );
  const [layer] = cache.layers;
  const encoder = gpu.device.createCommandEncoder();
  const k = await tensors.upload({ data: new Float32Array(16), shape: [2, 2, 1, 4] });
  const refuses = (call: () => void, kind: new (message: string) => Error, says: string) => {
    const before = [pool.available, cache.length(0), cache.length(1)];
    assertThrows(call, kind, says);
    assertEquals([pool.available, cache.length(0), cache.length(1)], before);
  };
  refuses(() => layer.append(encoder, { k, v: k }), RangeError, "extend once before each append");
  refuses(() => layer.checkVisible({ seqLen: 1, sinks: 0 }), RangeError, "no sequence has a token");
  refuses(() => cache.extend(encoder, [1]), RangeError, "counts=[1], batch=2");
  refuses(() => cache.extend(encoder, [1, -1]), RangeError, "counts[1] must be a whole number");
  refuses(() => cache.extend(encoder, "ab" as never), TypeError, "counts must be an array");
  refuses(() => cache.extend(encoder, [11, 0]), RangeError, "length=0, count=11, capacity=10");
  refuses(
    () => cache.extend(encoder, [9, 4]),
    PoolExhaustedError,
    "needed=4, available=3, numPages=3",
  );
  refuses(
    () => cache.truncate(encoder, 1, 0),
    RangeError,
    "length must be at most the current one",
  );
  refuses(() => cache.fork(encoder, { from: 1, to: 1 }), RangeError, "two sequences");
  refuses(() => cache.clear(encoder, 2), RangeError, "sequence=2, batch=2");
  refuses(() => cache.remember([1], 0), RangeError, "tokens=1, length=0");
  refuses(() => cache.recall(encoder, ["a"] as never), TypeError, "tokens[0] must be a number");
  // deno-lint-ignore no-sparse-arrays
  const holes = [1, , 3] as number[];
  for (
    const call of [
      () => cache.remember(holes),
      () => cache.recall(encoder, holes),
      () => cache.shared(holes),
    ]
  ) refuses(call, TypeError, "tokens[1] must be a number");
  cache.extend(encoder, [2, 0]);
  refuses(() => layer.checkVisible({ seqLen: 1, sinks: 0 }), RangeError, "must be appended first");
  layer.append(encoder, { k, v: k });
  refuses(() => layer.append(encoder, { k, v: k }), RangeError, 'extended="appended already"');
  cache.extend(encoder, [3, 0]);
  refuses(() => layer.append(encoder, { k, v: k }), RangeError, "seqLen=2, counts=[3, 0]");
  cache.extend(encoder, [5, 0]);
  refuses(() => cache.extend(encoder, [0, 1]), PoolExhaustedError, "needed=1, available=0");
  refuses(() => cache.recall(encoder, [1, 2], 0), RangeError, "the sequence must be empty");
  const other = tensors.keep(await PagedKvCache.create(pool, { batch: 2, capacity: 9 }));
  const attention = tensors.keep(
    await Attention.create(gpu, { ...other.layers[0].spec, numHeads: 1 }),
  );
  const q = await tensors.upload({ data: new Float32Array(8), shape: [2, 1, 1, 4] });
  const o = await tensors.poisoned([2, 1, 1, 4]);
  refuses(() => attention.encode(encoder, { q, cache: layer, o }), RangeError, "planned capacity");
});

Deno.test("pages: tokens that were given back are missed by name", async () => {
  using tensors = new Tensors();
  const shape = { numKvHeads: 1, headDim: 4, pageSize: 4, numPages: 4 };
  const pool = tensors.keep(await PagePool.create(await sharedGpu(), shape));
  const cache = tensors.keep(await PagedKvCache.create(pool, { capacity: 16, window: 4 }));
  const [layer] = cache.layers;
  const rows = (count: number) => ({ data: new Float32Array(4 * count), shape: [1, count, 1, 4] });
  const [nine, one] = [await tensors.upload(rows(9)), await tensors.upload(rows(1))];
  await submit((encoder) => {
    for (const k of [nine, one]) {
      cache.extend(encoder, [k.shape[1]]);
      layer.append(encoder, { k, v: k });
    }
    const calls: [() => void, string][] = [
      [() => cache.truncate(encoder, 5), "Cannot truncate PagedKvCache as tokens"],
      [
        () => layer.checkVisible({ seqLen: 1, sinks: 0, window: 8 }),
        "Cannot attend to PagedKvCache",
      ],
      [
        () => layer.checkVisible({ seqLen: 1, sinks: 0, window: 4, alignment: "top-left" }),
        "Cannot attend to PagedKvCache",
      ],
      [
        () => layer.checkVisible({ seqLen: 1, sinks: 0, window: 8, tokens: 1 }),
        "Cannot attend to PagedKvCache",
      ],
    ];
    for (const [call, says] of calls) assertThrows(call, RangeError, says);
  });
});

Deno.test("pages: what is no encoder, no object or no size is refused, and nothing is counted", async () => {
  using tensors = new Tensors();
  const gpu = await sharedGpu();
  const shape = { numKvHeads: 1, headDim: 4, pageSize: 4, numPages: 9 };
  const pool = tensors.keep(await PagePool.create(gpu, shape));
  const cache = tensors.keep(await PagedKvCache.create(pool, { batch: 2, capacity: 10 }));
  const [layer] = cache.layers;
  const k = await tensors.upload({ data: new Float32Array(8), shape: [2, 1, 1, 4] });
  await submit((encoder) => {
    cache.extend(encoder, [1, 0]);
    layer.append(encoder, { k, v: k });
    cache.extend(encoder, [1, 0]);
  });
  const state = () => [pool.available, cache.length(), cache.length(1)];
  const before = state();
  assertEquals(before.slice(1), [2, 0]);
  const none = null as never;
  for (const target of [null, undefined, {}, gpu.device]) {
    const encoder = target as unknown as GPUCommandEncoder;
    const calls = [
      () => cache.extend(encoder, [1, 1]),
      () => cache.truncate(encoder, 0, 0),
      () => cache.fork(encoder, { from: 0, to: 1 }),
      () => cache.clear(encoder),
      () => cache.recall(encoder, [1], 1),
      () => layer.append(encoder, { k, v: k }),
    ];
    for (const call of calls) assertThrows(call, TypeError, "must be a GPUCommandEncoder");
    assertEquals(state(), before);
  }
  await submit((encoder) => {
    assertThrows(() => cache.fork(encoder, none), TypeError, "pair=null");
    assertThrows(() => layer.append(encoder, none), TypeError, "tokens=null");
    const alias = Tensor.wrap(gpu, pool.layers[0][0].k.buffer, [2, 1, 1, 4]);
    const says = "new tokens must have buffers of their own";
    assertThrows(() => layer.append(encoder, { k: alias, v: k }), TypeError, says);
    // It was not taken for appended above.
    layer.append(encoder, { k, v: k });
  });
  assertEquals(state(), before);
  const { made } = await buffersOf(async () => {
    const pools = (given: Record<string, unknown>) => () =>
      PagePool.create(gpu, { ...shape, ...given } as PagePoolOptions);
    await assertRejects(() => PagePool.create(gpu, none), TypeError, "options=null");
    await assertRejects(pools({ kvDtype: "u32" }), TypeError, 'kvDtype="u32"');
    await assertRejects(pools({ layers: 1e9 }), RangeError, "layers=1000000000");
    await assertRejects(pools({ numPages: 1e12 }), RangeError, "fit one storage binding");
    await assertRejects(pools({ numKvHeads: 1e12 }), RangeError, "1024 storage bindings");
    const caches = (given: Record<string, unknown>) => () =>
      PagedKvCache.create(pool, { capacity: 10, ...given });
    await assertRejects(() => PagedKvCache.create(pool, none), TypeError, "options=null");
    await assertRejects(() => PagedKvCache.create(none, { capacity: 1 }), TypeError, "pool=null");
    await assertRejects(caches({ capacity: 2 ** 50 }), RangeError, "one storage binding");
    await assertRejects(caches({ rope: false }), TypeError, "rope must be an object");
  });
  assertEquals(made, []);
});
