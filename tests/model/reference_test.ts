// The float64 decoder: against a trained model's golden tokens, and part by part against arithmetic by hand.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { openFile, Safetensors } from "../../src/checkpoints/mod.ts";
import { ReferenceDecoder, type ReferenceForwardOptions } from "../../src/model/reference.ts";
import type { DecoderSpec } from "../../src/model/spec.ts";
import { referenceRow, type RopeOptions } from "../../mod.ts";
import { assertClose } from "../support/compare.ts";
import { testRandomly } from "../support/random.ts";
import { memoryWeights, TINY, weightsOf, weightsWith } from "../support/models.ts";
import { greedyTokens, openStories, STORIES, testStories } from "../support/stories.ts";

const IDENTITY = [1, 0, 0, 1];
/** Rows of the tokens 0, 1 and 2. */
const EMBEDDING = [3, 4, 1, 3, -2, 0];
/** The classifier that shows both numbers of what it reads, and their sum. */
const SHOW = [1, 0, 0, 1, 1, 1];
/** What RMSNorm makes of (3, 4): over sqrt(25 / 2). */
const RMS_34 = [0.6 * Math.SQRT2, 0.8 * Math.SQRT2];

testStories(
  "ReferenceDecoder: each greedy token of stories260K follows from those before it",
  async () => {
    const { spec, weights } = await openStories();
    const decoder = await ReferenceDecoder.create(spec, weights);
    const tokens = greedyTokens();
    const { logits, attention } = decoder.forward(tokens);
    assertEquals([tokens.length, tokens[0], attention], [129, 1, undefined]);
    const best = tokens.map((_, i) => {
      const row = logits.subarray(i * spec.vocabSize, (i + 1) * spec.vocabSize);
      return row.indexOf(Math.max(...row));
    });
    assertEquals(best.slice(0, -1), tokens.slice(1));
  },
);

testStories("ReferenceDecoder: attends as stories260K did when it was captured", async () => {
  const { spec, weights } = await openStories();
  const decoder = await ReferenceDecoder.create(spec, weights);
  const file = await Safetensors.open(await openFile(STORIES.attention));
  const tokens = greedyTokens();
  for (const layer of [0, 2, 4]) {
    const { attention } = decoder.forward(tokens, { attentionOf: layer });
    const read = async (name: string) => {
      const { data, shape } = await file.read(`layer${layer}.${name}`);
      return { data, shape: [1, ...shape] };
    };
    const [q, k, v] = await Promise.all(["q", "k", "v"].map(read));
    for (const [head, token] of [[0, 0], [1, 7], [3, 64], [7, 128]]) {
      const { weights } = referenceRow({ q, k, v }, { batch: 0, head, token }, { alignment: 0 });
      const row = (head * tokens.length + token) * tokens.length;
      assertClose(
        attention!.subarray(row, row + tokens.length),
        weights,
        1e-4,
        `layer ${layer}, head ${head}, token ${token}`,
      );
    }
  }
  await file.close();
});

/** What a model of one layer does to tokens; what is not given is as in {@linkcode TINY}, with weights of 0, or of 1 in norms. */
async function run(
  tokens: number[],
  spec: Partial<DecoderSpec>,
  weights: Record<string, readonly number[]>,
  options: ReferenceForwardOptions = {},
) {
  const whole = { ...TINY, ...spec };
  const given = { "embedding.weight": EMBEDDING, ...weights };
  const decoder = await ReferenceDecoder.create(whole, weightsWith(whole, given));
  return decoder.forward(tokens, { attentionOf: 0, ...options });
}

/** The logits by the classifier {@linkcode SHOW} of a residual stream, normalised by RMSNorm. */
function shown(values: number[]): number[] {
  const rms = Math.sqrt((values[0] ** 2 + values[1] ** 2) / 2);
  const [x, y] = values.map((value) => value / rms);
  return [x, y, x + y];
}

const silu = (x: number) => x / (1 + Math.exp(-x));

