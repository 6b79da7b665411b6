// The decoder on the GPU: against a trained model's golden tokens and the float64 decoder.
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  Decoder,
  type DecoderOptions,
  type DecoderSpec,
  randomWeights,
} from "../../src/model/mod.ts";
import { ReferenceDecoder } from "../../src/model/reference.ts";
import { weightShapes } from "../../src/model/weight_shapes.ts";
import type { DecoderWeights } from "../../src/model/weights.ts";
import { GpuWorkError, kvCacheBytes, type KvDtype } from "../../mod.ts";
import { assertClose } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { rounded } from "../support/run.ts";
import { memoryWeights, SMALL, TINY, weightsOf, weightsWith } from "../support/models.ts";
import { GREEDY } from "../../src/model/sampling.ts";
import { adjustedLogits } from "../support/sampling.ts";
import { greedyTokens, openStories, testStories } from "../support/stories.ts";

/** Part of the largest logit that a logit may be off by. */
const TOLERANCE = 1e-4;

/** What models of other families have. */
const MODELS: readonly { name: string; spec: Partial<DecoderSpec>; has?: readonly string[] }[] = [
  { name: "Llama: gated, GQA, pairs and halves", spec: {}, has: ["classifier.weight"] },
  {
    name: "Falcon: parallel with one norm, MQA, LayerNorm, GELU",
    spec: {
      ...{ numKvHeads: 1, isParallel: true, isGated: false, activation: "gelu" },
      norm: { kind: "layer", eps: 1e-5 },
    },
    has: ["attentionNorm.bias", "finalNorm.bias"],
  },
  {
    name: "Falcon 40B: parallel with two norms, biases",
    spec: {
      ...{ isParallel: true, isGated: false, activation: "gelu" },
      norm: { kind: "layer", eps: 1e-5 },
    },
    has: ["bias", "mlpNorm.weight"],
  },
  {
    name: "StarCoder: learned positions, biases, tanh",
    spec: {
      ...{ numKvHeads: 1, isGated: false, activation: "geluTanh" },
      norm: { kind: "layer", eps: 1e-5 },
      layers: [{}, {}],
    },
    has: ["bias", "positions.weight"],
  },
  {
    name: "Gemma 3: windows, norms all around, scales",
    spec: {
      ...{ numHeads: 4, numKvHeads: 1, activation: "geluTanh", scale: 0.2 },
      embeddingScale: Math.sqrt(24),
      layers: [{ rope: { base: 1e4 }, window: 5 }, { rope: { base: 1e6 } }],
    },
    has: ["qNorm.weight", "kNorm.weight", "postAttentionNorm.weight", "postMlpNorm.weight"],
  },
  {
    name: "ALiBi, MHA, sizes that 4 does not divide",
    spec: {
      ...{ vocabSize: 11, dim: 15, hiddenDim: 13, numHeads: 3, numKvHeads: 3, headDim: 5 },
      alibiSlopes: [0.5, 0.25, 0.125],
      layers: [{}],
    },
    has: ["up.bias", "q.bias", "v.bias"],
  },
];

function tokensOf({ vocabSize }: DecoderSpec, random: Random, count: number): number[] {
  return Array.from({ length: count }, () => random.integer(0, vocabSize - 1));
}

function assertLogits(actual: Float32Array, expected: Float64Array, what: string): void {
  const largest = expected.reduce((most, logit) => Math.max(most, Math.abs(logit)), 0);
  assertClose(actual, expected, TOLERANCE * largest, what);
}

/** Runs `use` over a decoder and frees it. */
async function withDecoder<Result>(
  { spec, weights }: { spec: DecoderSpec; weights: DecoderWeights },
  options: DecoderOptions,
  use: (decoder: Decoder) => Promise<Result>,
): Promise<Result> {
  const decoder = await Decoder.create(await sharedGpu(), spec, weights, options);
  try {
    return await use(decoder);
  } finally {
    decoder.destroy();
  }
}

async function generated(
  decoder: Decoder,
  options: Parameters<Decoder["generate"]>[0],
): Promise<number[]> {
  const tokens = [];
  for await (const some of decoder.generate(options)) tokens.push(...some);
  return tokens;
}

