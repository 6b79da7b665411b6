// Null in place of an object: whatever is public says which object it wants, by name.
import { assert, assertEquals } from "@std/assert";
import * as library from "../mod.ts";
import * as checkpoints from "../src/checkpoints/mod.ts";
import * as cluster from "../src/cluster/mod.ts";
import * as model from "../src/model/mod.ts";
import * as train from "../src/train/mod.ts";
import { sharedGpu } from "./support/gpu.ts";

const none = null as never;
const SHAPE = { numLayers: 1, numKvHeads: 1, headDim: 1 };
const BUDGET = { memoryBytes: 1 };
const RATES = { bytesPerSecond: 1, flopsPerSecond: 1 };
const ONE = { data: [1], shape: [1, 1, 1, 1] };
const INPUTS = { q: ONE, k: ONE, v: ONE };
const SQUARE = { weight: { data: [1], shape: [1, 1] } };
const LAYER = { q: SQUARE, k: SQUARE, v: SQUARE, o: SQUARE };
const LIMITS = {
  ...{ maxStorageBufferBindingSize: 2 ** 27, maxComputeInvocationsPerWorkgroup: 256 },
  ...{ maxComputeWorkgroupStorageSize: 2 ** 14, maxComputeWorkgroupsPerDimension: 65535 },
};
const SPEC = { numHeads: 1, headDim: 1, capacity: 1 };
const DECODER: model.DecoderSpec = {
  ...{ vocabSize: 4, dim: 4, hiddenDim: 4, numHeads: 1, numKvHeads: 1, headDim: 4, contextLen: 4 },
  layers: [{}],
  norm: { kind: "rms", eps: 1e-5 },
  ...{ activation: "silu", isGated: true, isParallel: false },
};

const WEIGHTS = model.randomWeights(DECODER);
const CACHE = { numKvHeads: 1, headDim: 1, capacity: 1 };
const ATTENTION = { dim: 1, numHeads: 1, cache: { capacity: 1 } };
const PREFIX = { ...SPEC, prefix: { capacity: 1 } };
const LATENT = { dim: 1, numHeads: 1, nopeDim: 1, ropeDim: 2, valueDim: 1, rank: 1 };
const STATES = [{ o: ONE, lse: { data: [1], shape: [1, 1, 1] } }];
const LONE = { connection: none, prefix: "tests" };
const CONNECTED = {
  ...LONE,
  connection: { publish() {}, subscribe() {}, request() {}, flush() {} } as never,
};
const SHARD = {
  ...{ layers: 1, numHeads: 1, numKvHeads: 1, headDim: 1, valueDim: 1, shards: 1, page: 1 },
  ...{ name: "book", shard: 0, capacity: 1 },
};
const TRAINING = { seqLen: 1, batch: 1, steps: 1 };
const SOURCE = { spec: DECODER, weights: WEIGHTS };