/** By the name of the part: a model, and its logits after one token or more. */
const BY_HAND: {
  name: string;
  tokens?: number[];
  spec?: Partial<DecoderSpec>;
  weights: Record<string, readonly number[]>;
  logits: number[];
}[] = [
  {
    name: "RMSNorm, and the embedding as classifier",
    weights: { "finalNorm.weight": [2, 1] },
    logits: [
      3 * 2 * RMS_34[0] + 4 * RMS_34[1],
      2 * RMS_34[0] + 3 * RMS_34[1],
      -2 * 2 * RMS_34[0],
    ],
  },
  {
    name: "LayerNorm with a bias",
    tokens: [1],
    spec: { norm: { kind: "layer", eps: 0 } },
    weights: {
      "finalNorm.weight": [2, 5],
      "finalNorm.bias": [0.5, -1],
      "classifier.weight": SHOW,
    },
    // (1, 3) has mean 2 and deviation 1.
    logits: [-1.5, 4, 2.5],
  },
  {
    name: "eps",
    spec: { norm: { kind: "rms", eps: 12.5 } },
    weights: { "classifier.weight": SHOW },
    logits: [3 / 5, 4 / 5, 7 / 5],
  },
  {
    name: "learned positions beside a scaled embedding",
    tokens: [0, 1],
    spec: { embeddingScale: 2 },
    weights: {
      "positions.weight": [0, 0, 3, -1, ...new Array(12).fill(0)],
      "classifier.weight": SHOW,
    },
    logits: [...shown([6, 8]), ...shown([5, 5])],
  },
  {
    name: "biases of v, o, up and down; q and k do not matter to one token",
    weights: {
      "layers.0.q.bias": [7, 7],
      "layers.0.k.bias": [-3, 5],
      "layers.0.v.bias": [1, 2],
      "layers.0.o.weight": IDENTITY,
      "layers.0.o.bias": [10, 20],
      "layers.0.up.bias": [2, 0],
      "layers.0.down.weight": IDENTITY,
      "layers.0.down.bias": [-4, 4],
      "classifier.weight": SHOW,
    },
    logits: shown([3 + 1 + 10 + silu(2) - 4, 4 + 2 + 20 + 4]),
  },
  {
    name: "a gate",
    spec: { isGated: true, activation: "geluTanh" },
    weights: {
      "layers.0.gate.weight": [1, 0, 0, 1],
      "layers.0.up.weight": [0, 1, 1, 0],
      "layers.0.down.weight": IDENTITY,
      "layers.0.mlpNorm.weight": [1 / RMS_34[0], -1 / RMS_34[1]],
      "classifier.weight": SHOW,
    },
    // Inside, gate (1, -1) and up (-1, 1).
    logits: shown([3 - 0.8411919906082768, 4 - 0.15880800939172324]),
  },
  {
    name: "GELU",
    spec: { activation: "gelu" },
    weights: {
      "layers.0.up.bias": [1, -3],
      "layers.0.down.weight": IDENTITY,
      "classifier.weight": SHOW,
    },
    logits: shown([3 + 0.8413447460685429, 4 - 3 * 0.0013498980316300946]),
  },
  {
    name: "attention before feed-forward",
    weights: {
      "layers.0.v.weight": [1, 0, 0, 0],
      "layers.0.o.weight": [0, 0, 1, 0],
      "layers.0.up.weight": [0, 1, 0, 0],
      "layers.0.down.weight": [1, 0, 0, 0],
      "classifier.weight": SHOW,
    },
    logits: (() => {
      const y = 4 + RMS_34[0];
      return shown([3 + silu(y / Math.sqrt((9 + y ** 2) / 2)), y]);
    })(),
  },
  {
    name: "attention beside feed-forward, each with a norm",
    spec: { isParallel: true },
    weights: {
      "layers.0.v.weight": [1, 0, 0, 0],
      "layers.0.o.weight": [0, 0, 1, 0],
      "layers.0.mlpNorm.weight": [1, 3],
      "layers.0.up.weight": [0, 1, 0, 0],
      "layers.0.down.weight": [1, 0, 0, 0],
      "classifier.weight": SHOW,
    },
    logits: shown([3 + silu(3 * RMS_34[1]), 4 + RMS_34[0]]),
  },
  {
    name: "attention beside feed-forward, under one norm",
    spec: { isParallel: true },
    weights: {
      "layers.0.attentionNorm.weight": [1, 5],
      "layers.0.v.weight": [1, 0, 0, 0],
      "layers.0.o.weight": [0, 0, 1, 0],
      "layers.0.up.weight": [0, 1, 0, 0],
      "layers.0.down.weight": [1, 0, 0, 0],
      "classifier.weight": SHOW,
    },
    logits: shown([3 + silu(5 * RMS_34[1]), 4 + RMS_34[0]]),
  },
  {
    name: "norms of what attention and feed-forward add",
    weights: {
      "layers.0.v.bias": [30, 40],
      "layers.0.o.weight": IDENTITY,
      "layers.0.postAttentionNorm.weight": [10, 100],
      "layers.0.down.bias": [-0.03, 0.04],
      "layers.0.postMlpNorm.weight": [1, 1],
      "classifier.weight": SHOW,
    },
    logits: shown([3 + 10 * RMS_34[0] - RMS_34[0], 4 + 100 * RMS_34[1] + RMS_34[1]]),
  },
];