/** Logits of tokens that are fed in pieces of these sizes. */
async function logitsInPieces(
  decoder: Decoder,
  tokens: readonly number[],
  sizes: readonly number[],
): Promise<Float32Array> {
  const logits: number[] = [];
  for (let start = 0, i = 0; start < tokens.length; i++) {
    const end = start + sizes[i % sizes.length];
    logits.push(...await decoder.forward(tokens.slice(start, end)));
    start = end;
  }
  return Float32Array.from(logits);
}

testStories("Decoder: stories260K goes on from BOS as it is known to", async () => {
  const tokens = greedyTokens();
  await withDecoder(await openStories(), {}, async (decoder) => {
    await decoder.feed(tokens.slice(0, 1));
    assertEquals(await generated(decoder, { tokens: 128 }), tokens.slice(1));
    assertEquals(decoder.length, 129);
  });
});

for (
  const { name, maxSeqLen, sizes } of [
    { name: "at once", maxSeqLen: 129, sizes: [129] },
    { name: "in pieces", maxSeqLen: 16, sizes: [50, 3] },
    { name: "one by one", maxSeqLen: 1, sizes: [1] },
  ]
) {
  testStories(`Decoder: stories260K, fed ${name}, has the reference's logits`, async () => {
    const stories = await openStories();
    const tokens = greedyTokens();
    const reference = await ReferenceDecoder.create(stories.spec, stories.weights);
    const { logits } = reference.forward(tokens);
    await withDecoder(stories, { maxSeqLen }, async (decoder) => {
      assertLogits(await logitsInPieces(decoder, tokens, sizes), logits, name);
    });
  });
}

testStories("Decoder: a prompt of any length goes on as it is known to", async () => {
  const tokens = greedyTokens();
  await withDecoder(await openStories(), { maxSeqLen: 64 }, async (decoder) => {
    for (const length of [2, 8, 64, 73]) {
      decoder.clear();
      await decoder.feed(tokens.slice(0, length));
      const next = await generated(decoder, { tokens: 9, batch: 4 });
      assertEquals(next, tokens.slice(length, length + 9), `${length} tokens`);
    }
  });
});

for (const sinks of [0, 3]) {
  testStories(`Decoder: a wrapped ring with ${sinks} sinks is the reference's window`, async () => {
    const stories = await openStories();
    const tokens = greedyTokens();
    const reference = await ReferenceDecoder.create(stories.spec, stories.weights);
    const options = { window: 13, sinks };
    const { logits } = reference.forward(tokens, options);
    await withDecoder(stories, { ...options, maxSeqLen: 7 }, async (decoder) => {
      assert(decoder.cacheBytes < 200_000, "the ring must be smaller than the context");
      assertLogits(await logitsInPieces(decoder, tokens, [20, 1, 1]), logits, "logits");

      decoder.clear();
      await decoder.feed(tokens.slice(0, 40));
      const next = await generated(decoder, { tokens: 20 });
      const { logits: again } = reference.forward([...tokens.slice(0, 40), ...next], options);
      const { vocabSize } = stories.spec;
      const best = next.map((_, i) => {
        const row = again.subarray((39 + i) * vocabSize, (40 + i) * vocabSize);
        return row.indexOf(Math.max(...row));
      });
      assertEquals(next, best);
    });
  });
}

for (const { name, spec: parts, has } of MODELS) {
  testRandomly(`Decoder: ${name}`, async (random) => {
    const spec = { ...SMALL, ...parts };
    const weights = weightsOf(spec, random, has);
    const tokens = tokensOf(spec, random, 21);
    const reference = await ReferenceDecoder.create(spec, weights);
    await withDecoder({ spec, weights }, { maxSeqLen: 9 }, async (decoder) => {
      const logits = await logitsInPieces(decoder, tokens, [17, 1]);
      assertLogits(logits, reference.forward(tokens).logits, name);
    });
  });
}

