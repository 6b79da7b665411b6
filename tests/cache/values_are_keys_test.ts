// Values that are the first elements of keys: one tensor is stored, appended and read for both.
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Attention,
  kvBytes,
  type KvDtype,
  PagePool,
  planAttention,
  referenceAttention,
  RingKvCache,
  SharedPrefixAttention,
  SnapshotError,
} from "../../mod.ts";
import { assertClose, TOLERANCE } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { LIMITS } from "../support/plan.ts";
import { testRandomly } from "../support/random.ts";
import { concatenate, firstOfKeys, submit, Tensors } from "../support/run.ts";
import { downloadTokens, poison } from "../support/transcript.ts";

const LATENT = { numKvHeads: 1, headDim: 24, valueDim: 16, valuesAre: "keys" } as const;

for (const kvDtype of ["f32", "f16", "int8", "int4"] as const) {
  testRandomly(
    `values are keys: stored in ${kvDtype}, wrapped, with positions behind them`,
    async (random) => {
      if (kvDtype === "f16" && !await hasF16()) return;
      const gpu = await sharedGpu();
      using tensors = new Tensors();
      const cache = tensors.keep(
        await RingKvCache.create(gpu, {
          ...{ ...LATENT, batch: 2, capacity: 8, window: 6, maxSeqLen: 3, kvDtype },
          rope: { firstDim: LATENT.valueDim },
        }),
      );
      poison(cache);
      for (const seqLen of [3, 1, 3, 2, 3]) {
        const k = await tensors.upload(random.tensor([2, seqLen, 1, LATENT.headDim]));
        await submit((encoder) => cache.append(encoder, { k }));
        const stored = await downloadTokens(cache, "k");
        const host = random.tensor([2, seqLen, 5, LATENT.headDim]);
        const expected = referenceAttention(
          { q: host, k: stored, v: firstOfKeys(stored, LATENT.valueDim) },
          { window: 6 },
        );
        const q = await tensors.upload(host);
        for (const impl of ["fused", "staged"] as const) {
          const spec = { ...cache.spec, numHeads: 5, seqLen, impl };
          const attention = tensors.keep(await Attention.create(gpu, spec));
          const o = await tensors.poisoned([2, seqLen, 5, LATENT.valueDim]);
          await submit((encoder) => attention.encode(encoder, { q, cache, o }));
          assertClose(await o.download(), expected.o, TOLERANCE.f32, `${impl}, ${seqLen} tokens`);
        }
      }
    },
  );
}

testRandomly(
  "values are keys: a prefix that is shared and suffixes are one context",
  async (random) => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    const create = async (batch: number) =>
      tensors.keep(await RingKvCache.create(gpu, { ...LATENT, batch, capacity: 8, maxSeqLen: 5 }));
    const [prefix, suffix] = [await create(1), await create(2)];
    const hosts = { prefix: random.tensor([1, 5, 1, 24]), suffix: random.tensor([2, 3, 1, 24]) };
    const queries = random.tensor([2, 1, 4, 24]);
    const k = await tensors.upload(hosts.prefix);
    const own = await tensors.upload(hosts.suffix);
    const q = await tensors.upload(queries);
    const [o, lse] = [await tensors.poisoned([2, 1, 4, 16]), await tensors.poisoned([2, 1, 4])];
    const attention = tensors.keep(
      await SharedPrefixAttention.create(gpu, {
        ...{ ...suffix.spec, numHeads: 4, prefix: prefix.spec },
      }),
    );
    await submit((encoder) => {
      prefix.append(encoder, { k });
      suffix.append(encoder, { k: own });
      const views = { prefix: { cache: prefix }, suffix: { cache: suffix } };
      attention.encode(encoder, { q, o, lse, ...views });
    });
    const keys = concatenate(hosts.prefix, hosts.suffix);
    const expected = referenceAttention({ q: queries, k: keys, v: firstOfKeys(keys, 16) });
    assertClose(await o.download(), expected.o, TOLERANCE.f32, "o");
  },
);

Deno.test("values are keys: a cache takes the bytes of its keys alone", async () => {
  const gpu = await sharedGpu();
  const tokens = 32;
  const bytesOfRow: Record<KvDtype, number> = { f32: 96, f16: 48, int8: 28, int4: 16 };
  for (const kvDtype of ["f32", "f16", "int8", "int4"] as const) {
    if (kvDtype === "f16" && !await hasF16()) continue;
    using tensors = new Tensors();
    const options = { ...LATENT, capacity: tokens, kvDtype };
    const cache = tensors.keep(await RingKvCache.create(gpu, options));
    const counters = 72;
    assertEquals(cache.bytes, tokens * bytesOfRow[kvDtype] + counters, kvDtype);
    assertEquals(cache.parts.map(({ v }) => v), [undefined], kvDtype);
    assertEquals(kvBytes({ ...options, batch: 1 }, tokens), tokens * bytesOfRow[kvDtype], kvDtype);
  }
});

Deno.test("values are keys: what they exclude is refused before the GPU has work", async () => {
  const gpu = await sharedGpu();
  const spec = { ...LATENT, numHeads: 4, capacity: 8 };
  const plan = (changed: object) => () => planAttention({ ...spec, ...changed }, LIMITS);
  assertThrows(plan({ valueDim: 25 }), RangeError, "valueDim=25, headDim=24");
  assertThrows(plan({ valuesAre: "values" }), RangeError, 'valuesAre must be "keys"');
  assertThrows(plan({ pages: { size: 4, count: 2 } }), TypeError, "pages have values of their own");
  const longer = { ...LATENT, capacity: 8, valueDim: 25 };
  await assertRejects(() => RingKvCache.create(gpu, longer), RangeError, "valueDim=25, headDim=24");
  const pool: object = { ...LATENT, numPages: 2 };
  await assertRejects(
    () => PagePool.create(gpu, pool as Parameters<typeof PagePool.create>[1]),
    TypeError,
    "pages have values of their own",
  );

  using tensors = new Tensors();
  const { valuesAre: _, ...apart } = LATENT;
  const caches = {
    shared: tensors.keep(await RingKvCache.create(gpu, { ...LATENT, capacity: 8 })),
    apart: tensors.keep(await RingKvCache.create(gpu, { ...apart, capacity: 8 })),
  };
  const k = await tensors.poisoned([1, 1, 1, 24]);
  const v = await tensors.poisoned([1, 1, 1, 16]);
  assertThrows(() => caches.shared.bindAppend({ k, v }), TypeError, "v must be left out");
  assertThrows(() => caches.apart.bindAppend({ k }), TypeError, "v must be a Tensor");
  assertEquals(caches.shared.length(), 0);

  const [q, o] = [await tensors.poisoned([1, 1, 4, 24]), await tensors.poisoned([1, 1, 4, 16])];
  const attention = tensors.keep(await Attention.create(gpu, { ...spec, kvLayout: "BNSH" }));
  const contiguous = await tensors.poisoned([1, 1, 8, 24]);
  const values = await tensors.poisoned([1, 1, 8, 16]);
  assertThrows(
    () => attention.bind({ q, k: contiguous, v: values, o }),
    TypeError,
    "v must be left out",
  );
  assertThrows(
    () => attention.bind({ q, cache: caches.apart, o }),
    TypeError,
    "the cache must have the planned valuesAre",
  );
  const saved = await caches.shared.snapshot();
  await assertRejects(() => caches.apart.restore(saved), SnapshotError, "valuesAre");
});
