// Calls that must survive the loss of their device.
import {
  attend,
  Attention,
  AttentionGradient,
  BlockMask,
  type Gpu,
  LatentAttention,
  MergeStates,
  mergeStates,
  MultiQueryAttention,
  PagedKvCache,
  PagePool,
  RingKvCache,
  SharedPrefixAttention,
  Tensor,
} from "../../mod.ts";
import { ShardAttention } from "../../src/cluster/shard_attention.ts";
import { Batch } from "../../src/model/batch.ts";
import { Decoder } from "../../src/model/decoder.ts";
import { drawCalibration, mergeDecoder } from "../../src/model/mod.ts";
import { Trainer } from "../../src/train/mod.ts";
import { matrix, weightsOf as layerWeights } from "./layer.ts";
import type { Prepare } from "./loss.ts";
import { TINY, weightsOf } from "./models.ts";
import type { Random } from "./random.ts";
import { HostKv } from "./remote_kv.ts";

const HEADS = { numHeads: 2, numKvHeads: 1, headDim: 4 };
const CACHE = { numKvHeads: 1, headDim: 4, capacity: 8, rope: {} };
const POOL = { layers: 2, numKvHeads: 1, headDim: 4, numPages: 4, pageSize: 4 };
const LAYER = { dim: 8, ...HEADS };
const EVEN = "fn even(at: ScoreAt) -> bool {\n  return (at.key & 1) == 0;\n}";
const MASKED = { ...HEADS, capacity: 3, seqLen: 3, maskMod: { name: "even", wgsl: EVEN } };
const BIASED = {
  name: "biased",
  wgsl: "fn biased(score: f32, at: ScoreAt) -> f32 { return score + biases[at.head]; }",
  tensors: { biases: { shape: [2] } },
};
const LATENT = { dim: 8, numHeads: 2, nopeDim: 4, ropeDim: 2, valueDim: 4, rank: 4 };
const SHARD = { ...HEADS, layers: 1, valueDim: 4, shards: 1, page: 8 };
const STORED = { capacity: 8, kvDtype: "f32" } as const;
const UNGROUPED = { ...TINY, numHeads: 2, numKvHeads: 2 };
const TRAINING = { steps: 2, batch: 1, seqLen: 3 };

const at = <Made>(make: () => Promise<Made>) => Promise.resolve(make);

