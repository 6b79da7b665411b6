/**
 * Careless callers at random: what they hand over changes as soon as a call returns, calls run side by side, encoders are
 * dropped or submitted in any order, and snapshots come from strangers who can write a checksum. What was asked for comes out,
 * or a typed error; nothing aborts, and nothing that was refused has changed anything.
 */
import { assertEquals } from "@std/assert";
import {
  attend,
  type AttendOptions,
  type Gpu,
  type HostTensor,
  referenceAttention,
  RingKvCache,
  SnapshotError,
  Tensor,
} from "../../mod.ts";
import { assertClose, assertSame, TOLERANCE } from "../support/compare.ts";
import type { Random } from "../support/random.ts";
import { shapeOf, submit, Tensors } from "../support/run.ts";
import { partsOf, snapshotOf } from "../support/snapshots.ts";
import { poison, Transcript } from "../support/transcript.ts";
import { Attempts, type CallsReport } from "./attempts.ts";
import { drawAttend, drawCacheOptions } from "./draws.ts";
import { damagedJson } from "./mutations.ts";

/** More memory than any snapshot here needs. */
const MAX_BYTES = 2 ** 20;

/** Makes `count` careless calls; throws at the first that does harm. */
export async function fuzzCallers(
  gpu: Gpu,
  random: Random,
  { count, onCall }: { count: number; onCall?(done: number): void },
): Promise<CallsReport> {
  using attempts = new Attempts(gpu);
  const create = () => RingKvCache.create(gpu, drawCacheOptions(random));
  let cache = await create();
  poison(cache);
  let transcript = new Transcript(cache);

  /** The next cache, empty. */
  async function renew(): Promise<void> {
    await transcript.check();
    cache.destroy();
    cache = await create();
    poison(cache);
    transcript = new Transcript(cache);
  }

  /** New tokens that fit, and how many of them each sequence takes. */
  function drawTokens() {
    const { batch, numKvHeads, headDim, valueDim, layout, capacity, sinks, window } = cache.spec;
    const tokens = random.integer(1, capacity - sinks - window! + 1);
    const tensor = (size: number) =>
      random.tensor(shapeOf(layout, { batch, heads: numKvHeads, tokens, size }));
    const lengths = Array.from({ length: batch }, () => random.integer(0, tokens));
    return { k: tensor(headDim), v: tensor(valueDim), lengths };
  }

  /** A bound append whose arrays change after they were bound, and after they were encoded. */
  async function changedAppend(): Promise<void> {
    using tensors = new Tensors();
    const { k, v, lengths } = drawTokens();
    const given = { k: await tensors.upload(k), v: await tensors.upload(v), lengths: [...lengths] };
    const bound = await attempts.of("bindAppend", false, () => cache.bindAppend(given));
    scramble(random, given);
    await submit((encoder) => bound!.value.encode(encoder));
    scramble(random, given);
    transcript.append(k, v, lengths);
  }

  /** Uploads and allocations whose shapes and elements change while the device makes them. */
  async function changedUpload(): Promise<void> {
    const host = random.tensor(
      Array.from({ length: random.integer(1, 4) }, () => random.integer(1, 3)),
    );
    const given = { data: [...host.data], shape: [...host.shape] };
    const options = { dtype: "f32" as const, label: "changed" };
    const made = await attempts.of("Tensor.upload", false, () => {
      const pending = Tensor.upload(gpu, given, options);
      scramble(random, given);
      scramble(random, options);
      return pending;
    });
    const { value } = made!;
    assertSame(await value.download(), host.data, "what was uploaded");
    assertSame(value.shape, host.shape, "its shape");
    value.destroy();
  }

  /** Several calls of `attend` side by side, whose inputs and options change as soon as each call returns. */
  async function changedAttends(): Promise<void> {
    const calls = Array.from({ length: random.integer(1, 3) }, async () => {
      const { inputs, options } = drawAttend(random);
      const expected = referenceAttention(inputs, options);
      const given = structuredClone(inputs) as Record<string, HostTensor>;
      for (const name of Object.keys(given)) {
        const { data, shape } = given[name];
        given[name] = { data: [...data as Float32Array], shape: [...shape] };
      }
      const asked: AttendOptions = structuredClone(options);
      const made = await attempts.of("attend", false, () => {
        const pending = attend(gpu, given as typeof inputs, asked);
        scramble(random, given);
        scramble(random, asked);
        return pending;
      });
      const what = `o of ${JSON.stringify(options)}`;
      assertClose(made!.value.o.data, expected.o, TOLERANCE.f32, what);
    });
    await Promise.all(calls);
  }

  /** A cache whose options change while it is made. */
  async function changedCreate(): Promise<void> {
    await renew();
    const options = drawCacheOptions(random);
    const { capacity, headDim, numKvHeads } = options;
    const made = await attempts.of("RingKvCache.create", false, () => {
      const pending = RingKvCache.create(gpu, options);
      scramble(random, options);
      return pending;
    });
    const { value } = made!;
    const { spec } = value;
    assertSame(
      [spec.capacity, spec.headDim, spec.numKvHeads],
      [capacity, headDim, numKvHeads],
      "spec",
    );
    value.destroy();
  }

  /** Encoders of which some are dropped and the others submitted in any order: cleared, the cache is as good as new. */
  async function anyOrder(): Promise<void> {
    using tensors = new Tensors();
    const encoders: GPUCommandEncoder[] = [];
    for (let i = random.integer(1, 4); i > 0; i--) {
      const encoder = gpu.device.createCommandEncoder();
      const { k, v, lengths } = drawTokens();
      const tokens = { k: await tensors.upload(k), v: await tensors.upload(v), lengths };
      const { batch } = cache.spec;
      const calls = [
        () => cache.append(encoder, tokens),
        () => cache.append(encoder, tokens),
        () => cache.truncate(encoder, cache.length(), 0),
        () => cache.truncate(encoder, random.integer(0, cache.length()), 0),
        () => cache.fork(encoder, { from: 0, to: batch - 1 }),
        () => cache.clear(encoder, batch - 1),
      ];
      for (let j = random.integer(0, 3); j > 0; j--) {
        await attempts.of("encode in any order", true, random.pick(calls));
      }
      encoders.push(encoder);
    }
    while (encoders.length > 0) {
      const [encoder] = encoders.splice(random.integer(0, encoders.length - 1), 1);
      if (random.next() < 0.3) continue; // dropped
      gpu.device.queue.submit([encoder.finish()]);
    }
    // Whether the host still counts what is there is known; where it does not, that is said.
    const counted = await cache.snapshot().then(() => true, (error) => {
      if (!(error instanceof SnapshotError)) throw error;
      return false;
    });
    // Encoders may all have been left empty.
    const calls = attempts.report["encode in any order"];
    if (calls && !counted) calls.refused++;
    await submit((encoder) => cache.clear(encoder));
    transcript.clear();
    poison(cache);
    transcript.forgetSlots();
  }

  /** A snapshot whose header or rows are changed, under a checksum that is right. */
  async function strangersSnapshot(): Promise<void> {
    // Of an empty cache any head size would be right, and each is compiled.
    if (cache.maxLength === 0) return;
    const saved = await cache.snapshot();
    const parts = partsOf(saved);
    // As it is written: what JSON does not hold is not damage.
    const written = (json: unknown) => JSON.parse(JSON.stringify(json));
    if (random.next() < 0.9) parts.header = written(damagedJson(random, parts.header));
    if (random.next() < 0.2) parts.rows = parts.rows.slice(random.integer(0, parts.rows.length));
    const strange = await snapshotOf(parts, saved);
    const anew = await attempts.of(
      "RingKvCache.restore",
      true,
      () => RingKvCache.restore(gpu, strange, { maxBytes: MAX_BYTES }),
    );
    // What is restored is a cache as any other: it gives its snapshot back, and takes tokens.
    if (anew) {
      assertEquals(partsOf(await anew.value.snapshot()), parts, "what was restored");
      anew.value.destroy();
    }
    const over = await attempts.of("restore", true, () => cache.restore(strange));
    assertEquals(partsOf(await cache.snapshot()), over ? parts : partsOf(saved), "what is there");
    if (!over) return;
    await cache.restore(saved);
    transcript.forgetUnstored();
  }

  const acts = [changedAppend, strangersSnapshot, strangersSnapshot, strangersSnapshot];
  acts.push(changedAppend, changedUpload, changedAttends, changedCreate, anyOrder);
  try {
    for (let done = 0; done < count; done++) {
      // Each of them once, and then any.
      await (acts[done] ?? random.pick(acts))();
      if (done % 50 === 49) {
        await gpu.settled();
        onCall?.(done + 1);
      }
    }
    await renew();
    await gpu.settled();
  } finally {
    cache.destroy();
  }
  return attempts.report;
}

/** Changes whatever a caller still holds: numbers in arrays, their lengths, and fields. */
function scramble(random: Random, given: object): void {
  for (const [name, value] of Object.entries(given)) {
    if (Array.isArray(value)) {
      value.fill(random.pick<unknown>([NaN, 1e9, -1, "x", null]));
      if (random.next() < 0.5) value.length = random.integer(0, 3);
    } else if (value?.constructor === Object) {
      scramble(random, value);
    }
    if (random.next() < 0.5) {
      Reflect.set(given, name, random.pick<unknown>([null, 7, "x", undefined]));
    }
  }
}
