// A decoder whose keys and values are remote: against the float64 decoder, and against one with caches of its own.
import { assertEquals, assertRejects } from "@std/assert";
import { Decoder, type DecoderSpec, type RemoteKvSpec } from "../../src/model/mod.ts";
import { ReferenceDecoder } from "../../src/model/reference.ts";
import { assertClose } from "../support/compare.ts";
import { sharedGpu } from "../support/gpu.ts";
import { SMALL, weightsOf } from "../support/models.ts";
import { testRandomly } from "../support/random.ts";
import { HostKv } from "../support/remote_kv.ts";

/** What decides how a layer is cut, and where positions come from. */
const MODELS: readonly { name: string; spec: Partial<DecoderSpec>; has?: readonly string[] }[] = [
  { name: "pairs and halves, GQA", spec: {} },
  {
    name: "parallel layers with one norm, MQA",
    spec: { numKvHeads: 1, isParallel: true, isGated: false, norm: { kind: "layer", eps: 1e-5 } },
  },
  {
    name: "learned positions, biases, two norms of parallel layers",
    spec: { isParallel: true, layers: [{}, {}] },
    has: ["bias", "positions.weight", "mlpNorm.weight"],
  },
  {
    name: "norms of queries and keys and after attention, a scale",
    spec: { numHeads: 4, numKvHeads: 1, scale: 0.2, embeddingScale: 3 },
    has: ["qNorm.weight", "kNorm.weight", "postAttentionNorm.weight", "postMlpNorm.weight"],
  },
];

function remoteSpec({ layers, numHeads, numKvHeads, headDim, scale }: DecoderSpec): RemoteKvSpec {
  return { layers: layers.length, numHeads, numKvHeads, headDim, valueDim: headDim, scale };
}

async function generated(decoder: Decoder, options: Parameters<Decoder["generate"]>[0]) {
  const tokens: number[] = [];
  for await (const some of decoder.generate(options)) tokens.push(...some);
  return tokens;
}

for (const { name, spec: parts, has } of MODELS) {
  testRandomly(`Decoder of remote keys and values: ${name}`, async (random) => {
    const spec = { ...SMALL, ...parts };
    const weights = weightsOf(spec, random, has);
    const tokens = Array.from({ length: 14 }, () => random.integer(0, spec.vocabSize - 1));
    const { logits } = (await ReferenceDecoder.create(spec, weights)).forward(tokens);
    const gpu = await sharedGpu();
    const kv = new HostKv(remoteSpec(spec));
    const decoder = await Decoder.create(gpu, spec, weights, { kv, maxSeqLen: 5 });
    const actual = [
      ...await decoder.forward(tokens.slice(0, 8)),
      ...await decoder.forward(tokens.slice(8, 9)),
      ...await decoder.forward(tokens.slice(9)),
    ];
    const largest = logits.reduce((most, logit) => Math.max(most, Math.abs(logit)), 0);
    assertClose(Float32Array.from(actual), logits, 1e-4 * largest, name);
    assertEquals([decoder.length, kv.length(), kv.length(1), decoder.cacheBytes], [14, 14, 14, 0]);
    decoder.destroy();
  });
}

testRandomly("Decoder of remote keys and values: generates as one with caches", async (random) => {
  const gpu = await sharedGpu();
  const weights = weightsOf(SMALL, random);
  const kv = new HostKv(remoteSpec(SMALL));
  const local = await Decoder.create(gpu, SMALL, weights, { maxSeqLen: 5 });
  const remote = await Decoder.create(gpu, SMALL, weights, { maxSeqLen: 5, kv });
  const ways = [
    { tokens: 6 },
    { tokens: 4, batch: 3, temperature: 0.8, seed: 5, repetitionPenalty: 1.3, presencePenalty: 1 },
  ];
  const texts = [local, remote].map(async (decoder) => {
    const text: number[] = [];
    for (const way of ways) {
      await decoder.feed([1, 2, 3, 4, 5, 6, 7]);
      text.push(...await generated(decoder, way));
      await decoder.truncate(decoder.length - 3);
    }
    decoder.clear();
    assertEquals(decoder.length, 0);
    await decoder.feed([3]);
    return [...text, ...await generated(decoder, { tokens: 3 })];
  });
  assertEquals(await texts[1], await texts[0]);
  assertEquals(kv.length(), 4);
  for (const decoder of [local, remote]) decoder.destroy();
});

