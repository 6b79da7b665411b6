// A right call of whatever is public, for tests that make it wrong.
import * as library from "../../mod.ts";
import * as checkpoints from "../../src/checkpoints/mod.ts";
import * as model from "../../src/model/mod.ts";
import * as train from "../../src/train/mod.ts";
import { llama2c, safetensors } from "./checkpoint_files.ts";
import { weightsOf as layerWeights } from "./layer.ts";
import { TINY, weightsOf } from "./models.ts";
import { randomCalibration } from "./kv_transform.ts";
import type { Random } from "./random.ts";
import { submit } from "./run.ts";
import { tokenizerFile } from "./tokenizer_file.ts";
import { LLAMA_JSON } from "./tokenizer_json.ts";

/** What is called, and what it is called with. */
export interface RightCalls {
  /** Arguments by name: of a function, of `Class.static`, of `new Class`, and of `Class#method`. */
  given: Readonly<Record<string, readonly unknown[]>>;
  /** One of each class whose methods are called. */
  instances: Readonly<Record<string, object>>;
}

const LIMITS = {
  ...{ maxStorageBufferBindingSize: 2 ** 27, maxComputeInvocationsPerWorkgroup: 256 },
  ...{ maxComputeWorkgroupStorageSize: 2 ** 14, maxComputeWorkgroupsPerDimension: 65535 },
};
const SPEC = { numHeads: 2, numKvHeads: 1, headDim: 4, capacity: 3, seqLen: 3 };
const MASKED = {
  ...SPEC,
  maskMod: { name: "even", wgsl: "fn even(at: ScoreAt) -> bool {\n  return (at.key & 1) == 0;\n}" },
};
const CACHE = { numKvHeads: 1, headDim: 4, capacity: 8, maxSeqLen: 3, rope: { base: 100 } };
const POOL = { layers: 1, numKvHeads: 1, headDim: 4, numPages: 4, pageSize: 4 };
const LAYER = { dim: 8, numHeads: 2, numKvHeads: 2, headDim: 4 };
const SHAPE = { numLayers: 1, numKvHeads: 1, headDim: 4 };
const BUDGET = { memoryBytes: 2 ** 20, weightBytes: 1, activationBytes: 1 };
const RATES = { bytesPerSecond: 1e9, flopsPerSecond: 1e9 };
const LATENT = { numHeads: 2, nopeDim: 4, ropeDim: 2, valueDim: 4, rank: 4 };
const QKV = { numHeads: 2, numKvHeads: 1, headDim: 2, arrangement: "concatenated" };
const MERGE = { numHeads: 2, from: 2, to: 1, headDim: 4, rounds: 1 };
/** A model that can have fewer KV heads, and be written. */
const WIDE: model.DecoderSpec = {
  ...{ ...TINY, numHeads: 2, numKvHeads: 2, isGated: true },
  layers: [{ rope: { style: "halves", base: 100 } }],
  norm: { kind: "rms", eps: 1e-5 },
};
const GEMMA = {
  ...{ model_type: "gemma3_text", vocab_size: 3, hidden_size: 8, intermediate_size: 8 },
  ...{ num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 4 },
  sliding_window: 512,
};
const TRAINING = { seqLen: 3, batch: 1, steps: 2 };