export const CALLS: Readonly<Record<string, Prepare>> = {
  "Tensor.empty": (gpu) => at(() => Tensor.empty(gpu, [3])),
  "Tensor.upload": (gpu) => at(() => Tensor.upload(gpu, { data: [1, 2], shape: [2] })),
  "Tensor.download": async (gpu) => {
    const tensor = await Tensor.upload(gpu, { data: [1, 2], shape: [2] });
    return () => tensor.download();
  },
  "Gpu.settled": (gpu) => at(() => gpu.settled()),
  "Gpu.guard": (gpu) => at(() => gpu.guard("do nothing", () => {})),
  "attend, arrays": (gpu, random) =>
    at(() => attend(gpu, tokens(random), { outputs: ["weights", "lse"] })),
  "attend, tensors": async (gpu, random) => {
    const { q, k, v } = tokens(random);
    const inputs = {
      q: await Tensor.upload(gpu, q),
      k: await Tensor.upload(gpu, k),
      v: await Tensor.upload(gpu, v),
    };
    return () => attend(gpu, inputs);
  },
  "Attention.create": (gpu) =>
    at(() => Attention.create(gpu, { ...HEADS, capacity: 9, alibiSlopes: [0.5, 0.25] })),
  "Attention.create, staged": (gpu) =>
    at(() => Attention.create(gpu, { ...HEADS, capacity: 9, impl: "staged" })),
  "SharedPrefixAttention.create": (gpu) =>
    at(() => SharedPrefixAttention.create(gpu, { ...HEADS, capacity: 3, prefix: { capacity: 5 } })),
  "RingKvCache.create": (gpu) => at(() => RingKvCache.create(gpu, CACHE)),
  "RingKvCache.snapshot": async (gpu, random) => {
    const cache = await filledCache(gpu, random);
    return () => cache.snapshot();
  },
  "RingKvCache.restore, a new one": async (gpu, random) => {
    const saved = await (await filledCache(gpu, random)).snapshot();
    return () => RingKvCache.restore(gpu, saved);
  },
  "RingKvCache.restore, the same": async (gpu, random) => {
    const cache = await filledCache(gpu, random);
    const saved = await cache.snapshot();
    return () => cache.restore(saved);
  },
  "PagePool.create": (gpu) => at(() => PagePool.create(gpu, POOL)),
  "PagedKvCache.create": async (gpu) => {
    const pool = await PagePool.create(gpu, POOL);
    return () => PagedKvCache.create(pool, { batch: 2, capacity: 8, rope: {} });
  },
  "PagedKvCache, a step": async (gpu, random) => {
    const pool = await PagePool.create(gpu, POOL);
    const cache = await PagedKvCache.create(pool, { batch: 2, capacity: 8 });
    const k = await Tensor.upload(gpu, random.tensor([2, 1, 1, 4]));
    return async () => {
      const encoder = gpu.device.createCommandEncoder();
      cache.extend(encoder, [1, 1]);
      for (const layer of cache.layers) layer.append(encoder, { k, v: k });
      gpu.device.queue.submit([encoder.finish()]);
      await gpu.settled();
    };
  },
  "PagedKvCache.snapshot": async (gpu, random) => {
    const cache = await pagedCache(gpu, random);
    return () => cache.snapshot();
  },
  "PagedKvCache.restore": async (gpu, random) => {
    const cache = await pagedCache(gpu, random);
    const saved = await cache.snapshot();
    return () => PagedKvCache.restore(cache.pool, saved);
  },
  "mergeStates": (gpu, random) => {
    const state = () => ({ o: random.tensor([1, 2, 3]), lse: random.tensor([1, 2]) });
    const states = [state(), state()];
    return at(() => mergeStates(gpu, states));
  },
  "MultiQueryAttention.create": (gpu, random) => {
    const weights = layerWeights(random, LAYER);
    return at(() => MultiQueryAttention.create(gpu, weights, { ...LAYER, cache: { capacity: 8 } }));
  },
  "MultiQueryAttention.forward": async (gpu, random) => {
    const options = { ...LAYER, cache: { capacity: 8, rope: {} } };
    const layer = await MultiQueryAttention.create(gpu, layerWeights(random, LAYER), options);
    const x = random.tensor([1, 2, 8]);
    return () => layer.forward(x);
  },
  "Batch.create": (gpu, random) => {
    const weights = weightsOf(TINY, random);
    return at(() => Batch.create(gpu, TINY, weights));
  },
  "Batch.add": async (gpu, random) => {
    const batch = await Batch.create(gpu, TINY, weightsOf(TINY, random), { maxSequences: 2 });
    return async () => {
      await Promise.all([1, 2, 3].map(async (maxTokens) => {
        for await (const _ of batch.add({ tokens: [0, 1], maxTokens }));
      }));
      // Pages go back when the tokens have come already.
      await gpu.settled();
    };
  },
  "Decoder.create": (gpu, random) => {
    const weights = weightsOf(TINY, random);
    return at(() => Decoder.create(gpu, TINY, weights));
  },
  "Decoder.feed": async (gpu, random) => {
    const decoder = await Decoder.create(gpu, TINY, weightsOf(TINY, random));
    return () => decoder.feed([0, 1]);
  },
  "Decoder.forward": async (gpu, random) => {
    const decoder = await Decoder.create(gpu, TINY, weightsOf(TINY, random));
    return () => decoder.forward([0, 1, 2]);
  },
  "Decoder.truncate": async (gpu, random) => {
    const decoder = await Decoder.create(gpu, TINY, weightsOf(TINY, random));
    await decoder.feed([0, 1]);
    return () => decoder.truncate(1);
  },
  "Decoder.generate": async (gpu, random) => {
    const decoder = await Decoder.create(gpu, TINY, weightsOf(TINY, random));
    await decoder.feed([0]);
    return () => Array.fromAsync(decoder.generate({ tokens: 3, batch: 2, temperature: 1 }));
  },
};

