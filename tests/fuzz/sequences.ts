/**
 * Many sequences at random, in batches and in pages: requests that nobody waits for, that are cancelled, left or wrong, and
 * snapshots of pages that strangers wrote. A sequence gets the tokens that it gets alone; what is refused changes nothing; all
 * pages come back.
 */
import { assertEquals } from "@std/assert";
import { type Gpu, PagedKvCache, PagePool, Tensor } from "../../mod.ts";
import { Batch, type BatchSequence, type BatchSequenceOptions } from "../../src/model/mod.ts";
import { TINY, weightsOf } from "../support/models.ts";
import type { Random } from "../support/random.ts";
import { submit } from "../support/run.ts";
import { partsOf, snapshotOf } from "../support/snapshots.ts";
import { Attempts, type CallsReport } from "./attempts.ts";
import { spoiled } from "./draws.ts";
import { damagedJson } from "./mutations.ts";

const POOL = { layers: 2, numKvHeads: 1, headDim: 4, numPages: 12, pageSize: 3 };
/** More memory than the tables of any snapshot here need. */
const MAX_BYTES = 2 ** 20;

/** Makes `count` calls; throws at the first that does harm. */
export async function fuzzSequences(
  gpu: Gpu,
  random: Random,
  { count, onCall }: { count: number; onCall?(done: number): void },
): Promise<CallsReport> {
  using attempts = new Attempts(gpu);
  const batch = await Batch.create(gpu, TINY, weightsOf(TINY, random), {
    ...{ maxSequences: 3, pageSize: 2, stepsPerRead: 2 },
  });
  const pool = await PagePool.create(gpu, POOL);

  function drawRequest(): BatchSequenceOptions {
    return {
      tokens: Array.from({ length: random.integer(1, 4) }, () => random.integer(0, 2)),
      maxTokens: random.integer(1, 4),
      endTokens: random.pick([[], [random.integer(0, 2)]]),
      ...{ temperature: random.pick([0, 1]), seed: random.integer(0, 2 ** 31), logprobs: 1 },
      ...{ presencePenalty: random.pick([0, 1]), minP: 0, topK: 0 },
    };
  }

  /** Waits until nobody is left: every page is there. */
  async function idle(): Promise<void> {
    while (batch.stats.running + batch.stats.waiting > 0) await gpu.settled();
    const { available, total } = batch.stats.pages;
    assertEquals(available, total, "pages of the batch");
  }

  /** Sequences side by side, whose requests change once they are taken; some are cancelled, and some never read. */
  async function sideBySide(): Promise<void> {
    const requests = Array.from({ length: random.integer(1, 5) }, drawRequest);
    const sequences = [];
    for (const request of requests) {
      const given = structuredClone(request);
      const made = await attempts.of("Batch.add", false, () => batch.add(given));
      sequences.push(made!.value);
      Object.assign(given, { tokens: [], maxTokens: 0, seed: -1 });
    }
    const kept = sequences.filter((sequence) => {
      const fate = random.next();
      if (fate < 0.3) sequence.cancel();
      return fate > 0.5;
    });
    const together = await Promise.all(kept.map(tokensOf));
    await idle();
    for (const [i, sequence] of kept.entries()) {
      const request = requests[sequences.indexOf(sequence)];
      assertEquals(together[i], await tokensOf(batch.add(request)), JSON.stringify(request));
    }
    await idle();
  }

  async function wrongRequest(): Promise<void> {
    const given = spoiled(random, drawRequest());
    const made = await attempts.of("Batch.add, wrong", true, () => batch.add(given));
    made?.value.cancel();
    await idle();
  }

  /** A cache of pages that grows by steps of any counts, some of them wrong, and is read by whoever changed its snapshot. */
  async function pages(): Promise<void> {
    const cache = await PagedKvCache.create(pool, { batch: 3, capacity: 9, maxSeqLen: 3 });
    try {
      for (let step = random.integer(1, 3); step > 0; step--) await grow(cache);
      const saved = await cache.snapshot();
      const parts = partsOf(saved);
      const written = (json: unknown) => JSON.parse(JSON.stringify(json));
      if (random.next() < 0.8) parts.header = written(damagedJson(random, parts.header));
      if (random.next() < 0.2) parts.rows = parts.rows.slice(random.integer(0, parts.rows.length));
      const strange = await snapshotOf(parts, saved);
      const available = pool.available;
      const made = await attempts.of(
        "PagedKvCache.restore",
        true,
        () => PagedKvCache.restore(pool, strange, { maxBytes: MAX_BYTES }),
      );
      if (made) {
        assertEquals(partsOf(await made.value.snapshot()), parts, "what was restored");
        made.value.destroy();
      }
      assertEquals(pool.available, available, "pages after a restore");
      assertEquals(await cache.snapshot(), saved, "the cache that was saved");
    } finally {
      cache.destroy();
    }
    assertEquals(pool.available, POOL.numPages, "pages of the pool");
  }

  async function grow(cache: PagedKvCache): Promise<void> {
    const counts: number[] = [1, 0, random.integer(0, 1)];
    const k = await Tensor.upload(gpu, random.tensor([3, 1, 1, 4]));
    await submit((encoder) => {
      cache.extend(encoder, counts);
      for (const layer of cache.layers) layer.append(encoder, { k, v: k });
    });
    k.destroy();
    const wrong = random.pick<unknown>([[1], [1, 1, 10], [-1, 0, 0], [0.5, 0, 0], null, [
      "1",
      0,
      0,
    ]]);
    const encoder = gpu.device.createCommandEncoder();
    const made = await attempts.of(
      "extend, wrong",
      true,
      () => cache.extend(encoder, wrong as number[]),
    );
    assertEquals(made, undefined, `extend by ${JSON.stringify(wrong)}`);
  }

  const acts = [sideBySide, sideBySide, wrongRequest, wrongRequest, pages, pages, pages];
  try {
    for (let done = 0; done < count; done++) {
      // Each of them once, and then any.
      await (acts[done] ?? random.pick(acts))();
      if (done % 50 === 49) onCall?.(done + 1);
    }
    await gpu.settled();
  } finally {
    batch.destroy();
    pool.destroy();
  }
  return attempts.report;
}

async function tokensOf(sequence: BatchSequence): Promise<number[]> {
  const all = [];
  for await (const some of sequence) all.push(...some.map(({ token }) => token));
  return all;
}