for (const { name, tokens = [0], spec = {}, weights, logits } of BY_HAND) {
  Deno.test(`ReferenceDecoder by hand: ${name}`, async () => {
    const result = await run(tokens, spec, weights);
    assertClose(result.logits, logits, 1e-6, "logits");
  });
}

/** softmax of scores */
function softmax(...scores: number[]): number[] {
  const sum = scores.reduce((sum, score) => sum + Math.exp(score), 0);
  return scores.map((score) => Math.exp(score) / sum);
}

/** All queries and keys are (3, 4) over its RMS, so that their product is 2. */
const ALIKE = { "layers.0.q.weight": IDENTITY, "layers.0.k.weight": IDENTITY };
const TWICE = [0, 0];

Deno.test("ReferenceDecoder by hand: the scale, ALiBi and causality in attention's weights", async () => {
  const scaled = await run([0, 1], { scale: 0.5 }, {
    ...ALIKE,
    "layers.0.attentionNorm.weight": [1, 0],
  });
  // Queries and keys are x alone: (3, 4) becomes 0.6 sqrt(2), and (1, 3) 1 / sqrt(5).
  const [a, b] = [RMS_34[0], 1 / Math.sqrt(5)];
  assertClose(scaled.attention!, [1, 0, ...softmax(a * b / 2, b * b / 2)], 1e-12, "scale");

  const far = await run([0, 0, 0], { alibiSlopes: [0.25] }, ALIKE);
  const last = softmax(-0.5, -0.25, 0);
  assertClose(far.attention!, [1, 0, 0, ...softmax(-0.25, 0), 0, ...last], 1e-12, "ALiBi");
});

Deno.test("ReferenceDecoder by hand: rotary positions, and norms of queries and keys before them", async () => {
  const scale = 1 / Math.SQRT2;
  for (const style of ["halves", "pairs"] as const) {
    const rope: RopeOptions = { style, frequencies: [0.3] };
    const turned = await run(TWICE, { layers: [{ rope }] }, ALIKE);
    const angles = softmax(2 * Math.cos(0.3) * scale, 2 * scale);
    assertClose(turned.attention!, [1, 0, ...angles], 1e-6, style);

    const normed = await run(TWICE, { layers: [{ rope }] }, {
      "layers.0.q.bias": [30, 40],
      "layers.0.k.bias": [0, -7],
      "layers.0.qNorm.weight": [1, 2],
      "layers.0.kNorm.weight": [1, 0.5],
    });
    // q is (0.6, 1.6) sqrt(2) and k (0, -0.5) sqrt(2); at an angle, q's x meets k's y as well.
    const [same, across] = [2 * 1.6 * -0.5, 2 * 0.6 * -0.5];
    const product = same * Math.cos(0.3) + across * Math.sin(0.3);
    assertClose(
      normed.attention!,
      [1, 0, ...softmax(product * scale, same * scale)],
      1e-6,
      `norms, ${style}`,
    );
  }
});