for (const weightDtype of ["f16", "int8", "int4"] as const) {
  testRandomly(`Decoder: matrices in ${weightDtype} count as they are stored`, async (random) => {
    if (weightDtype === "f16" && !await hasF16()) return;
    const weights = weightsOf(SMALL, random, ["classifier.weight"]);
    const stored = await roundedWeights(SMALL, weights, weightDtype);
    const tokens = tokensOf(SMALL, random, 10);
    const reference = await ReferenceDecoder.create(SMALL, stored);
    const { weightBytes } = await withDecoder({ spec: SMALL, weights }, {}, (decoder) => {
      return Promise.resolve(decoder);
    });
    await withDecoder({ spec: SMALL, weights }, { weightDtype }, async (decoder) => {
      assert(decoder.weightBytes < 0.6 * weightBytes, `${decoder.weightBytes} of ${weightBytes}`);
      const logits = await logitsInPieces(decoder, tokens, [9, 1]);
      assertLogits(logits, reference.forward(tokens).logits, weightDtype);
    });
  });
}

/** The weights as matrices of an element type keep them. */
async function roundedWeights(
  spec: DecoderSpec,
  weights: DecoderWeights,
  dtype: KvDtype,
): Promise<DecoderWeights> {
  const kept = new Map();
  for (const { name, shape } of weightShapes(spec)) {
    if (!weights.has(name)) continue;
    const { data } = await weights.read(name);
    const isMatrix = shape.length === 2;
    kept.set(name, { data: isMatrix ? rounded({ data, shape }, dtype).data : data, shape });
  }
  return memoryWeights(kept);
}

testRandomly("Decoder: keys and values in int8 and int4 change logits a little", async (random) => {
  const weights = weightsOf(SMALL, random);
  const tokens = tokensOf(SMALL, random, 30);
  const reference = await ReferenceDecoder.create(SMALL, weights);
  const { logits } = reference.forward(tokens);
  const errors = [];
  for (const kvDtype of ["int8", "int4"] as const) {
    const error = await withDecoder({ spec: SMALL, weights }, { kvDtype }, async (decoder) => {
      const actual = await decoder.forward(tokens);
      return Math.sqrt(actual.reduce((sum, logit, i) => sum + (logit - logits[i]) ** 2, 0));
    });
    errors.push(error / Math.sqrt(logits.reduce((sum, logit) => sum + logit ** 2, 0)));
  }
  const [int8, int4] = errors;
  assert(int8 > 0 && int8 < 0.02, `int8: ${int8}`);
  assert(int4 > int8 && int4 < 0.3, `int4: ${int4}`);
});

testRandomly("Decoder: a window takes no more memory than none", async (random) => {
  const weights = weightsOf(SMALL, random);
  const tokens = tokensOf(SMALL, random, 30);
  const reference = await ReferenceDecoder.create(SMALL, weights);
  const bytes: number[] = [];
  for (const window of [undefined, 29, 20, 5]) {
    const { logits } = reference.forward(tokens, { window, sinks: 1 });
    const options = { window, sinks: 1, maxTokens: 32, maxSeqLen: 8 };
    await withDecoder({ spec: SMALL, weights }, options, async (decoder) => {
      bytes.push(decoder.cacheBytes);
      assertLogits(await logitsInPieces(decoder, tokens, [8]), logits, `window ${window}`);
    });
  }
  const [all, ...others] = bytes;
  assertEquals(others.map((some) => Math.sign(all - some)), [0, 1, 1]);
});