/** Calls that take longer to prepare. */
export const LONG_CALLS: Readonly<Record<string, Prepare>> = {
  "AttentionGradient.create": (gpu) => at(() => AttentionGradient.create(gpu, MASKED)),
  "AttentionGradient, a step": async (gpu, random) => {
    const gradient = await AttentionGradient.create(gpu, { ...HEADS, capacity: 3, seqLen: 3 });
    const { q, k, v } = tokens(random);
    const upload = (host: typeof q) => Tensor.upload(gpu, host);
    const given = { q: await upload(q), k: await upload(k), v: await upload(v) };
    const o = { ...given, o: await upload(q), dO: await upload(q), dq: await upload(q) };
    const lse = await Tensor.upload(gpu, random.tensor([1, 3, 2]));
    const all = { ...o, lse, dk: await upload(k), dv: await upload(v) };
    return () =>
      gpu.guard("step", () => {
        const encoder = gpu.device.createCommandEncoder();
        gradient.encode(encoder, all);
        gpu.device.queue.submit([encoder.finish()]);
      });
  },
  "Attention.create, functions of scores": (gpu) =>
    at(() => Attention.create(gpu, { ...MASKED, scoreMod: BIASED, blockMask: true })),
  "attend, functions of scores": (gpu, random) => {
    const inputs = { ...tokens(random), modTensors: { biases: random.tensor([2]) } };
    return at(() => attend(gpu, inputs, { scoreMod: BIASED, maskMod: MASKED.maskMod }));
  },
  "BlockMask.create": (gpu) => at(() => BlockMask.create(gpu, MASKED)),
  "BlockMask.counts": async (gpu) => {
    const mask = await BlockMask.create(gpu, MASKED);
    return async () => {
      const encoder = gpu.device.createCommandEncoder();
      mask.encode(encoder, {});
      gpu.device.queue.submit([encoder.finish()]);
      await mask.counts();
    };
  },
  "MergeStates.create": (gpu) => at(() => MergeStates.create(gpu, { shape: [1, 2, 3] })),
  "LatentAttention.create": (gpu, random) => at(() => latentAttention(gpu, random)),
  "LatentAttention.forward": async (gpu, random) => {
    const layer = await latentAttention(gpu, random);
    const x = random.tensor([1, 2, LATENT.dim]);
    return () => layer.forward(x);
  },
  "ShardAttention.create": (gpu) => at(() => ShardAttention.create(gpu, SHARD, STORED)),
  "ShardAttention.extend": async (gpu, random) => {
    const shard = await ShardAttention.create(gpu, SHARD, STORED);
    const { q, k, v } = tokens(random);
    const work = { appended: 3, queries: 3, isCausal: true };
    return async () => {
      await shard.extend(0, work, { q: q.data, k: k.data, v: v.data });
      await shard.truncate(1);
    };
  },
  "ShardAttention, a snapshot and back": async (gpu, random) => {
    const shard = await ShardAttention.create(gpu, SHARD, STORED);
    const { q, k, v } = tokens(random);
    const work = { appended: 3, queries: 0, isCausal: true };
    await shard.extend(0, work, { q: q.data.slice(0, 0), k: k.data, v: v.data });
    return async () => shard.restore(0, await shard.snapshot(0));
  },
  "RingKvCache.calibrate": async (gpu, random) => {
    const cache = await filledCache(gpu, random);
    return () => cache.calibrate();
  },
  "Decoder.calibrate": async (gpu, random) => {
    const decoder = await Decoder.create(gpu, TINY, weightsOf(TINY, random));
    await decoder.feed([0, 1, 2]);
    return () => decoder.calibrate();
  },
  "Decoder over a remote cache": async (gpu, random) => {
    const { numHeads, numKvHeads, headDim, layers } = TINY;
    const shape = { numHeads, numKvHeads, headDim, valueDim: headDim, layers: layers.length };
    const decoder = await Decoder.create(gpu, TINY, weightsOf(TINY, random), {
      kv: new HostKv(shape),
    });
    return async () => {
      await decoder.feed([0, 1, 2]);
      await decoder.truncate(2);
      await decoder.feed([1]);
      await Array.fromAsync(decoder.generate({ tokens: 2 }));
    };
  },
  "Decoder.generate, drafts": async (gpu, random) => {
    const decoder = await Decoder.create(gpu, TINY, weightsOf(TINY, random));
    await decoder.feed([0, 1, 0, 1]);
    return () => Array.fromAsync(decoder.generate({ tokens: 4, speculate: "lookup" }));
  },
  "Batch.add, all ways of choosing": async (gpu, random) => {
    const batch = await Batch.create(gpu, TINY, weightsOf(TINY, random), { maxSequences: 2 });
    return async () => {
      const drawn = { temperature: 0.7, seed: 3, topK: 2, topP: 0.9, minP: 0.1 };
      const adjusted = { presencePenalty: 1, frequencyPenalty: 1, logitBias: new Map([[1, 2]]) };
      const asked = { tokens: [0, 1], maxTokens: 2, logprobs: 1, ...drawn, ...adjusted };
      await Promise.all([asked, { ...asked, logprobs: 2, seed: 4 }].map(async (options) => {
        for await (const _ of batch.add(options));
      }));
      await gpu.settled();
    };
  },
  "mergeDecoder": (gpu, random) => {
    const decoder = { spec: UNGROUPED, weights: weightsOf(UNGROUPED, random) };
    return at(() => mergeDecoder(gpu, decoder, { kvHeads: 1, calibration: [[0, 1, 2]] }));
  },
  "drawCalibration": (gpu, random) => {
    const decoder = { spec: TINY, weights: weightsOf(TINY, random) };
    return at(() => drawCalibration(gpu, decoder, { begin: [1], sequences: 2, seqLen: 4 }));
  },
  "Trainer.create": (gpu, random) => {
    const weights = weightsOf(TINY, random);
    return at(() => Trainer.create(gpu, TINY, weights, TRAINING));
  },
  "Trainer.train, from a teacher": async (gpu, random) => {
    const teacher = { spec: UNGROUPED, weights: weightsOf(UNGROUPED, random) };
    const trainer = await Trainer.create(gpu, TINY, weightsOf(TINY, random), {
      ...{ ...TRAINING, teacher, recompute: true },
    });
    return () => trainer.train([[0, 1, 2, 0]]);
  },
  "Trainer.train": async (gpu, random) => {
    const trainer = await Trainer.create(gpu, TINY, weightsOf(TINY, random), TRAINING);
    return () => trainer.train([[0, 1, 2, 0]]);
  },
  "Trainer.evaluate": async (gpu, random) => {
    const trainer = await Trainer.create(gpu, TINY, weightsOf(TINY, random), TRAINING);
    return () => trainer.evaluate([[0, 1, 2, 0]]);
  },
  "Trainer.weights": async (gpu, random) => {
    const trainer = await Trainer.create(gpu, TINY, weightsOf(TINY, random), TRAINING);
    return async () => (await trainer.weights()).read("layers.0.q.weight");
  },
  "Trainer.save and resume": async (gpu, random) => {
    const trainer = await Trainer.create(gpu, TINY, weightsOf(TINY, random), TRAINING);
    return async () => trainer.resume(await trainer.save());
  },
};

