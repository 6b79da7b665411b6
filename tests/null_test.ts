// Null in place of an object: whatever is public says which object it wants, by name.
import { assert, assertEquals } from "@std/assert";
import * as library from "../mod.ts";
import * as model from "../src/model/mod.ts";
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

const SOURCE = { spec: DECODER, weights: model.randomWeights(DECODER) };

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