testRandomly(
  "Decoder: draws are repeated by their seed, and follow the likelihoods",
  async (random) => {
    const spec = { ...SMALL, vocabSize: 6, contextLen: 1500 };
    const weights = weightsOf(spec, random);
    await withDecoder({ spec, weights }, { window: 1, maxSeqLen: 1 }, async (decoder) => {
      const draw = async (options: Parameters<Decoder["generate"]>[0]) => {
        decoder.clear();
        await decoder.feed([1]);
        return await generated(decoder, { batch: 500, ...options });
      };
      const seed = random.integer(0, 2 ** 32 - 1);
      const tokens = await draw({ tokens: 1400, temperature: 1.3, seed });
      assertEquals(
        await draw({ tokens: 50, temperature: 1.3, seed, batch: 7 }),
        tokens.slice(0, 50),
      );
      const others = await draw({ tokens: 50, temperature: 1.3, seed: (seed + 1) % 2 ** 32 });
      assert(`${others}` !== `${tokens.slice(0, 50)}`, "another seed must draw otherwise");

      // With a window of one token, what follows depends on that token alone.
      const reference = await ReferenceDecoder.create(spec, weights);
      for (let token = 0; token < spec.vocabSize; token++) {
        const likelihoods = softmax(reference.forward([token]).logits, 1.3);
        const followers = tokens.filter((_, i) => [1, ...tokens][i] === token);
        if (followers.length < 50) continue;
        likelihoods.forEach((p, next) => {
          const share = followers.filter((one) => one === next).length / followers.length;
          const deviation = Math.sqrt(p * (1 - p) / followers.length);
          assert(
            Math.abs(share - p) < 5 * deviation + 0.01,
            `${next} after ${token}: ${share}, not ${p}`,
          );
        });
      }

      for (const topP of [0.3, 0.7]) {
        const drawn = await draw({ tokens: 600, temperature: 1.3, topP, seed });
        for (let token = 0; token < spec.vocabSize; token++) {
          const likelihoods = softmax(reference.forward([token]).logits, 1.3);
          const sum = (some: Float64Array) => some.reduce((a, b) => a + b, 0);
          const aboveOf = (next: number) => sum(likelihoods.filter((p) => p > likelihoods[next]));
          const followers = drawn.filter((_, i) => [1, ...drawn][i] === token);
          for (const next of new Set(followers)) {
            // Without those that are likelier there is not enough yet.
            assert(aboveOf(next) < topP + 1e-4, `${next} has ${aboveOf(next)} above it`);
          }
          if (followers.length < 100) continue;
          const nucleus = likelihoods.map((p, next) => aboveOf(next) < topP - 1e-4 ? p : 0);
          nucleus.forEach((p, next) => {
            if (p < 0.2 * sum(nucleus)) return;
            assert(followers.includes(next), `${next} must come after ${token}`);
          });
        }
      }
    });
  },
);

function softmax(logits: Float64Array, temperature: number): Float64Array {
  const most = Math.max(...logits);
  const exponentials = logits.map((logit) => Math.exp((logit - most) / temperature));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((value) => value / sum);
}

Deno.test("Decoder: of equally likely tokens the first is chosen", async () => {
  const spec = { ...TINY, vocabSize: 300, contextLen: 16 };
  const embedding = new Float32Array(600).fill(1);
  const weights = randomWeights(spec);
  const tied: DecoderWeights = {
    has: weights.has,
    read: async (name) =>
      name === "embedding.weight" ? { data: embedding, shape: [300, 2] } : await weights.read(name),
  };
  await withDecoder({ spec, weights: tied }, {}, async (decoder) => {
    await decoder.feed([7]);
    assertEquals(await generated(decoder, { tokens: 2 }), [0, 0]);
  });
});

// Software drivers end loops after some ten thousand rounds without a word.
for (
  const { vocabSize, temperature, topP } of [
    { vocabSize: 600_000, temperature: 0, topP: 1 },
    { vocabSize: 20_000, temperature: 1, topP: 1e-6 },
    { vocabSize: 20_000, temperature: 1e-40, topP: 1 },
  ]
) {
  Deno.test(`Decoder: the likeliest of ${vocabSize} tokens is the last, at temperature ${temperature}`, async () => {
    const { spec, weights } = lastIsLikeliest(vocabSize);
    await withDecoder({ spec, weights }, { maxSeqLen: 1 }, async (decoder) => {
      await decoder.feed([7]);
      const last = vocabSize - 1;
      assertEquals(await generated(decoder, { tokens: 2, temperature, topP }), [last, last]);
    });
  });
}

