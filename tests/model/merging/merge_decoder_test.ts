// Merging a whole decoder: lossless where it must be, better than pooling where it cannot be.
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { outputChange } from "../../../mod.ts";
import {
  Decoder,
  type DecoderSource,
  type DecoderSpec,
  type DecoderWeights,
  drawCalibration,
  mergeDecoder,
  ReferenceDecoder,
  type WeightData,
} from "../../../src/model/mod.ts";
import { scoreText } from "../../../cli/shared/score.ts";
import { seedFrom } from "../../../src/base/random.ts";
import { drawText, drawWith } from "../../../src/model/draw_text.ts";
import { sharedGpu } from "../../support/gpu.ts";
import { memoryWeights, weightsOf } from "../../support/models.ts";
import { type Random, testRandomly } from "../../support/random.ts";
import { openStories, testStories } from "../../support/stories.ts";

const SPEC: DecoderSpec = {
  ...{
    vocabSize: 30,
    dim: 12,
    hiddenDim: 10,
    numHeads: 4,
    numKvHeads: 4,
    headDim: 4,
    contextLen: 32,
  },
  layers: [{ rope: {} }, { rope: { dims: 2, style: "pairs" }, window: 5 }],
  norm: { kind: "rms", eps: 1e-5 },
  ...{ activation: "silu", isGated: true, isParallel: false },
};
const BIASES = ["q.bias", "k.bias", "v.bias", "o.bias", "up.bias", "down.bias"];
const LAYER_NORMS = ["attentionNorm.bias", "mlpNorm.bias", "finalNorm.bias"];

/** Decoders of every kind, and the weights that they have besides those that all have. */
const KINDS: Record<string, { spec?: Partial<DecoderSpec>; has?: readonly string[] }> = {
  "rotary positions and windows": {},
  "biases and learned positions": {
    spec: {
      layers: [{}, {}],
      norm: { kind: "layer", eps: 1e-5 },
      ...{ activation: "gelu", isGated: false },
    },
    has: [...BIASES, ...LAYER_NORMS, "positions.weight", "classifier.weight"],
  },
  "a parallel block with ALiBi": {
    spec: {
      layers: [{}, {}],
      ...{
        isParallel: true,
        isGated: false,
        activation: "gelu",
        alibiSlopes: [0.5, 0.25, 0.1, 0.05],
      },
    },
  },
  "norms of heads and behind layers": {
    spec: { scale: 0.3, embeddingScale: 2, activation: "geluTanh" },
    has: ["qNorm.weight", "kNorm.weight", "postAttentionNorm.weight", "postMlpNorm.weight"],
  },
};

/** Weights with each KV head's the same as the first of its group. */
async function repeated(
  spec: DecoderSpec,
  weights: DecoderWeights,
  group: number,
): Promise<DecoderWeights> {
  const changed = new Map<string, WeightData>();
  for (let layer = 0; layer < spec.layers.length; layer++) {
    for (
      const name of ["k.weight", "v.weight", "k.bias", "v.bias"].map((name) =>
        `layers.${layer}.${name}`
      )
    ) {
      if (!weights.has(name)) continue;
      const { data, shape } = await weights.read(name);
      const size = data.length / spec.numKvHeads;
      const copy = data.map((_, i) => {
        const head = Math.floor(i / size);
        return data[(head - head % group) * size + i % size];
      });
      changed.set(name, { data: copy, shape });
    }
  }
  const { has, read } = memoryWeights(changed);
  return {
    has: (name) => weights.has(name),
    read: (name) => has(name) ? read(name) : weights.read(name),
  };
}

function texts(random: Random, sequences: number, seqLen: number): number[][] {
  return Array.from(
    { length: sequences },
    () => Array.from({ length: seqLen }, () => random.integer(0, SPEC.vocabSize - 1)),
  );
}

for (const [kind, { spec: other, has }] of Object.entries(KINDS)) {
  testRandomly(`mergeDecoder(): heads that are alike lose nothing: ${kind}`, async (random) => {
    const spec = { ...SPEC, ...other };
    const weights = await repeated(spec, weightsOf(spec, random, has), 2);
    const calibration = texts(random, 3, 12);
    const options = { kvHeads: 2, calibration, rounds: random.integer(0, 1) };
    const merged = await mergeDecoder(await sharedGpu(), { spec, weights }, options);
    assertEquals(merged.spec, { ...spec, numKvHeads: 2 });
    const [text] = texts(random, 1, 20);
    const [before, after] = await Promise.all(
      [{ spec, weights }, merged].map(async ({ spec, weights }) =>
        (await ReferenceDecoder.create(spec, weights)).forward(text).logits
      ),
    );
    assertLess(outputChange(before, after).relativeChange, 1e-4);
    for (const { values, drift, keys } of merged.report) {
      assertLess(Math.abs(values - 1), 1e-9);
      assertLess(drift, 1e-8);
      assertEquals(keys === undefined, Boolean(has?.includes("kNorm.weight")));
    }
  });

  testRandomly(`mergeDecoder(): refits bring a decoder closer: ${kind}`, async (random) => {
    const spec = { ...SPEC, ...other };
    const weights = weightsOf(spec, random, has);
    const calibration = texts(random, 40, 16);
    const drifts = [];
    for (const rounds of [0, 2]) {
      const options = { kvHeads: 1, calibration, rounds };
      const { report } = await mergeDecoder(await sharedGpu(), { spec, weights }, options);
      drifts.push(report.at(-1)!.drift);
    }
    assertLess(drifts[1], drifts[0]);
  });
}