testRandomly(
  "Decoder of remote keys and values: takes back what is not as drafted",
  async (random) => {
    const weights = weightsOf(SMALL, random);
    const kv = new HostKv(remoteSpec(SMALL));
    const decoder = await Decoder.create(await sharedGpu(), SMALL, weights, { maxSeqLen: 8, kv });
    const texts = [];
    for (const speculate of [undefined, "lookup"] as const) {
      decoder.clear();
      await decoder.feed([1, 2, 3, 1, 2, 3, 1]);
      texts.push(await generated(decoder, { tokens: 12, speculate }));
      assertEquals([decoder.length, kv.length()], [19, 19]);
    }
    assertEquals(texts[1], texts[0]);
    decoder.destroy();
  },
);

testRandomly(
  "Decoder of remote keys and values: what fails is told, until it is cleared",
  async (random) => {
    const gpu = await sharedGpu();
    const weights = weightsOf(SMALL, random);
    const kv = new HostKv(remoteSpec(SMALL));
    const decoder = await Decoder.create(gpu, SMALL, weights, { kv });
    await decoder.feed([1, 2, 3]);
    kv.failure = new Error("a shard was lost");
    await assertRejects(() => decoder.feed([4]), Error, "a shard was lost");
    kv.failure = undefined;
    await assertRejects(() => decoder.feed([4]), RangeError, "a shard was lost");
    await assertRejects(() => decoder.truncate(1), RangeError, "clear it");
    decoder.clear();
    await decoder.feed([4]);
    assertEquals(decoder.length, 1);
    await assertRejects(() => decoder.calibrate(), TypeError, "leave kv out");
    decoder.destroy();
  },
);

testRandomly("Decoder of remote keys and values: others than the model's", async (random) => {
  const gpu = await sharedGpu();
  const weights = weightsOf(SMALL, random);
  const spec = remoteSpec(SMALL);
  const refused = (
    kv: Partial<RemoteKvSpec>,
    cause: string,
    options = {},
    model: Partial<DecoderSpec> = {},
  ) =>
    assertRejects(
      () =>
        Decoder.create(gpu, { ...SMALL, ...model }, weights, {
          ...options,
          kv: new HostKv({ ...spec, ...kv }),
        }),
      RangeError,
      cause,
    );
  await refused({ layers: 3 }, "layers of kv");
  await refused({ valueDim: 4 }, "valueDim of kv");
  await refused({ scale: 1 }, "scale of kv");
  await refused({ softcap: 5 }, "softcap of kv");
  await refused({}, "kvDtype is decided", { kvDtype: "f16" });
  await refused({}, "window is decided", { window: 8 });
  await refused({}, "layer=1", {}, { layers: [{ rope: {} }, { rope: {}, window: 4 }] });
  await assertRejects(
    () => Decoder.create(gpu, SMALL, weights, { kv: new HostKv(spec, 31) }),
    RangeError,
    "capacity=31",
  );
  await refused({}, "ALiBi", {}, { alibiSlopes: [1, 1, 1, 1, 1, 1] });
  const kv = new HostKv(spec);
  await kv.extend(0, { k: new Float32Array(16), v: new Float32Array(16) });
  await assertRejects(
    () => Decoder.create(gpu, SMALL, weights, { kv }),
    RangeError,
    "kv must be empty",
  );
  kv.clear();
  const short = Object.assign(kv, { extend: () => Promise.resolve(new Float32Array(1)) });
  const decoder = await Decoder.create(gpu, SMALL, weights, { kv: short });
  await assertRejects(() => decoder.feed([1]), RangeError, "an output for each query");
  decoder.destroy();
});