testRandomly(
  "Decoder: one logit that is not a number is an error, wherever it is",
  async (random) => {
    const vocabSize = random.integer(50, 3000);
    const { spec } = lastIsLikeliest(vocabSize);
    for (const token of [0, vocabSize - 1, random.integer(1, vocabSize - 2)]) {
      const embedding = new Array(2 * vocabSize).fill(1);
      embedding[2 * token + random.integer(0, 1)] = NaN;
      const weights = weightsWith(spec, { "embedding.weight": embedding });
      await withDecoder({ spec, weights }, { maxSeqLen: 1 }, async (decoder) => {
        for (const temperature of [0, 1]) {
          decoder.clear();
          const other = (token + 1) % vocabSize;
          const logits = await decoder.forward([other]);
          assertEquals(logits.filter(Number.isNaN).length, 1);
          const says = "a logit is not a number";
          const generate = () => generated(decoder, { tokens: 1, temperature });
          await assertRejects(generate, GpuWorkError, says, `${token} of ${vocabSize}`);
        }
      });
    }
  },
);

testRandomly(
  "Decoder: the draws of neighbouring seeds have nothing to do with each other",
  async (random) => {
    // Of 30,000 equally likely tokens, two draws are the same one time in 30,000.
    const spec = { ...TINY, vocabSize: 30_000, contextLen: 128 };
    const weights = weightsWith(spec, { "embedding.weight": new Array(60_000).fill(1) });
    await withDecoder({ spec, weights }, { maxSeqLen: 1 }, async (decoder) => {
      const first = random.integer(0, 2 ** 32 - 4);
      const draws: number[][] = [];
      for (
        const seed of [first, first + 1, first + 2, (first ^ 1) >>> 0, (first ^ 2 ** 31) >>> 0]
      ) {
        decoder.clear();
        await decoder.feed([7]);
        draws.push(await generated(decoder, { tokens: 30, temperature: 1, seed }));
      }
      const seeds = new Set(draws.map((tokens) => tokens.join())).size;
      // One of the flipped bits may give a seed that is there already.
      assert(seeds >= 4, `${seeds} of 5 seeds draw for themselves`);
      for (const [i, a] of draws.entries()) {
        assert(new Set(a).size >= 28, `${a}: they must be spread`);
        for (const b of draws.slice(0, i)) {
          if (a.join() === b.join()) continue;
          for (let shift = -3; shift <= 3; shift++) {
            const same = a.filter((token, at) => token === b[at + shift]).length;
            assert(same <= 2, `${same} draws are those of another seed, ${shift} further`);
          }
        }
      }
      // And the same seed draws the same.
      decoder.clear();
      await decoder.feed([7]);
      assertEquals(await generated(decoder, { tokens: 30, temperature: 1, seed: first }), draws[0]);
    });
  },
);

testRandomly("Decoder: draws from a large vocabulary follow the likelihoods", async (random) => {
  const { spec, weights } = lastIsLikeliest(20_000);
  // The last token has a logit of 4, all others of 2: at this temperature it is as likely as they are together.
  const temperature = 2 / Math.log(spec.vocabSize - 1);
  await withDecoder({ spec, weights }, { maxSeqLen: 1 }, async (decoder) => {
    await decoder.feed([7]);
    const seed = random.integer(0, 2 ** 32 - 1);
    const tokens = await generated(decoder, { tokens: 120, temperature, seed });
    const others = tokens.filter((token) => token !== spec.vocabSize - 1);
    assert(Math.abs(others.length - 60) < 30, `${others.length} of 120`);
    assert(new Set(others).size > others.length / 2, "others must be spread");
  });
});

/** A model whose logits are 4 for the last token and 2 for all others, whatever it is fed. */
function lastIsLikeliest(vocabSize: number): { spec: DecoderSpec; weights: DecoderWeights } {
  const spec = { ...TINY, vocabSize, contextLen: 128 };
  const embedding = new Array(2 * vocabSize).fill(1).fill(2, 2 * vocabSize - 2);
  return { spec, weights: weightsWith(spec, { "embedding.weight": embedding }) };
}