Deno.test("ReferenceDecoder: windows of a layer, of all layers, and sinks", async () => {
  const tokens = [0, 1, 2, 0];
  const seen = async (options: ReferenceForwardOptions) => {
    const { attention } = await run(tokens, { layers: [{ window: 3 }] }, {}, options);
    return Array.from(attention!.slice(-4));
  };
  assertEquals(await seen({}), [0, 1 / 3, 1 / 3, 1 / 3]);
  assertEquals(await seen({ window: 2 }), [0, 0, 1 / 2, 1 / 2]);
  assertEquals(await seen({ window: 4 }), [0, 1 / 3, 1 / 3, 1 / 3]);
  assertEquals(await seen({ window: 2, sinks: 1 }), [1 / 3, 0, 1 / 3, 1 / 3]);
});

const BROAD: DecoderSpec = {
  ...{ vocabSize: 11, dim: 12, hiddenDim: 10, numHeads: 4, numKvHeads: 2, headDim: 6 },
  contextLen: 16,
  layers: [{ rope: { dims: 4 } }, { window: 3 }],
  norm: { kind: "layer", eps: 1e-5 },
  activation: "gelu",
  isGated: true,
  isParallel: false,
};

testRandomly(
  "ReferenceDecoder: later tokens change nothing before them, and heads share K/V",
  async (random) => {
    const optional = [".bias", "qNorm.weight", "postMlpNorm.weight", "classifier.weight"];
    const decoder = await ReferenceDecoder.create(BROAD, weightsOf(BROAD, random, optional));
    const tokens = Array.from({ length: 9 }, () => random.integer(0, 10));
    const whole = decoder.forward(tokens, { attentionOf: 1 });
    const part = decoder.forward(tokens.slice(0, 5));
    assertClose(part.logits, whole.logits.subarray(0, part.logits.length), 1e-12, "logits");
    assert(whole.logits.some((value) => Math.abs(value) > 0.01));
    assertEquals(whole.attention!.length, 4 * 9 * 9);
    for (let row = 0; row < 4 * 9; row++) {
      const sum = whole.attention!.subarray(row * 9, row * 9 + 9).reduce((a, b) => a + b, 0);
      assertClose([sum], [1], 1e-12, `row ${row}`);
    }
  },
);

testRandomly("ReferenceDecoder: GQA is MHA whose K/V heads are repeated", async (random) => {
  const shared = weightsOf(BROAD, random);
  const mha = { ...BROAD, numKvHeads: BROAD.numHeads };
  const repeated = {
    has: shared.has,
    read: async (name: string) => {
      const weight = await shared.read(name);
      if (!/\.[kv]\.weight$/.test(name)) return weight;
      const head = 6 * 12;
      const data = new Float32Array(4 * head);
      for (let i = 0; i < 4; i++) {
        const kvHead = Math.floor(i / 2);
        data.set(weight.data.subarray(kvHead * head, (kvHead + 1) * head), i * head);
      }
      return { data, shape: [4 * 6, 12] };
    },
  };
  const tokens = [1, 5, 3, 10, 0];
  const gqa = (await ReferenceDecoder.create(BROAD, shared)).forward(tokens);
  const { logits } = (await ReferenceDecoder.create(mha, repeated)).forward(tokens);
  assertClose(gqa.logits, logits, 1e-12, "logits");
});

Deno.test("ReferenceDecoder: refuses what does not fit", async () => {
  const wrong = weightsWith({ ...TINY, dim: 3 }, {});
  await assertRejects(
    () => ReferenceDecoder.create(TINY, wrong),
    RangeError,
    "embedding.weight must have shape [3, 2]: current value embedding.weight=[3, 3]",
  );
  await assertRejects(() => ReferenceDecoder.create(TINY, memoryWeights(new Map())), RangeError);

  const positions = { "positions.weight": new Array(16).fill(0) };
  const decoder = await ReferenceDecoder.create(TINY, weightsWith(TINY, positions));
  assertThrows(() => decoder.forward([3]), RangeError, "token=3, vocabSize=3");
  assertThrows(() => decoder.forward([-1]), RangeError, "at least 0");
  assertThrows(() => decoder.forward([0.5]), RangeError, "whole number");
  const ending = await ReferenceDecoder.create(
    { ...TINY, positionsEnd: true },
    weightsWith(TINY, {}),
  );
  for (const ends of [decoder, ending]) {
    assertThrows(() => ends.forward(new Array(9).fill(0)), RangeError, "tokens=9, contextLen=8");
  }
  assertThrows(() => decoder.forward([0], { attentionOf: 1 }), RangeError, "layers=1");
});