/** Right calls on a device; what they need is made once, and goes with the device. Files lie in an empty folder. */
export async function rightCalls(
  gpu: library.Gpu,
  random: Random,
  folder: string,
): Promise<RightCalls> {
  const host = (heads: number) => random.tensor([1, 3, heads, 4]);
  const inputs = { q: host(2), k: host(1), v: host(1) };
  const upload = (tensor: library.HostTensor) => library.Tensor.upload(gpu, tensor);
  const [q, k, v, o] = await Promise.all([inputs.q, inputs.k, inputs.v, inputs.q].map(upload));
  const [lse, otherLse] = await Promise.all(
    [[1, 3, 2], [1, 3, 2]].map((shape) => upload(random.tensor(shape))),
  );
  const pair = {
    k: await upload(random.tensor([2, 3, 1, 4])),
    v: await upload(random.tensor([2, 3, 1, 4])),
    q: await upload(random.tensor([2, 3, 2, 4])),
  };
  const modTensors = {};
  const queries = { seqLen: 1, sinks: 0 };

  const cache = await library.RingKvCache.create(gpu, { ...CACHE, batch: 2 });
  const { k: keys, v: values } = pair;
  await submit((encoder) => cache.append(encoder, { k: keys, v: values }));
  const snapshot = await cache.snapshot();
  const pool = await library.PagePool.create(gpu, POOL);
  const paging = { batch: 2, capacity: 8, maxSeqLen: 3, rope: { base: 100 } };
  const paged = await library.PagedKvCache.create(pool, paging);
  const integers = await library.PagePool.create(gpu, { ...POOL, kvDtype: "int8" });
  const kvCalibration = randomCalibration(random, { ...POOL, valueDim: POOL.headDim });
  const { layers, numKvHeads, headDim } = TINY;
  const layerCalibrations = layers.map(() =>
    randomCalibration(random, { numKvHeads, headDim, valueDim: headDim })
  );
  const transformed = {
    kvDtype: "int8",
    kvCalibration: layerCalibrations,
    kvRotation: "hadamard",
  } as const;
  const pagedSnapshot = await paged.snapshot();
  const encoder = gpu.device.createCommandEncoder();
  paged.extend(encoder, [3, 0]);
  const sharedPrefix = { ...SPEC, prefix: { capacity: 3 } };
  const shared = { q, prefix: { k, v }, suffix: { k, v }, o, lse };
  const [dq, dk, dv] = await Promise.all([inputs.q, inputs.k, inputs.v].map(upload));
  const gradients = { q, k, v, o, lse, dO: q, dq, dk, dv };
  const weights = layerWeights(random, LAYER);
  const layerOptions = { ...LAYER, cache: { capacity: 8 } };
  const x = random.tensor([1, 2, 8]);
  const tensors = { x: await upload(x), y: await upload(x) };
  const part = (rows: number, columns: number) => ({ weight: random.tensor([rows, columns]) });
  const latentWeights = {
    ...{ q: part(12, 8), kvDown: part(6, 8), kvNorm: random.tensor([4]), kvUp: part(16, 4) },
    o: part(8, 8),
  };
  const latentOptions = { ...LATENT, dim: 8, cache: { capacity: 8 } };
  const state = { o: inputs.q, lse: random.tensor([1, 3, 2]) };
  const states = [{ o, lse }, { o: q, lse: otherLse }];
  const tinyWeights = weightsOf(TINY, random);
  const wide = { spec: WIDE, weights: weightsOf(WIDE, random) };
  const decoder = await model.Decoder.create(gpu, TINY, tinyWeights);
  const trainer = await train.Trainer.create(gpu, TINY, tinyWeights, TRAINING);
  const tokenizer = { decode: (tokens: readonly number[]) => String(tokens) };
  const text = new TextEncoder().encode(JSON.stringify(LLAMA_JSON));
  const file = safetensors({ a: random.tensor([2]) });
  const bytes = checkpoints.bytesInMemory("file", file);
  const index = new TextEncoder().encode(JSON.stringify({ weight_map: { a: "a.safetensors" } }));
  const indexed = checkpoints.bytesInMemory("index", index);
  const openShard = () => Promise.resolve(checkpoints.bytesInMemory("a.safetensors", file));
  const model2c = checkpoints.bytesInMemory("model.bin", llama2c([2, 2, 1, 1, 1, 3, 8], 56));
  const pieces = tokenizerFile(["a"]);
  const tokenizer2c = checkpoints.bytesInMemory("tokenizer.bin", pieces);
  const checkpoint = { ...wide, endOfText: [0], close: () => Promise.resolve() };

  const allocator = new library.PageAllocator(4);
  allocator.take(1); // page 0, which calls hold and let go

  const instances = {
    Attention: await library.Attention.create(gpu, SPEC),
    AttentionGradient: await library.AttentionGradient.create(gpu, SPEC),
    Batch: await model.Batch.create(gpu, TINY, tinyWeights),
    Batches: new train.Batches([0, 1, 2, 0, 1, 2], { seqLen: 2, batch: 1 }),
    BlockMask: await library.BlockMask.create(gpu, MASKED),
    Decoder: decoder,
    Gpu: gpu,
    LatentAttention: await library.LatentAttention.create(gpu, latentWeights, latentOptions),
    MergeStates: await library.MergeStates.create(gpu, { shape: [1, 3, 2, 4] }),
    MultiQueryAttention: await library.MultiQueryAttention.create(gpu, weights, layerOptions),
    PageAllocator: allocator,
    PagedKvCache: paged,
    PagedLayer: paged.layers[0],
    ReferenceDecoder: await model.ReferenceDecoder.create(TINY, tinyWeights),
    RingKvCache: cache,
    Safetensors: await checkpoints.Safetensors.open(bytes),
    ShardedSafetensors: await checkpoints.ShardedSafetensors.open(indexed, openShard),
    SharedPrefixAttention: await library.SharedPrefixAttention.create(gpu, sharedPrefix),
    TextStream: new model.TextStream(tokenizer),
    Trainer: trainer,
  };
  const given = {
    "Attention.create": [gpu, { ...MASKED, alibiSlopes: [1, 1], sinkLogits: [1, 1] }],
    "Attention#bind": [{ q, k, v, o }],
    "Attention#encode": [encoder, { q, k, v, o }],
    "AttentionGradient.create": [gpu, SPEC],
    "AttentionGradient#bind": [gradients],
    "AttentionGradient#encode": [encoder, gradients],
    "Batch.create": [gpu, TINY, tinyWeights, {
      ...{ maxSequences: 2, pageSize: 2, maxStepTokens: 4, cacheBytes: 2 ** 16, ...transformed },
      ...{ window: 4, sinks: 1, stepsPerRead: 2, onSteps: () => {}, progress: () => {} },
    }],
    "Batch.ofDecoder": [decoder, { maxSequences: 2, ...transformed }],
    "Batch#add": [{
      ...{ tokens: [0, 1], maxTokens: 2, endTokens: [0], temperature: 0.5, topK: 2, topP: 0.9 },
      ...{ minP: 0.1, seed: 1, logprobs: 1, presencePenalty: 1, logitBias: new Map([[0, 1]]) },
    }],
    "new Batches": [[0, 1, 2, 0, 1, 2], { seqLen: 2, batch: 1, seed: 1 }],
    "Batches#at": [0],
    "BlockMask.create": [gpu, MASKED],
    "BlockMask#bind": [{ modTensors }],
    "BlockMask#encode": [encoder, { modTensors }],
    "Decoder.create": [gpu, TINY, tinyWeights, {
      ...{ maxTokens: 8, window: 3, sinks: 1, maxSeqLen: 2, weightDtype: "f32" },
      ...{ ...transformed, progress: () => {} },
    }],
    "Decoder#feed": [[0]],
    "Decoder#forward": [[0]],
    "Decoder#generate": [{ tokens: 2, temperature: 0.5, topK: 2, seed: 1 }],
    "Decoder#truncate": [0],
    "Gpu.from": [gpu.device],
    "Gpu.open": [{ powerPreference: "low-power", gpu: navigator.gpu }],
    "Gpu#guard": ["do nothing", () => {}],
    "Gpu#waitFor": [Promise.resolve()],
    "LatentAttention.create": [gpu, latentWeights, latentOptions],
    "LatentAttention#bind": [tensors, "absorbed"],
    "LatentAttention#explain": [1, 2],
    "LatentAttention#forward": [x, { modTensors }],
    "LatentAttention#plan": [1, 2],
    "MergeStates.create": [gpu, { shape: [1, 3, 2, 4], dtype: "f32" }],
    "MergeStates#bind": [states, { o, lse }],
    "MergeStates#encode": [encoder, states, { o, lse }],
    "MultiQueryAttention.create": [gpu, weights, layerOptions],
    "MultiQueryAttention#bind": [tensors],
    "MultiQueryAttention#forward": [x, { modTensors }],
    "new PageAllocator": [4],
    "PageAllocator#forget": [0],
    "PageAllocator#hold": [[0]],
    "PageAllocator#holders": [0],
    "PageAllocator#recall": [[1, 2], 1, 0],
    "PageAllocator#release": [[0]],
    "PageAllocator#remember": [0, [1], 0],
    "PageAllocator#root": ["kind"],
    "PageAllocator#shared": [[1, 2], 1, 0],
    "PageAllocator#take": [1],
    "PagePool.create": [gpu, POOL],
    "PagedLayer#append": [encoder, { k: keys, v: values }],
    "PagedLayer#bindAppend": [{ k: keys, v: values }],
    "PagedLayer#checkVisible": [queries],
    "PagedLayer#bindRopeQueries": [pair.q],
    "PagedLayer#ropeQueries": [encoder, pair.q],
    "PagedKvCache.create": [integers, {
      ...{ batch: 1, capacity: 8, window: 4, rope: [{ base: 100 }] },
      ...{ kvCalibration: [kvCalibration], kvRotation: "hadamard" },
    }],
    "PagedKvCache.restore": [pool, pagedSnapshot, { maxBytes: 2 ** 20 }],
    "PagedKvCache#clear": [encoder, 0],
    "PagedKvCache#extend": [encoder, [0, 0]],
    "PagedKvCache#fork": [encoder, { from: 0, to: 1 }],
    "PagedKvCache#length": [0],
    "PagedKvCache#needed": [0, 1],
    "PagedKvCache#pages": [0],
    "PagedKvCache#recall": [encoder, [1], 1],
    "PagedKvCache#remember": [[], 0],
    "PagedKvCache#shared": [[1, 2]],
    "PagedKvCache#truncate": [encoder, 0, 0],
    "ReferenceDecoder.create": [TINY, tinyWeights],
    "ReferenceDecoder#forward": [[0, 1], { window: 2, sinks: 0, attentionOf: 0 }],
    "RingKvCache.create": [gpu, {
      ...{ ...CACHE, batch: 1, window: 4, overflow: "wrap", kvDtype: "int8", kvCalibration },
      kvRotation: "hadamard",
    }],
    "RingKvCache.restore": [gpu, snapshot, { maxBytes: 2 ** 20 }],
    "RingKvCache#bindRopeQueries": [pair.q],
    "RingKvCache#checkVisible": [queries],
    "RingKvCache#ropeQueries": [encoder, pair.q],
    "RingKvCache#append": [encoder, { k: keys, v: values, lengths: [0, 0] }],
    "RingKvCache#bindAppend": [{ k: keys, v: values, lengths: [0, 0] }],
    "RingKvCache#clear": [encoder, 0],
    "RingKvCache#fork": [encoder, { from: 0, to: 1 }],
    "RingKvCache#length": [0],
    "RingKvCache#oldest": [0],
    "RingKvCache#restore": [snapshot],
    "RingKvCache#truncate": [encoder, 0, 0],
    "Safetensors.open": [bytes],
    "Safetensors#describe": ["a"],
    "Safetensors#read": ["a"],
    "Safetensors#readBytes": ["a", 0, 4],
    "ShardedSafetensors.open": [indexed, openShard, []],
    "ShardedSafetensors#describe": ["a"],
    "ShardedSafetensors#read": ["a"],
    "ShardedSafetensors#readBytes": ["a", 0, 4],
    "SharedPrefixAttention.create": [gpu, sharedPrefix],
    "SharedPrefixAttention#bind": [shared],
    "SharedPrefixAttention#encode": [encoder, shared],
    "Tensor.empty": [gpu, [2], { dtype: "f32", label: "o" }],
    "Tensor.upload": [gpu, { data: [1, 2], shape: [2] }, { dtype: "f32", label: "o" }],
    "Tensor.wrap": [gpu, q.buffer, [2], "f32"],
    "new TextStream": [tokenizer, [0]],
    "TextStream#peek": [0],
    "TextStream#push": [[0]],
    "Trainer.create": [gpu, TINY, tinyWeights, {
      ...{ ...TRAINING, accumulate: 1, recompute: false, rate: 1e-3, warmup: 0, finalShare: 0.1 },
      ...{ beta1: 0.9, beta2: 0.99, eps: 1e-8, decay: 0.1, clip: 1 },
      teacher: { ...wide, temperature: 2, share: 0.5 },
    }],
    "Trainer#evaluate": [[[0, 1, 2, 0]]],
    "Trainer#resume": [await trainer.save(), "state"],
    "Trainer#saveTo": [`${folder}/state`],
    "Trainer#resumeFrom": [`${folder}/state`],
    "Trainer#train": [[[0, 1, 2, 0]]],
    attend: [gpu, inputs, { window: 2, outputs: ["lse"], softcap: 1, alibiSlopes: [1, 1] }],
    attentionParameters: [{ hiddenSize: 8, numHeads: 2, numKvHeads: 1, headDim: 4 }],
    bytesInBlob: ["file", new Blob([file])],
    bytesInMemory: ["file", file],
    calibrateKv: [{ k: inputs.k, v: inputs.v, layout: "BSNH" }],
    crossingGroupSize: [{ headDim: 4, valueDim: 4, dtype: "f32" }, RATES],
    decodeAttentionTime: [{ ...SHAPE, numHeads: 2 }, RATES, {
      contextLen: 8,
      batch: 1,
      dtype: "f16",
    }],
    drawCalibration: [gpu, wide, {
      begin: [1],
      ends: [0],
      sequences: 1,
      seqLen: 2,
      seed: 1,
      progress: () => {},
    }],
    explain: [library.planAttention(SPEC, LIMITS)],
    feasibleSpace: [SHAPE, BUDGET, { contextLens: [1, 2], batches: [1] }],
    joinQkv: [{ q: [1, 2, 3, 4], k: [1, 2], v: [3, 4] }, QKV],
    kvBytes: [{ batch: 1, numKvHeads: 1, headDim: 4, valueDim: 4, kvDtype: "f32" }, 2],
    kvCacheBytes: [SHAPE, { contextLen: 2, batch: 1, dtype: "int8", maxSeqLen: 1 }],
    largestBatch: [SHAPE, BUDGET, { contextLen: 2 }],
    latentAttentionParameters: [{
      ...{ dim: 8, numHeads: 2, headDim: 4, valueDim: 4 },
      latent: { rank: 4, ropeDim: 2, queryRank: 2 },
    }],
    longestContext: [SHAPE, BUDGET, { batch: 1 }],
    mergeDecoder: [gpu, wide, {
      ...{ kvHeads: 1, calibration: [[0, 1, 2]], rounds: 1, progress: () => {} },
    }],
    mergeKvHeads: [weights, x, MERGE],
    mergeStates: [gpu, [state, state]],
    openCheckpoint: [[model2c], { warn: () => {} }],
    openFile: [`${folder}/state`],
    openLlama2c: [model2c],
    openTokenizer: [[tokenizer2c], {
      spec: { vocabSize: 260 },
      endOfText: [0],
      classEndOfText: [0],
    }, { warn: () => {} }],
    outputChange: [[1, 2], [1, 2]],
    parseDecoderConfig: [JSON.stringify(GEMMA), "config.json"],
    parseTokenizer: [text, { file: "tokenizer.json", vocabSize: 264, endOfText: [2] }],
    planAttention: [{ ...MASKED, scale: 1, softcap: 1, window: 2, sinks: 1 }, LIMITS, gpu.profile],
    planAttentionGradient: [{ ...SPEC, gradients: [] }, LIMITS, gpu.profile],
    planPages: [{ tokens: 8, sequenceTokens: 4 }],
    poolKvHeads: [[1, 2, 3, 4], { from: 2, to: 1, method: "mean" }],
    poolingChange: [weights, x, { numHeads: 2, from: 2, to: 1, method: "mean" }],
    poolingReport: [weights, x, { ...MERGE, heldOut: x }],
    randomWeights: [TINY, { seed: 1, has: () => false }],
    referenceAttention: [inputs, { window: 2, softcap: 1, alibiSlopes: [1, 1] }],
    referenceGradient: [inputs, inputs.q, { window: 2, softcap: 1, alibiSlopes: [1, 1] }],
    referenceLatentLayer: [latentWeights, x, { ...LATENT, rope: { base: 100 }, normEps: 1e-5 }],
    referenceLayer: [weights, x, { numHeads: 2, numKvHeads: 2, headDim: 4, rope: { base: 100 } }],
    referenceMergeStates: [[{ o: [1, 2], lse: [1] }, { o: [1, 2], lse: [1] }]],
    referenceRow: [inputs, { batch: 0, head: 0, token: 0 }, { window: 2 }],
    rooflineTime: [{ bytes: 1, flops: 1 }, RATES],
    shardedAttentionTime: [
      { ...SHAPE, numHeads: 2 },
      RATES,
      { shards: 2, readSeconds: 1, roundSeconds: 1 },
      { contextLen: 8, dtype: "f16" },
    ],
    shardedContextFrom: [{ ...SHAPE, numHeads: 2 }, RATES, { shards: 2, readSeconds: 1 }, {
      dtype: "f16",
    }],
    splitQkv: [Array.from({ length: 16 }, (_, i) => i), QKV],
    treeMask: [[-1, 0]],
    withMergedKvHeads: [gpu, checkpoint, { kvHeads: 1, calibration: [[0, 1, 2]], rounds: 1 }],
    withPooledKvHeads: [checkpoint, { kvHeads: 1, method: "mean" }],
    writeCheckpoint: [`${folder}/model`, checkpoint, {}],
  };
  return { given, instances };
}