testRandomly(
  "Decoder: penalties and biases are those of the text so far, however it comes",
  async (random) => {
    const weights = weightsOf(SMALL, random);
    const prompt = tokensOf(SMALL, random, 3);
    const reference = await ReferenceDecoder.create(SMALL, weights);
    const sampling = {
      ...GREEDY,
      ...{ repetitionPenalty: 1.3, frequencyPenalty: 0.4, presencePenalty: 0.3 },
      logitBias: new Map([[random.integer(0, SMALL.vocabSize - 1), 0.5]]),
    };
    await withDecoder({ spec: SMALL, weights }, {}, async (decoder) => {
      const texts = [];
      for (const batch of [16, 3]) {
        decoder.clear();
        await decoder.feed(prompt);
        texts.push(await generated(decoder, { ...sampling, tokens: 12, batch }));
      }
      const [text, inSmallBatches] = texts;
      assertEquals(inSmallBatches, text);
      for (const [i, token] of text.entries()) {
        const soFar = [...prompt, ...text.slice(0, i)];
        const logits = reference.forward(soFar).logits.slice(-SMALL.vocabSize);
        const tokens = { prompt, generated: text.slice(0, i) };
        const adjusted = adjustedLogits(logits, sampling, tokens);
        const best = Math.max(...adjusted);
        assert(best - adjusted[token] < 1e-3, `${token}: ${adjusted[token]}, not ${best}`);
      }
    });
  },
);

testRandomly("Decoder: generating goes on from the last logits of forward", async (random) => {
  const weights = weightsOf(SMALL, random);
  await withDecoder({ spec: SMALL, weights }, { maxSeqLen: 4 }, async (decoder) => {
    for (let i = 0; i < 3; i++) {
      decoder.clear();
      const last = (await decoder.forward(tokensOf(SMALL, random, 8))).subarray(-SMALL.vocabSize);
      assertEquals(await generated(decoder, { tokens: 1 }), [last.indexOf(Math.max(...last))]);
    }
  });
});

testRandomly("Decoder: what was generated past the end of a text is taken back", async (random) => {
  const windows = [
    { maxSeqLen: 64 },
    { window: 5, sinks: 2, maxSeqLen: 16 },
    { window: 3, maxSeqLen: 9 },
  ];
  for (const options of windows) {
    for (const kvDtype of ["f32", "int8"] as const) {
      const layers = [{ rope: {}, window: 4 }, { rope: {} }];
      const spec: DecoderSpec = { ...SMALL, layers, contextLen: 64 };
      const model = { spec, weights: weightsOf(spec, random) };
      const prompt = tokensOf(spec, random, random.integer(1, 20));
      const next = tokensOf(spec, random, random.integer(1, 5));
      // Of a batch of 16, as many tokens can be taken back as come in at once.
      const kept = random.integer(Math.max(1, 16 - options.maxSeqLen), 16);
      await withDecoder(model, { ...options, kvDtype }, async (decoder) => {
        await decoder.feed(prompt);
        const text: number[] = [];
        for await (const batch of decoder.generate({ tokens: 40 })) {
          text.push(...batch.slice(0, kept));
          break;
        }
        await decoder.truncate(prompt.length + kept);
        assertEquals(decoder.length, prompt.length + kept);
        const logits = await decoder.forward(next);

        // One token at a time, as they came.
        decoder.clear();
        await decoder.forward(prompt);
        for (const token of text) await decoder.feed([token]);
        assertEquals(await decoder.forward(next), logits);
      });
    }
  }
});

Deno.test("Decoder: taking tokens back, and how to go on from there", async () => {
  const spec = { ...SMALL, layers: [{ rope: {} }, { rope: {}, window: 4 }], contextLen: 64 };
  const model = { spec, weights: randomWeights(spec) };
  await withDecoder(model, { maxSeqLen: 3 }, async (decoder) => {
    await decoder.truncate(0);
    await decoder.feed([1, 2, 3, 4, 5]);
    const [likeliest] = await generated(decoder, { tokens: 1 });
    await decoder.truncate(5);
    const says =
      "something must be fed after tokens were taken back (the next turn, or the last token again): current value length=5";
    await assertRejects(() => generated(decoder, { tokens: 1 }), RangeError, says);
    await decoder.truncate(4);
    await decoder.feed([5]);
    assertEquals(await generated(decoder, { tokens: 1 }), [likeliest]);
    // As many tokens as there are change nothing.
    await decoder.truncate(6);
    await generated(decoder, { tokens: 1 });

    const wrong: [length: unknown, kind: typeof RangeError | typeof TypeError, says: string][] = [
      [8, RangeError, "length=8, currentLength=7"],
      [-1, RangeError, "length=-1"],
      [1.5, RangeError, "length=1.5"],
      ["1", TypeError, 'length="1"'],
      [2, RangeError, "tokens that the next one sees were overwritten"],
    ];
    for (const [length, kind, says] of wrong) {
      await assertRejects(() => decoder.truncate(length as number), kind, says);
      assertEquals(decoder.length, 7);
    }
    await generated(decoder, { tokens: 1 });
    // A generator that goes on afterwards finds no answer either; calls wait for those before.
    const texts = decoder.generate({ tokens: 20, batch: 2 });
    await texts.next();
    const [, rejected] = await Promise.allSettled([decoder.truncate(9), texts.next()]);
    assertEquals(rejected.status, "rejected");
    decoder.clear();
    await assertRejects(() => generated(decoder, { tokens: 1 }), RangeError, "must be fed before");
  });
});

