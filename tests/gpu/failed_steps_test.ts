// Whatever is made in several steps: where the device refuses any one of them, the others are freed.
import { assert, assertEquals } from "@std/assert";
import {
  attend,
  Attention,
  type Gpu,
  GpuWorkError,
  MergeStates,
  mergeStates,
  MultiQueryAttention,
  PagedKvCache,
  PagePool,
  RingKvCache,
  SharedPrefixAttention,
} from "../../mod.ts";
import { Decoder, type DecoderSpec } from "../../src/model/mod.ts";
import { randomWeights } from "../../src/model/random_weights.ts";
import { WeightMatrix } from "../../src/layer/weight_matrix.ts";
import { buffersOf } from "../support/buffers.ts";
import { sharedGpu } from "../support/gpu.ts";

const zeros = (...shape: number[]) => ({
  data: new Float32Array(shape.reduce((product, size) => product * size)),
  shape,
});
const CACHE = { batch: 2, numKvHeads: 2, headDim: 4, capacity: 8 };
const ATTENTION = { ...CACHE, numHeads: 4, alibiSlopes: [1, 2, 3, 4] };
const POOL = { layers: 2, numKvHeads: 2, headDim: 4, numPages: 3, pageSize: 4 };
const STATE = { o: zeros(1, 2, 4), lse: zeros(1, 2) };
const DECODER: DecoderSpec = {
  ...{ vocabSize: 8, dim: 4, hiddenDim: 8, numHeads: 2, numKvHeads: 1, headDim: 2, contextLen: 8 },
  layers: [{ rope: {} }],
  norm: { kind: "rms", eps: 1e-5 },
  ...{ activation: "silu", isGated: true, isParallel: false },
};

/** What is made, and destroyed again where that is the caller's to do. */
const MADE: Readonly<Record<string, (gpu: Gpu) => Promise<{ destroy(): void } | void>>> = {
  "RingKvCache.create()": (gpu) => RingKvCache.create(gpu, { ...CACHE, rope: {} }),
  "PagePool.create()": (gpu) => PagePool.create(gpu, POOL),
  "PagedKvCache.create()": async (gpu) => {
    const pool = await PagePool.create(gpu, POOL);
    try {
      (await PagedKvCache.create(pool, { capacity: 8, rope: {} })).destroy();
    } finally {
      pool.destroy();
    }
  },
  "Attention.create(), fused": (gpu) => Attention.create(gpu, { ...ATTENTION, impl: "fused" }),
  "Attention.create(), fused in slices": (gpu) =>
    Attention.create(gpu, { ...ATTENTION, impl: "fused", capacity: 10_000 }),
  "Attention.create(), staged": (gpu) =>
    Attention.create(gpu, { ...ATTENTION, impl: "staged", outputs: ["products"] }),
  "MergeStates.create()": (gpu) => MergeStates.create(gpu, { shape: [1, 2, 4] }),
  "SharedPrefixAttention.create()": (gpu) =>
    SharedPrefixAttention.create(gpu, { ...CACHE, numHeads: 4, prefix: { capacity: 5 } }),
  "MultiQueryAttention.create()": (gpu) => {
    const square = { weight: zeros(4, 4), bias: zeros(4) };
    const weights = { ...{ q: square, k: square, v: square, o: square }, qNorm: zeros(4) };
    const cache = { capacity: 8 };
    return MultiQueryAttention.create(gpu, weights, { dim: 4, numHeads: 1, headDim: 4, cache });
  },
  "WeightMatrix.upload()": (gpu) =>
    WeightMatrix.upload(gpu, zeros(8, 4), { dtype: "f32", label: "w", mostBytes: 32 }),
  "Decoder.create()": (gpu) => Decoder.create(gpu, DECODER, randomWeights(DECODER)),
  "attend()": async (gpu) => {
    const [q, k, v] = [zeros(1, 1, 2, 4), zeros(1, 3, 1, 4), zeros(1, 3, 1, 4)];
    await attend(gpu, { q, k, v }, { outputs: ["lse", "weights"] });
  },
  "mergeStates()": async (gpu) => {
    await mergeStates(gpu, [STATE, STATE]);
  },
};

for (const [name, make] of Object.entries(MADE)) {
  Deno.test(`a step of ${name} that the device refuses leaves nothing behind`, async () => {
    const gpu = await sharedGpu();
    const { made } = await buffersOf(async () => (await make(gpu))?.destroy());
    const steps = made.filter((label) => !/^(download|readback .*)$/.test(label)).length;
    assert(steps > 1, `${made}`);
    for (let refused = 0; refused < steps; refused++) {
      const { alive } = await buffersOf(async () => {
        const error = await make(gpu).then(() => "no error", (error) => error);
        assert(error instanceof GpuWorkError, `${made[refused]}: ${error}`);
      }, refused);
      const left = alive.filter((label) => label !== made[refused]);
      assertEquals(left, [], `after ${made[refused]} was refused`);
    }
  });
}
