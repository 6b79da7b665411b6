// Calls that must survive the loss of their device, and the loss.
import { assert } from "@std/assert";
import {
  attend,
  Attention,
  DeviceLostError,
  type Gpu,
  mergeStates,
  MultiQueryAttention,
  PagedKvCache,
  PagePool,
  RingKvCache,
  SharedPrefixAttention,
  Tensor,
} from "../../mod.ts";
import { Batch } from "../../src/model/batch.ts";
import { Decoder } from "../../src/model/decoder.ts";
import { weightsOf as layerWeights } from "./layer.ts";
import { type Loss, openLosing } from "./losing_device.ts";
import { TINY, weightsOf } from "./models.ts";
import type { Random } from "./random.ts";

const HEADS = { numHeads: 2, numKvHeads: 1, headDim: 4 };
const CACHE = { numKvHeads: 1, headDim: 4, capacity: 8, rope: {} };
const POOL = { layers: 2, numKvHeads: 1, headDim: 4, numPages: 4, pageSize: 4 };
const LAYER = { dim: 8, ...HEADS };

/** A call that must survive the loss of its device, after what it needs has been made. */
export type Prepare = (gpu: Gpu, random: Random) => Promise<() => Promise<unknown>>;

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

/** Fails instead of hanging. */
async function within<Value>(ms: number, pending: Promise<Value>, what: string): Promise<Value> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${what} hangs`)), ms);
  try {
    return await Promise.race([pending, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs a call whose device is lost at a moment; returns the number of moments that passed. */
export async function loseAt(
  moment: number,
  loss: Loss,
  prepare: Prepare,
  random: Random,
): Promise<number> {
  const losing = await openLosing(loss);
  try {
    const call = await prepare(losing.gpu, random);
    losing.start(moment);
    const [outcome] = await within(5000, Promise.allSettled([call()]), `moment ${moment}`);
    const isFulfilled = outcome.status === "fulfilled";
    if (losing.passed <= moment) assert(isFulfilled, `nothing is lost: ${outcomeText(outcome)}`);
    else {
      // A runtime that does not know of the loss yet may bring the last results.
      const isRight = isFulfilled
        ? loss.by === "itself"
        : outcome.reason instanceof DeviceLostError;
      assert(isRight, `lost at moment ${moment}: ${outcomeText(outcome)}`);
    }
    return losing.passed;
  } finally {
    losing.gpu.destroy();
  }
}

function outcomeText(outcome: PromiseSettledResult<unknown>): string {
  return outcome.status === "fulfilled" ? "it resolved" : outcome.reason.stack;
}

/** Runs a test and returns the rejections that nobody handled. */
export async function unhandled(test: () => Promise<void>): Promise<unknown[]> {
  const reasons: unknown[] = [];
  const listen = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    reasons.push(event.reason);
  };
  addEventListener("unhandledrejection", listen);
  try {
    await test();
    // The runtime tells them after the tasks that are under way.
    await new Promise((resolve) => setTimeout(resolve, 50));
  } finally {
    removeEventListener("unhandledrejection", listen);
  }
  return reasons;
}