testRandomly("Decoder: calls at once feed one after the other", async (random) => {
  const weights = weightsOf(SMALL, random);
  await withDecoder({ spec: SMALL, weights }, { maxSeqLen: 2 }, async (decoder) => {
    const [first, second] = [tokensOf(SMALL, random, 7), tokensOf(SMALL, random, 5)];
    await decoder.feed(first);
    const expected = await decoder.forward(second);
    const next = await generated(decoder, { tokens: 4, batch: 2 });
    decoder.clear();
    const calls = [
      decoder.feed(first),
      decoder.forward(second),
      generated(decoder, { tokens: 4, batch: 2 }),
    ] as const;
    // What was handed over is the caller's again.
    for (const tokens of [first, second]) tokens.fill(0);
    const [, actual, generatedNext] = await Promise.all(calls);
    assertEquals([actual, generatedNext], [expected, next]);

    // There is room for each of them, and not for both.
    decoder.clear();
    const long = tokensOf(SMALL, random, 20);
    const results = await Promise.allSettled([decoder.feed(long), decoder.feed(long)]);
    assertEquals(results.map(({ status }) => status), ["fulfilled", "rejected"]);
    assertEquals(decoder.length, 20);
  });
});

for (const temperature of [0, 1]) {
  Deno.test(`Decoder: weights that are not numbers are an error at temperature ${temperature}`, async () => {
    const spec = { ...TINY, contextLen: 16 };
    const weights = randomWeights(spec);
    const broken: DecoderWeights = {
      has: weights.has,
      read: async (name) => {
        const weight = await weights.read(name);
        return name === "layers.0.down.weight"
          ? { ...weight, data: weight.data.map(() => NaN) }
          : weight;
      },
    };
    await withDecoder({ spec, weights: broken }, {}, async (decoder) => {
      await decoder.feed([1, 2]);
      const error = await assertRejects(() => generated(decoder, { tokens: 3, temperature }));
      assert(error instanceof GpuWorkError);
      assert(error.message.endsWith("current value position=2"), error.message);
    });
  });
}

