/** One context on one device and over shards, verified and timed in turns. */
import { Attention, type Gpu, RingKvCache, Tensor } from "../../mod.ts";
import { inPass } from "../../src/gpu/bound_work.ts";
import { type Cluster, ShardedKv, ShardWorker } from "../../src/cluster/mod.ts";
import { lengthOfShard } from "../../src/cluster/shard_layout.ts";
import { Owned } from "../../src/gpu/owned.ts";
import { type Effort, roundsOf, sampleOf, wallTime, workOf } from "../stopwatch.ts";
import {
  errorOf,
  type MeasuredShards,
  type ShardSamples,
  type ShardShape,
  TOLERANCE,
} from "./result.ts";

/** Tokens of a page. */
const PAGE = 64;
/** Tokens that are appended in a call. */
const PORTION = 4096;

/** What is timed: attention over one cache, and over shards. */
interface Subjects {
  q: Tensor;
  /** Output of the latest call of one device. */
  o: Tensor;
  attend: (pass: GPUComputePassEncoder) => void;
  kv: ShardedKv;
  /** The new token. */
  last: { k: Float32Array; v: Float32Array };
}

/**
 * Fills a cache and the shards with the same random tokens, compares attention of the newest one, and times both in turns.
 *
 * @param join Makes a connection to the server that shards and reader meet at; its caller closes it.
 */
export async function measureShards(
  gpu: Gpu,
  join: () => Promise<Cluster>,
  { shape, contextLen, effort }: { shape: ShardShape; contextLen: number; effort: Effort },
): Promise<MeasuredShards> {
  const { shards, numHeads, numKvHeads, headDim } = shape;
  const heads = { layers: 1, numHeads, numKvHeads, headDim, valueDim: headDim };
  const spec = { ...heads, shards, page: PAGE, name: `bench-${crypto.randomUUID()}` };
  return await Owned.use(async (owned) => {
    await using started = new AsyncDisposableStack();
    const capacity = lengthOfShard(spec, 0, contextLen);
    for (let shard = 0; shard < shards; shard++) {
      const worker = await ShardWorker.start(await join(), gpu, { ...spec, shard, capacity });
      started.defer(() => worker.stop());
    }
    const kv = await ShardedKv.open(await join(), spec);
    const subjects = await fill(gpu, owned, kv, shape, contextLen);
    const error = await compare(gpu, subjects);
    if (!(error <= TOLERANCE)) return { contextLen, error };
    return { contextLen, error, samples: await timeInTurns(gpu, subjects, effort) };
  });
}

/** Gives the cache all tokens, and the shards all but the newest one. */
async function fill(
  gpu: Gpu,
  owned: Owned,
  kv: ShardedKv,
  { numHeads, numKvHeads, headDim }: ShardShape,
  contextLen: number,
): Promise<Subjects> {
  const row = numKvHeads * headDim;
  const cache = owned.keep(
    await RingKvCache.create(gpu, { numKvHeads, headDim, capacity: contextLen }),
  );
  const append = async (tokens: { k: Float32Array; v: Float32Array }) => {
    const shape = [1, tokens.k.length / row, numKvHeads, headDim];
    await Owned.use(async (uploaded) => {
      const upload = async (data: Float32Array) =>
        uploaded.keep(await Tensor.upload(gpu, { data, shape }));
      const [k, v] = [await upload(tokens.k), await upload(tokens.v)];
      await gpu.guard("append tokens", () => {
        const encoder = gpu.device.createCommandEncoder();
        cache.append(encoder, { k, v });
        gpu.device.queue.submit([encoder.finish()]);
      });
    });
  };
  for (let from = 0; from < contextLen - 1; from += PORTION) {
    const tokens = randomTokens(Math.min(PORTION, contextLen - 1 - from) * row);
    await append(tokens);
    await kv.extend(0, tokens);
  }
  const last = randomTokens(row);
  await append(last);
  const queries = { data: randomNumbers(numHeads * headDim), shape: [1, 1, numHeads, headDim] };
  const q = owned.keep(await Tensor.upload(gpu, queries));
  const o = owned.keep(await Tensor.empty(gpu, queries.shape));
  const attention = owned.keep(await Attention.create(gpu, { ...cache.spec, numHeads, seqLen: 1 }));
  const bound = attention.bind({ q, cache, o });
  return { q, o, attend: (pass) => bound.encode(pass), kv, last };
}

async function compare(gpu: Gpu, { q, o, attend, kv, last }: Subjects): Promise<number> {
  await gpu.guard("verify shards", () => {
    const encoder = gpu.device.createCommandEncoder();
    inPass(encoder, attend);
    gpu.device.queue.submit([encoder.finish()]);
  });
  const over = await kv.extend(0, { ...last, q: await q.download() });
  await kv.truncate(kv.length() - 1);
  return errorOf(await o.download(), over);
}

/** Times everything once a round; local attention as many times at once as make the wait at their end a small share. */
async function timeInTurns(
  gpu: Gpu,
  { q, attend, kv, last }: Subjects,
  effort: Effort,
): Promise<ShardSamples> {
  const samples: ShardSamples = { local: [], shards: [], read: [], round: [] };
  const attendAlone = workOf(gpu, attend);
  const { calls } = await sampleOf(attendAlone);
  const known = kv.length();
  const time = async (once: () => Promise<unknown>) =>
    await wallTime(async () => void await once(), 1);
  const round = async () => {
    samples.local.push(await wallTime(attendAlone, calls) / calls);
    samples.shards.push(
      await time(async () => kv.extend(0, { ...last, q: await q.download() })),
    );
    await kv.truncate(known);
    samples.round.push(await time(() => kv.truncate(known)));
    samples.read.push(await time(() => q.download()));
  };
  const rounds = roundsOf(await time(round), effort);
  for (const times of Object.values(samples)) times.length = 0;
  for (let i = 0; i < rounds; i++) await round();
  return samples;
}

function randomTokens(elements: number) {
  return { k: randomNumbers(elements), v: randomNumbers(elements) };
}

function randomNumbers(count: number): Float32Array {
  return Float32Array.from({ length: count }, () => 2 * Math.random() - 1);
}
