/** Calls of the library at random: a right one gives what it must, a wrong one a typed error before any work on the GPU. */
import {
  attend,
  Attention,
  type Gpu,
  type HostTensor,
  planAttention,
  referenceAttention,
  RingKvCache,
  type RingKvCacheOptions,
  Tensor,
} from "../../mod.ts";
import { assertClose, TOLERANCE } from "../support/compare.ts";
import type { Random } from "../support/random.ts";
import { shapeOf, Tensors } from "../support/run.ts";
import { poison, Transcript } from "../support/transcript.ts";
import { Attempts, type CallsReport } from "./attempts.ts";
import { drawAttend, drawCacheOptions, drawSpec, spoiled, strange } from "./draws.ts";

/** A cache and all that was done to it. */
interface Subject {
  cache: RingKvCache;
  transcript: Transcript;
  /** Whether a full ring goes on. */
  wraps: boolean;
}

const NUM_CACHES = 3;
/** One call in so many is spoiled. */
const SPOILED = 0.4;
/** Sums of scores beyond this are decided by rounding, so that no tolerance holds. */
const LARGEST_SCALE = 4;

/** Makes `count` calls; throws at the first that is neither right nor refused as it should be. */
export async function fuzz(
  gpu: Gpu,
  random: Random,
  { count, onCall }: { count: number; onCall?(done: number): void },
): Promise<CallsReport> {
  using attempts = new Attempts(gpu);
  const subjects: Subject[] = [];
  const isSpoiled = () => random.next() < SPOILED;

  async function createCache(isWrong: boolean): Promise<void> {
    // Without a transform, unless what is spoiled is one.
    const drawn = { ...drawCacheOptions(random), kvCalibration: undefined, kvRotation: undefined };
    const options: RingKvCacheOptions = isWrong ? spoiled(random, drawn) : drawn;
    const made = await attempts.of(
      "RingKvCache.create",
      isWrong,
      () => RingKvCache.create(gpu, options),
    );
    if (!made) return;
    const { value: cache } = made;
    // What a strange option made too large to check is only created.
    const { dtype, kvDtype } = cache.spec;
    const isChecked = cache.bytes <= 10_000 && dtype === "f32" && kvDtype === "f32";
    if (!isChecked) return cache.destroy();
    poison(cache);
    if (subjects.length === NUM_CACHES) {
      const [old] = subjects.splice(random.integer(0, NUM_CACHES - 1), 1);
      await old.transcript.check();
      old.cache.destroy();
    }
    const { window, overflow = window === undefined ? "error" : "wrap" } = options;
    subjects.push({ cache, transcript: new Transcript(cache), wraps: overflow === "wrap" });
  }

  async function append({ cache, transcript, wraps }: Subject, isWrong: boolean): Promise<void> {
    using tensors = new Tensors();
    const { batch, numKvHeads, headDim, valueDim, layout, capacity, sinks } = cache.spec;
    const { window = capacity } = cache.spec;
    const room = Math.min(...transcript.lengths.map((length) => capacity - length));
    const most = wraps ? Math.max(room, capacity - sinks - window + 1) : room;
    if (most < 1) return;
    const tokens = random.integer(1, Math.min(most, 4));
    const k = random.tensor(shapeOf(layout, { batch, heads: numKvHeads, tokens, size: headDim }));
    const v = random.tensor(shapeOf(layout, { batch, heads: numKvHeads, tokens, size: valueDim }));
    const lengths = random.next() < 0.5
      ? undefined
      : Array.from({ length: batch }, () => random.integer(0, tokens));
    let given = { k: await tensors.upload(k), v: await tensors.upload(v), lengths };
    if (isWrong) given = spoiled(random, given);
    let isDone = false;
    await encodeAlone(async (encoder) => {
      isDone = await attempts.of("append", isWrong, () =>
        cache.append(encoder, given)) !== undefined;
    });
    if (isDone) transcript.append(k, v, given.lengths);
  }

  async function truncate({ cache, transcript }: Subject, isWrong: boolean): Promise<void> {
    const sequence = random.integer(0, cache.spec.batch - 1);
    const least = transcript.leastLength(sequence);
    const length = random.integer(least, transcript.lengths[sequence]);
    let given: { length: number; sequence?: number } = { length, sequence };
    if (isWrong) given = spoiled(random, given);
    await encodeAlone(async (encoder) => {
      const done = await attempts.of(
        "truncate",
        isWrong,
        () => cache.truncate(encoder, given.length, given.sequence),
      );
      if (!done) return;
      const sequences = given.sequence === undefined ? transcript.lengths.keys() : [given.sequence];
      for (const sequence of sequences) transcript.truncate(given.length, sequence);
    });
  }

  async function fork({ cache, transcript }: Subject, isWrong: boolean): Promise<void> {
    const { batch } = cache.spec;
    // One sequence has no other to become.
    if (batch === 1 && !isWrong) return;
    const from = random.integer(0, batch - 1);
    let pair = { from, to: (from + random.integer(1, Math.max(1, batch - 1))) % batch };
    if (isWrong) pair = spoiled(random, pair);
    await encodeAlone(async (encoder) => {
      const done = await attempts.of("fork", isWrong, () => cache.fork(encoder, pair));
      if (done) transcript.fork(pair);
    });
  }

  async function clear({ cache, transcript }: Subject, isWrong: boolean): Promise<void> {
    const sequence = isWrong
      ? strange<number | undefined>(random)
      : random.pick([undefined, random.integer(0, cache.spec.batch - 1)]);
    await encodeAlone(async (encoder) => {
      const done = await attempts.of("clear", isWrong, () => cache.clear(encoder, sequence));
      if (done) transcript.clear(sequence);
    });
  }

  async function attendToCache({ cache, transcript }: Subject, isWrong: boolean): Promise<void> {
    using tensors = new Tensors();
    const { batch, numKvHeads, headDim, valueDim, layout, window } = cache.spec;
    const seqLen = transcript.intactQueries(random.integer(1, 3));
    if (seqLen === 0 || Math.max(...transcript.lengths) === 0) return;
    const numHeads = 2 * numKvHeads;
    const spec = {
      ...cache.spec,
      numHeads,
      seqLen,
      impl: random.pick(["fused", "staged"] as const),
    };
    const attention = tensors.keep(await Attention.create(gpu, spec));
    const q = random.tensor(
      shapeOf(layout, { batch, heads: numHeads, tokens: seqLen, size: headDim }),
    );
    const o = await tensors.poisoned(
      shapeOf(layout, { batch, heads: numHeads, tokens: seqLen, size: valueDim }),
    );
    let given = { q: await tensors.upload(q), cache, o };
    if (isWrong) given = spoiled(random, given);
    let isDone = false;
    await encodeAlone(async (encoder) => {
      const call = () => attention.encode(encoder, given);
      isDone = await attempts.of("encode", isWrong, call) !== undefined;
    });
    if (isDone) assertClose(await o.download(), transcript.attend(q, window), TOLERANCE.f32, "o");
  }

  async function snapshot({ cache, transcript }: Subject, isWrong: boolean): Promise<void> {
    const bytes = await cache.snapshot();
    if (!isWrong) {
      poison(cache);
      await attempts.of("restore", false, () => cache.restore(bytes));
      transcript.forgetUnstored();
      return;
    }
    const damaged = random.pick([
      () => bytes.with(random.integer(0, bytes.length - 1), random.integer(0, 255)),
      () => bytes.subarray(0, random.integer(0, bytes.length - 1)),
      () => strange<Uint8Array>(random),
    ])();
    const done = await attempts.of("restore", true, () => cache.restore(damaged));
    if (done) transcript.forgetUnstored();
  }

  async function attendAtOnce(isWrong: boolean): Promise<void> {
    let { inputs, options } = drawAttend(random);
    if (isWrong && random.next() < 0.5) inputs = spoiled(random, inputs);
    else if (isWrong) options = spoiled(random, options);
    const done = await attempts.of("attend", isWrong, () => attend(gpu, inputs, options));
    if (!done || Math.abs(options.scale ?? 0) > LARGEST_SCALE) return;
    const expected = referenceAttention(inputs, options).o;
    const tolerance = TOLERANCE[options.dtype ?? "f32"];
    // What f16 cannot hold, the reference is not told of.
    const rounding = options.dtype === "f16" ? 10 : 1;
    assertClose(
      done.value.o.data,
      expected,
      rounding * tolerance,
      `o of ${JSON.stringify(options)}`,
    );
  }

  async function plan(isWrong: boolean): Promise<void> {
    const drawn = drawSpec(random);
    const spec = isWrong ? spoiled(random, drawn) : drawn;
    // A rare one needs more scratch than it may have, rightly drawn as it is.
    await attempts.of("planAttention", true, () => planAttention(spec, gpu.device.limits));
  }

  async function tensor(isWrong: boolean): Promise<void> {
    let host: HostTensor = random.tensor(Array.from({ length: random.integer(1, 4) }, () => 2));
    let options = { dtype: "f32", label: "fuzz" } as const;
    if (isWrong && random.next() < 0.7) host = spoiled(random, host);
    else if (isWrong) options = spoiled(random, options);
    const made = await attempts.of(
      "Tensor.upload",
      isWrong,
      () => Tensor.upload(gpu, host, options),
    );
    if (!made) return;
    const elements = await made.value.download();
    made.value.destroy();
    const tolerance = (options.dtype as string) === "f16" ? 1e-3 : 0;
    assertClose(elements, Float32Array.from(host.data), tolerance, "what was uploaded");
  }

  /** Submits what a call encoded, whether it was refused or not. */
  async function encodeAlone(encode: (encoder: GPUCommandEncoder) => Promise<void>): Promise<void> {
    const encoder = gpu.device.createCommandEncoder();
    await encode(encoder);
    gpu.device.queue.submit([encoder.finish()]);
  }

  const ofCaches = [append, append, append, truncate, fork, clear, attendToCache, snapshot];
  const others = [createCache, attendAtOnce, plan, plan, tensor];
  try {
    await createCache(false);
    for (let done = 0; done < count; done++) {
      if (random.next() < 0.75) {
        await random.pick(ofCaches)(random.pick(subjects), isSpoiled());
      } else {
        await random.pick(others)(isSpoiled());
      }
      if (done % 100 === 99) {
        await gpu.settled();
        onCall?.(done + 1);
      }
    }
    for (const { transcript } of subjects) await transcript.check();
    await gpu.settled();
  } finally {
    for (const { cache } of subjects) cache.destroy();
  }
  return attempts.report;
}