testRandomly(
  "mergeDecoder(): a feed-forward layer takes over what attention lost, where it is refitted",
  async (random) => {
    // Such slopes let a token see itself alone, so that the layer beside attention reads all that is lost.
    const { spec: parallel } = KINDS["a parallel block with ALiBi"];
    const spec = { ...SPEC, ...parallel, layers: [{}], alibiSlopes: [50, 50, 50, 50] };
    const weights = weightsOf(spec, random);
    const before = await weights.read("layers.0.down.weight");
    for (const rounds of [0, 1]) {
      const options = { kvHeads: 1, calibration: texts(random, 40, 8), rounds };
      const merged = await mergeDecoder(await sharedGpu(), { spec, weights }, options);
      const after = await merged.weights.read("layers.0.down.weight");
      const isChanged = after.data.some((x, i) => x !== before.data[i]);
      assertEquals(isChanged, rounds > 0, `rounds=${rounds}`);
    }
  },
);

testRandomly("mergeDecoder() refuses texts that are none", async (random) => {
  const gpu = await sharedGpu();
  const weights = weightsOf(SPEC, random);
  const refuses = (options: object, kind: typeof TypeError | typeof RangeError, says: string) =>
    assertRejects(
      () =>
        mergeDecoder(gpu, { spec: SPEC, weights }, {
          kvHeads: 1,
          calibration: [[1, 2]],
          ...options,
        }),
      kind,
      says,
    );
  await refuses({ kvHeads: 3 }, RangeError, "from=4, to=3");
  await refuses({ calibration: [] }, TypeError, "calibration=[]");
  await refuses({ calibration: [[]] }, TypeError, "sequences of tokens");
  await refuses({ calibration: [[1, 2], [1]] }, RangeError, "seqLen=2, tokens=1");
  await refuses({ calibration: [[1, 30]] }, RangeError, "token=30");
  await refuses({ calibration: [new Array(33).fill(0)] }, RangeError, "contextLen=32");
  await refuses({ rounds: -1 }, RangeError, "rounds=-1");
});

testRandomly(
  "drawCalibration(): texts from their first token on, other ones by other seeds",
  async (random) => {
    const gpu = await sharedGpu();
    const decoder = { spec: SPEC, weights: weightsOf(SPEC, random) };
    const draw = (seed: number) =>
      drawCalibration(gpu, decoder, { begin: [7], sequences: 3, seqLen: 9, seed });
    const drawn = await draw(1);
    assertEquals(drawn.map((text) => [text.length, text[0]]), new Array(3).fill([9, 7]));
    assertEquals(new Set(drawn.map(String)).size, 3);
    assertEquals(await draw(1), drawn);
    // No text goes on behind its end.
    const ends = [drawn[0][3]];
    const options = { begin: [7, 8], ends, sequences: 3, seqLen: 9, seed: 1 };
    for (const text of await drawCalibration(gpu, decoder, options)) {
      assertEquals(text.slice(0, 2), [7, 8]);
      text.slice(0, -2).forEach((token, i) => {
        if (token === ends[0]) assertEquals(text.slice(i + 1, i + 3), [7, 8]);
      });
    }
    await assertRejects(
      () => drawCalibration(gpu, decoder, { begin: [], sequences: 3 }),
      RangeError,
      "begin=[]",
    );
    // The texts of a seed and of the next have none in common.
    assert(!(await draw(2)).some((text) => drawn.map(String).includes(String(text))));
  },
);

testRandomly(
  "drawCalibration(): texts that are drawn together are those drawn alone",
  async (random) => {
    const gpu = await sharedGpu();
    const weights = weightsOf(SPEC, random);
    const [begin, ends] = [[7, 8], [1, 2, 3, 4, 5]];
    const options = { begin, ends, sequences: 5, seqLen: 20, seed: 3 };
    const together = await drawCalibration(gpu, { spec: SPEC, weights }, options);
    const decoder = await Decoder.create(gpu, SPEC, weights, { maxTokens: 20 });
    for (const [i, text] of together.entries()) {
      decoder.clear();
      const draw = { tokens: 20, begin, ends, seed: seedFrom(`3 ${i}`) };
      assertEquals(await drawText(drawWith(decoder), draw), text);
    }
    decoder.destroy();
  },
);

testStories("mergeDecoder(): a trained model keeps most of what it learnt", async () => {
  const gpu = await sharedGpu();
  const stories = await openStories();
  const draw = (sequences: number, seqLen: number, seed: number) =>
    drawCalibration(gpu, stories, { begin: [1], sequences, seqLen, seed });
  const calibration = await draw(10, 128, 0);
  const heldOut = await draw(4, 160, 1);
  const nllOf = async ({ spec, weights }: DecoderSource) => {
    const decoder = await Decoder.create(gpu, spec, weights, { maxTokens: 160 });
    const nlls = [];
    for (const text of heldOut) {
      decoder.clear();
      nlls.push(...(await scoreText(decoder, text, spec.vocabSize)).nlls);
    }
    decoder.destroy();
    return nlls.reduce((sum, nll) => sum + nll, 0) / nlls.length;
  };
  const own = await nllOf(stories);
  for (const [kvHeads, most] of [[2, 1.6], [1, 2.6]]) {
    const merged = await mergeDecoder(gpu, stories, { kvHeads, calibration, rounds: 1 });
    assertLess(Math.exp(await nllOf(merged) - own), most);
    for (const { keys, error } of merged.report) {
      assert(keys! > 0.9 && error.refitted < error.merged);
    }
  }
});