Deno.test("Decoder: bad input is an error before anything runs", async () => {
  const gpu = await sharedGpu();
  const spec = { ...TINY, contextLen: 6 };
  await withDecoder({ spec, weights: randomWeights(spec) }, {}, async (decoder) => {
    const rejects = async (work: () => Promise<unknown>, message: string) => {
      const error: Error = await assertRejects(work, Error);
      assert(error.message.includes(message), error.message);
    };
    await rejects(() => generated(decoder, { tokens: 1 }), "something must be fed before");
    const create = (maxSeqLen: number) =>
      Decoder.create(gpu, spec, randomWeights(spec), { maxSeqLen });
    await rejects(() => create(0), "Cannot create Decoder as maxSeqLen");
    await rejects(() => decoder.feed([]), "tokens must be an array");
    await rejects(() => decoder.feed([3]), "token=3, vocabSize=3");
    await rejects(() => decoder.feed([1.5]), "whole number");
    await rejects(() => decoder.feed([0, 1, 2, 0, 1, 2, 0]), "length=0, tokens=7, maxTokens=6");
    await decoder.feed([0, 1]);
    await rejects(() => generated(decoder, { tokens: 5 }), "length=2, tokens=5, maxTokens=6");
    await rejects(() => generated(decoder, { tokens: -1 }), "tokens must be");
    await rejects(() => generated(decoder, { tokens: 1, temperature: -1 }), "temperature=-1");
    await rejects(() => generated(decoder, { tokens: 1, temperature: NaN }), "temperature=NaN");
    await rejects(() => generated(decoder, { tokens: 1, topP: 0 }), "topP=0");
    await rejects(
      () => generated(decoder, { tokens: 1, seed: 2 ** 32 }),
      "seed must be below 2^32",
    );
    assertEquals(decoder.length, 2);
  });
  await assertRejects(
    () => Decoder.create(gpu, { ...spec, layers: [] }, randomWeights(spec)),
    RangeError,
    "layers=0",
  );
  const learned = randomWeights(spec, { has: (name) => name === "positions.weight" });
  await assertRejects(
    () => Decoder.create(gpu, spec, learned, { maxTokens: 7 }),
    RangeError,
    "the model's positions end with contextLen: current values maxTokens=7, contextLen=6",
  );
  await assertRejects(
    () =>
      Decoder.create(gpu, { ...spec, positionsEnd: true }, randomWeights(spec), { maxTokens: 7 }),
    RangeError,
    "the model's positions end with contextLen: current values maxTokens=7, contextLen=6",
  );
  const lying: DecoderWeights = {
    has: learned.has,
    read: async (name) =>
      await randomWeights(name.includes("down") ? { ...spec, hiddenDim: 3 } : spec).read(name),
  };
  await assertRejects(
    () => Decoder.create(gpu, spec, { ...lying, has: () => false }),
    RangeError,
    "layers.0.down.weight must have shape [2, 2]: current value layers.0.down.weight=[2, 3]",
  );
});

testRandomly(
  "Decoder: a vocabulary beyond a binding is cut, and every token is reached",
  async (random) => {
    const { maxStorageBufferBindingSize } = (await sharedGpu()).device.limits;
    const most = 2 ** 27;
    if (maxStorageBufferBindingSize > most) {
      return console.log(
        `a large vocabulary is not tested: bindings hold ${maxStorageBufferBindingSize} bytes`,
      );
    }
    const spec = { ...SMALL, dim: 256, vocabSize: 140_001, layers: [{ rope: {} }] };
    const weights = weightsOf(spec, random);
    const last = spec.vocabSize - 1;
    const tokens = [0, most / 4 / 256 - 1, most / 4 / 256, last];
    const reference = await ReferenceDecoder.create(spec, weights);
    await withDecoder({ spec, weights }, {}, async (decoder) => {
      const logits = await decoder.forward(tokens);
      assertLogits(logits, reference.forward(tokens).logits, "logits");
    });
  },
);

Deno.test("Decoder: the attention shapes of Gemma 3 1B decode 64 tokens in the planned memory", async () => {
  const layers = Array.from({ length: 26 }, (_, i) => {
    const isGlobal = i % 6 === 5;
    return { rope: { base: isGlobal ? 1e6 : 1e4 }, window: isGlobal ? undefined : 512 };
  });
  const spec: DecoderSpec = {
    ...{ vocabSize: 256, dim: 128, hiddenDim: 64, numHeads: 4, numKvHeads: 1, headDim: 256 },
    ...{ contextLen: 1024, layers, norm: { kind: "rms", eps: 1e-6 } },
    ...{ activation: "geluTanh", isGated: true, isParallel: false, scale: 1 / 16 },
  };
  const weights = randomWeights(spec, {
    has: (name) => /(q|k|postAttention|postMlp)Norm/.test(name),
  });
  await withDecoder({ spec, weights }, { maxSeqLen: 1 }, async (decoder) => {
    await decoder.feed([1]);
    assertEquals((await generated(decoder, { tokens: 64 })).length, 64);
    const planned = kvCacheBytes(
      {
        ...{ numLayers: 26, numKvHeads: 1, headDim: 256 },
        windowed: { numLayers: 22, window: 512 },
      },
      { contextLen: 1024, dtype: "f32" },
    );
    // Each cache counts its tokens and its changes, and has a table of 128 rotations.
    assertEquals(decoder.cacheBytes, planned + 26 * (8 + 64 + 128 * 16));
  });
});