/** Calls by what they lack. Classes that need a device of their own have tests of theirs. */
const CALLS: readonly [says: string, call: (gpu: library.Gpu) => unknown][] = [
  ["options=null", () => library.Gpu.open(none)],
  ["shape=null", () => library.kvBytes(none, 1)],
  ["shape=null", () => library.kvCacheBytes(none, { contextLen: 1 })],
  ["options=null", () => library.kvCacheBytes(SHAPE, none)],
  ["budget=null", () => library.longestContext(SHAPE, none)],
  ["shape=null", () => library.longestContext(none, BUDGET)],
  ["options=null", () => library.largestBatch(SHAPE, BUDGET, none)],
  ["options=null", () => library.feasibleSpace(SHAPE, BUDGET, none)],
  ["layer=null", () => library.attentionParameters(none)],
  ["work=null", () => library.rooflineTime(none, RATES)],
  ["rates=null", () => library.rooflineTime({ bytes: 1, flops: 1 }, none)],
  ["shape=null", () => library.decodeAttentionTime(none, RATES, { contextLen: 1 })],
  ["head=null", () => library.crossingGroupSize(none, RATES)],
  ["weights=null", () => library.poolKvHeads(none, { from: 1, to: 1 })],
  ["options=null", () => library.poolKvHeads([1], none)],
  ["weights=null", () => library.splitQkv(none, none)],
  ["options=null", () => library.splitQkv([1], none)],
  ["parts=null", () => library.joinQkv(none, none)],
  ["options=null", () => library.joinQkv({ q: [1], k: [1], v: [1] }, none)],
  ["x=null", () => library.mergeKvHeads(LAYER, none, { numHeads: 1, from: 1, to: 1 })],
  ["options=null", () => library.mergeKvHeads(LAYER, ONE, none)],
  ["parents=null", () => library.treeMask(none)],
  ["inputs=null", () => library.referenceAttention(none)],
  ["options=null", () => library.referenceAttention(INPUTS, none)],
  ["row=null", () => library.referenceRow(INPUTS, none)],
  ["dO=null", () => library.referenceGradient(INPUTS, none)],
  ["states=null", () => library.referenceMergeStates(none)],
  ["x=null", () => library.referenceLayer(LAYER, none, { numHeads: 1, numKvHeads: 1 })],
  ["options=null", () => library.poolingChange(LAYER, ONE, none)],
  ["before=null", () => library.outputChange(none, [])],
  ["plan=null", () => library.explain(none)],
  ["spec=null", () => library.planAttention(none, LIMITS)],
  ["limits=null", () => library.planAttention(SPEC, none)],
  ["profile=null", () => library.planAttention(SPEC, LIMITS, none)],
  ["weights=null", (gpu) => library.MultiQueryAttention.create(gpu, none, none)],
  ["options=null", (gpu) => library.MultiQueryAttention.create(gpu, LAYER, none)],
  [
    "cache=null",
    (gpu) => library.MultiQueryAttention.create(gpu, LAYER, { dim: 1, numHeads: 1, cache: none }),
  ],
  ["spec=null", (gpu) => model.Decoder.create(gpu, none, none)],
  ["decoder=null", (gpu) => model.mergeDecoder(gpu, none, none)],
  ["options=null", (gpu) => model.mergeDecoder(gpu, SOURCE, none)],
  ["decoder=null", (gpu) => model.drawCalibration(gpu, none, none)],
  ["options=null", (gpu) => model.drawCalibration(gpu, SOURCE, none)],
  ["weights=null", (gpu) => model.Decoder.create(gpu, DECODER, none)],
  [
    "options=null",
    (gpu) => model.Decoder.create(gpu, DECODER, model.randomWeights(DECODER), none),
  ],
  ["gpu=null", () => library.Gpu.open({ gpu: none })],
  ["powerPreference=null", () => library.Gpu.open({ powerPreference: none })],
  ["device=null", () => library.Gpu.from(none)],
  ["gpu=null", () => library.Tensor.empty(none, [1])],
  ["gpu=null", () => library.Tensor.upload(none, ONE)],
  ["gpu=null", () => library.Tensor.wrap(none, none, [1])],
  ["gpu=null", () => library.attend(none, INPUTS)],
  ["lengths=null", (gpu) => library.attend(gpu, { ...INPUTS, lengths: none })],
  ["bias=null", (gpu) => library.attend(gpu, { ...INPUTS, bias: none })],
  ["mask=null", (gpu) => library.attend(gpu, { ...INPUTS, mask: none })],
  ["modTensors=null", (gpu) => library.attend(gpu, { ...INPUTS, modTensors: none })],
  ["gpu=null", () => library.Attention.create(none, SPEC)],
  ["scoreMod=null", (gpu) => library.Attention.create(gpu, { ...SPEC, scoreMod: none })],
  ["maskMod=null", (gpu) => library.Attention.create(gpu, { ...SPEC, maskMod: none })],
  ["gpu=null", () => library.AttentionGradient.create(none, SPEC)],
  ["gpu=null", () => library.BlockMask.create(none, SPEC)],
  ["gpu=null", () => library.MergeStates.create(none, { shape: [1, 1] })],
  ["gpu=null", () => library.mergeStates(none, STATES)],
  ["gpu=null", () => library.SharedPrefixAttention.create(none, PREFIX)],
  ["gpu=null", () => library.RingKvCache.create(none, CACHE)],
  ["gpu=null", () => library.RingKvCache.restore(none, new Uint8Array(9))],
  ["gpu=null", () => library.PagePool.create(none, { numKvHeads: 1, headDim: 1, numPages: 1 })],
  ["pool=null", () => library.PagedKvCache.create(none, { capacity: 1 })],
  ["pool=null", () => library.PagedKvCache.restore(none, new Uint8Array(9))],
  ["bias=null", () => library.referenceAttention({ ...INPUTS, bias: none })],
  ["mask=null", () => library.referenceAttention({ ...INPUTS, mask: none })],
  ["lengths=null", () => library.referenceAttention({ ...INPUTS, lengths: none })],
  ["x=null", () => library.referenceLatentLayer({} as never, none, LATENT)],
  ["layer=null", () => library.latentAttentionParameters(none)],
  ["gpu=null", () => library.MultiQueryAttention.create(none, LAYER, ATTENTION)],
  [
    "q.bias=null",
    (gpu) =>
      library.MultiQueryAttention.create(
        gpu,
        { ...LAYER, q: { ...SQUARE, bias: none } },
        ATTENTION,
      ),
  ],
  [
    "qNorm=null",
    (gpu) => library.MultiQueryAttention.create(gpu, { ...LAYER, qNorm: none }, ATTENTION),
  ],
  [
    "normEps=null",
    (gpu) => library.MultiQueryAttention.create(gpu, LAYER, { ...ATTENTION, normEps: none }),
  ],
  ["gpu=null", () => library.LatentAttention.create(none, none, none)],
  ["weights=null", (gpu) => library.LatentAttention.create(gpu, none, none)],
  [
    "cache=null",
    (gpu) => library.LatentAttention.create(gpu, {} as never, { ...LATENT, cache: none }),
  ],
  ["gpu=null", () => model.Decoder.create(none, DECODER, WEIGHTS)],
  ["spec.norm=null", (gpu) => model.Decoder.create(gpu, { ...DECODER, norm: none }, WEIGHTS)],
  [
    "spec.layers[0]=null",
    (gpu) => model.Decoder.create(gpu, { ...DECODER, layers: [none] }, WEIGHTS),
  ],
  ["layers=null", (gpu) => model.Decoder.create(gpu, { ...DECODER, layers: none }, WEIGHTS)],
  ["gpu=null", () => model.Batch.create(none, DECODER, WEIGHTS)],
  ["spec=null", (gpu) => model.Batch.create(gpu, none, WEIGHTS)],
  ["weights=null", (gpu) => model.Batch.create(gpu, DECODER, none)],
  ["options=null", (gpu) => model.Batch.create(gpu, DECODER, WEIGHTS, none)],
  ["gpu=null", () => model.mergeDecoder(none, SOURCE, none)],
  ["spec=null", (gpu) => model.mergeDecoder(gpu, { ...SOURCE, spec: none }, {} as never)],
  ["gpu=null", () => model.drawCalibration(none, SOURCE, none)],
  ["spec=null", (gpu) => model.drawCalibration(gpu, { ...SOURCE, spec: none }, {} as never)],
  ["spec=null", () => model.randomWeights(none)],
  ["options=null", () => model.randomWeights(DECODER, none)],
  ["tokenizer=null", () => new model.TextStream(none)],
  ["bytes=null", () => model.parseTokenizer(none, none)],
  ["options=null", () => model.parseTokenizer(new Uint8Array(1), none)],
  ["gpu=null", () => train.Trainer.create(none, DECODER, WEIGHTS, TRAINING)],
  ["spec=null", (gpu) => train.Trainer.create(gpu, none, WEIGHTS, TRAINING)],
  ["weights=null", (gpu) => train.Trainer.create(gpu, DECODER, none, TRAINING)],
  ["options=null", (gpu) => train.Trainer.create(gpu, DECODER, WEIGHTS, none)],
  [
    "teacher=null",
    (gpu) => train.Trainer.create(gpu, DECODER, WEIGHTS, { ...TRAINING, teacher: none }),
  ],
  ["teacher.weights=null", (gpu) => {
    const teacher = { spec: DECODER, weights: none };
    return train.Trainer.create(gpu, DECODER, WEIGHTS, { ...TRAINING, teacher });
  }],
  ["options=null", () => checkpoints.openCheckpoint("model", none)],
  ["checkpoint=null", () => checkpoints.openTokenizer("model", none)],
  ["source=null", () => checkpoints.openLlama2c(none)],
  ["source=null", () => checkpoints.Safetensors.open(none)],
  ["index=null", () => checkpoints.ShardedSafetensors.open(none, none)],
  ["checkpoint=null", () => checkpoints.withPooledKvHeads(none, none)],
  ["checkpoint=null", () => checkpoints.writeCheckpoint("model", none)],
  ["bytes=null", () => checkpoints.bytesInMemory("model", none)],
  ["blob=null", () => checkpoints.bytesInBlob("model", none)],
  ["weights=null", () => cluster.modelFingerprint(DECODER, none, none)],
  ["tokenizer=null", () => cluster.modelFingerprint(DECODER, WEIGHTS, none)],
  ["cluster=null", () => cluster.AnswerService.start(none, none)],
  ["connection=null", () => cluster.AnswerService.start(LONE, none)],
  ["cluster=null", () => cluster.ask(none, none, none).next()],
  ["connection=null", () => cluster.ask(LONE, none, none).next()],
  ["cluster=null", () => cluster.Workers.open(none, none)],
  ["connection=null", () => cluster.Workers.open(LONE, none)],
  ["cluster=null", () => cluster.JobQueue.open(none, none)],
  ["connection=null", () => cluster.JobQueue.open(LONE, none)],
  ["cluster=null", (gpu) => cluster.ShardWorker.start(none, gpu, SHARD)],
  ["gpu=null", () => cluster.ShardWorker.start(CONNECTED, none, SHARD)],
  ["cluster=null", () => cluster.ShardedKv.open(none, SHARD)],
  ["connection=null", () => cluster.ShardedKv.open(LONE, SHARD)],
];

for (const [i, [says, call]] of CALLS.entries()) {
  Deno.test(`null: ${says}, ${String(call).split("=>")[1].trim().slice(0, 60)} (${i})`, async () => {
    const gpu = await sharedGpu();
    const error = await Promise.try(() => call(gpu)).then(() => "no error", (error) => error);
    assert(error instanceof TypeError, `${error}`);
    assert(/^Cannot .+ as .+ must be .+: current values? /.test(error.message), error.message);
    assertEquals(error.message.includes(says), true, error.message);
  });
}