function latentAttention(gpu: Gpu, random: Random): Promise<LatentAttention> {
  const { dim, numHeads, nopeDim, ropeDim, valueDim, rank } = LATENT;
  const weight = (rows: number, columns: number) => ({ weight: matrix(random, rows, columns) });
  const weights = {
    q: weight(numHeads * (nopeDim + ropeDim), dim),
    kvDown: weight(rank + ropeDim, dim),
    kvNorm: random.tensor([rank]),
    kvUp: weight(numHeads * (nopeDim + valueDim), rank),
    o: weight(dim, numHeads * valueDim),
  };
  return LatentAttention.create(gpu, weights, { ...LATENT, cache: { capacity: 8 } });
}

function tokens(random: Random) {
  const [q, k, v] = [2, 1, 1].map((heads) => random.tensor([1, 3, heads, 4]));
  return { q, k, v };
}

async function filledCache(gpu: Gpu, random: Random): Promise<RingKvCache> {
  const cache = await RingKvCache.create(gpu, CACHE);
  const { k, v } = tokens(random);
  const encoder = gpu.device.createCommandEncoder();
  cache.append(encoder, { k: await Tensor.upload(gpu, k), v: await Tensor.upload(gpu, v) });
  gpu.device.queue.submit([encoder.finish()]);
  return cache;
}

async function pagedCache(gpu: Gpu, random: Random): Promise<PagedKvCache> {
  const pool = await PagePool.create(gpu, POOL);
  const cache = await PagedKvCache.create(pool, { batch: 2, capacity: 8 });
  const k = await Tensor.upload(gpu, random.tensor([2, 1, 1, 4]));
  const encoder = gpu.device.createCommandEncoder();
  cache.extend(encoder, [1, 1]);
  for (const layer of cache.layers) layer.append(encoder, { k, v: k });
  gpu.device.queue.submit([encoder.finish()]);
  return cache;
}
