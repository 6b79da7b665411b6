/** A small ring that is appended to for a long time: neither memory nor error may grow. */
import { Attention, type Gpu, referenceAttention, RingKvCache, Tensor } from "../../mod.ts";
import { growsThroughout } from "../support/memory.ts";
import type { Random } from "../support/random.ts";

/** How it went, up to a checkpoint. */
export interface Checkpoint {
  /** Tokens that every sequence has appended so far, at least. */
  tokens: number;
  /** Appends so far. */
  appends: number;
  /** Largest difference from the float64 reference since the last checkpoint. */
  error: number;
  /** Resident memory of the process, in bytes. */
  rss: number;
}

/** What a soak runs over. */
export interface SoakOptions {
  /** Tokens to append to each sequence. */
  tokens: number;
  /** Checkpoints to report. */
  checkpoints: number;
  /** Called at each of them. */
  onCheckpoint?(checkpoint: Checkpoint): void;
}

const SHAPE = { batch: 2, numKvHeads: 2, headDim: 16, capacity: 63, window: 48, maxSeqLen: 16 };
const NUM_HEADS = 4;
const ATTENTIONS = [{ seqLen: 1, impl: "staged" }, { seqLen: 5, impl: "fused" }] as const;
/** Attention is compared this often between two checkpoints. */
const SAMPLES = 10;

/** Keys and values of one token, [numKvHeads, headDim]. */
type Token = Record<"k" | "v", Float32Array>;

/**
 * Appends in batches of random sizes, at times of different lengths per sequence, at times taking some of them back, and at
 * each checkpoint goes on in a cache that was restored from a snapshot of the last one.
 */
export async function soak(
  gpu: Gpu,
  random: Random,
  { tokens, checkpoints, onCheckpoint }: SoakOptions,
): Promise<Checkpoint[]> {
  const { batch, numKvHeads, headDim, capacity, window, maxSeqLen } = SHAPE;
  let cache = await RingKvCache.create(gpu, SHAPE);
  const attentions = await Promise.all(
    ATTENTIONS.map((given) =>
      Attention.create(gpu, { ...cache.spec, numHeads: NUM_HEADS, ...given })
    ),
  );
  // The last tokens of each sequence: a ring's capacity is more than any query sees.
  const recent: Token[][] = Array.from({ length: batch }, () => []);
  const reports: Checkpoint[] = [];
  let [appends, error] = [0, 0];
  const shortest = () => Math.min(...recent.map((_, b) => cache.length(b)));

  for (let checkpoint = 1; checkpoint <= checkpoints; checkpoint++) {
    for (let sample = 1; sample <= SAMPLES; sample++) {
      const done = (checkpoint - 1 + sample / SAMPLES) / checkpoints;
      while (shortest() < done * tokens) {
        await append();
        appends++;
      }
      for (const attention of attentions) error = Math.max(error, await errorOf(attention));
    }
    const restored = await RingKvCache.restore(gpu, await cache.snapshot());
    cache.destroy();
    cache = restored;
    collectGarbage();
    const report = { tokens: shortest(), appends, error, rss: Deno.memoryUsage().rss };
    error = 0;
    reports.push(report);
    onCheckpoint?.(report);
  }
  for (const made of [cache, ...attentions]) made.destroy();
  return reports;

  async function append(): Promise<void> {
    const seqLen = random.integer(1, maxSeqLen);
    const shape = [batch, seqLen, numKvHeads, headDim];
    const host = { k: random.tensor(shape), v: random.tensor(shape) };
    const lengths = random.next() < 0.25
      ? Array.from({ length: batch }, () => random.integer(0, seqLen))
      : undefined;
    const k = await Tensor.upload(gpu, host.k);
    const v = await Tensor.upload(gpu, host.v);
    const encoder = gpu.device.createCommandEncoder();
    cache.append(encoder, { k, v, lengths });
    recent.forEach((sequence, b) => {
      const size = numKvHeads * headDim;
      for (let t = 0; t < (lengths?.[b] ?? seqLen); t++) {
        const start = (b * seqLen + t) * size;
        sequence.push({
          k: host.k.data.slice(start, start + size),
          v: host.v.data.slice(start, start + size),
        });
      }
      const taken = lengths?.[b] ?? seqLen;
      const rejected = random.next() < 0.25 ? random.integer(0, taken) : 0;
      if (rejected > 0) {
        cache.truncate(encoder, cache.length(b) - rejected, b);
        sequence.splice(-rejected);
      }
      sequence.splice(0, sequence.length - capacity);
    });
    gpu.device.queue.submit([encoder.finish()]);
    k.destroy();
    v.destroy();
  }

  async function errorOf(attention: Attention): Promise<number> {
    const { seqLen } = attention.plan.spec;
    // After a rollback the ring may lack what earlier queries saw: a whole batch makes all of them new.
    const hasAll = recent.every((_, b) =>
      cache.oldest(b) <= Math.max(0, cache.length(b) - seqLen + 1 - window)
    );
    if (!hasAll) return 0;
    const q = random.tensor([batch, seqLen, NUM_HEADS, headDim]);
    const queries = await Tensor.upload(gpu, q);
    const o = await Tensor.empty(gpu, q.shape);
    const encoder = gpu.device.createCommandEncoder();
    attention.encode(encoder, { q: queries, cache, o });
    gpu.device.queue.submit([encoder.finish()]);
    const actual = await o.download();
    queries.destroy();
    o.destroy();
    const size = actual.length / batch;
    let most = 0;
    recent.forEach((sequence, b) => {
      const tensor = (name: "k" | "v") => ({
        data: Float32Array.from(sequence.flatMap((token) => [...token[name]])),
        shape: [1, sequence.length, numKvHeads, headDim],
      });
      const own = { data: q.data.subarray(b * size, (b + 1) * size), shape: q.shape.with(0, 1) };
      const inputs = { q: own, k: tensor("k"), v: tensor("v") };
      const expected = referenceAttention(inputs, { window }).o;
      expected.forEach((value, i) => {
        const difference = Math.abs(actual[b * size + i] - value);
        most = Math.max(most, Number.isNaN(difference) ? Infinity : difference);
      });
    });
    return most;
  }
}

/** What WebGPU's objects leave behind goes when the runtime likes: measured is what stays. Needs --expose-gc. */
function collectGarbage(): void {
  (globalThis as { gc?(): void }).gc?.();
}

/** Why a soak has failed; nothing where it has not. */
export function faultsOf(reports: readonly Checkpoint[], tolerance: number): string[] {
  const faults = reports.filter(({ error }) => !(error > 0 && error <= tolerance)).map((
    { tokens, error },
  ) => `error of ${error} after ${tokens} tokens`);
  const most = (list: readonly Checkpoint[]) => Math.max(...list.map(({ error }) => error));
  const half = Math.ceil(reports.length / 2);
  const [early, late] = [reports.slice(0, half), reports.slice(half)];
  if (most(late) > 2 * most(early)) {
    faults.push(`error grew from ${most(early)} to ${most(late)}`);
  }
  // 800,000 tokens add nothing to 280,000.
  if (growsThroughout(reports.map(({ rss }) => rss))) {
    faults.push(`rss grew from ${reports[0].rss} to ${reports.at(-1)!.rss}`);
  }
  return faults;
}
