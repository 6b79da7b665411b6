// Many sequences at once: each gets the tokens that it gets alone, whatever the others do.
import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Gpu, GpuWorkError, PagedKvCache } from "../../mod.ts";
import {
  Batch,
  type BatchOptions,
  type BatchSequence,
  type BatchSequenceOptions,
  type BatchSteps,
  Decoder,
  type DecoderOptions,
  type DecoderSpec,
  type DecoderWeights,
  type GeneratedToken,
  ReferenceDecoder,
} from "../../src/model/mod.ts";
import { buffersOf } from "../support/buffers.ts";
import { sharedGpu } from "../support/gpu.ts";
import { SMALL as AWKWARD, TINY, weightsOf, weightsWith } from "../support/models.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { randomSampling } from "../support/sampling.ts";
import { openStories, testStories } from "../support/stories.ts";
import { assertText } from "../support/text.ts";
import { until } from "../support/within.ts";

/** A model whose layers share their rotary positions. */
const SMALL: DecoderSpec = { ...AWKWARD, contextLen: 60, layers: [{ rope: {} }, { rope: {} }] };

/** The layers of Gemma 3 in small: local ones with windows and their own rotary positions, a global one with scaled ones. */
const GEMMA: Partial<DecoderSpec> = {
  layers: [
    { rope: { base: 100 }, window: 5 },
    { rope: { base: 5000, frequencies: (frequency) => frequency / 8 } },
    { rope: { base: 100 }, window: 5 },
  ],
  ...{ activation: "geluTanh", scale: 0.2, embeddingScale: 5 },
};
const GEMMA_NORMS = [
  ...["qNorm.weight", "kNorm.weight", "postAttentionNorm.weight", "postMlpNorm.weight"],
];

interface ModelOf {
  spec: DecoderSpec;
  weights: DecoderWeights;
}

async function withBatch<Result>(
  { spec, weights }: ModelOf,
  options: BatchOptions,
  use: (batch: Batch) => Promise<Result>,
): Promise<Result> {
  const batch = await Batch.create(await sharedGpu(), spec, weights, options);
  try {
    return await use(batch);
  } finally {
    batch.destroy();
  }
}

/** Refuses buffers of a label, so many of them; what it returns ends that. */
function refuseBuffers(device: GPUDevice, label: string, most = Infinity): () => void {
  const createBuffer = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const isRefused = descriptor.label === label && most-- > 0;
    const size = isRefused ? device.limits.maxBufferSize + 4 : descriptor.size;
    return createBuffer({ ...descriptor, size });
  };
  return () => void (device.createBuffer = createBuffer);
}

async function read(sequence: BatchSequence): Promise<GeneratedToken[]> {
  const all = [];
  for await (const some of sequence) all.push(...some);
  return all;
}

async function tokensOf(sequence: BatchSequence): Promise<number[]> {
  return (await read(sequence)).map(({ token }) => token);
}

/** Waits for the step that follows the end of a sequence. */
async function settled(batch: Batch): Promise<void> {
  while (batch.stats.running + batch.stats.waiting > 0) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const { pages } = batch.stats;
  assertEquals(pages.available, pages.total, "no page is lost");
}

function promptOf(random: Random, { vocabSize }: DecoderSpec, length: number): number[] {
  return Array.from({ length }, () => random.integer(0, vocabSize - 1));
}

/** The same sequence by a decoder that has no other. */
async function alone(
  decoder: Decoder,
  { tokens, maxTokens, ...sampling }: BatchSequenceOptions,
): Promise<number[]> {
  decoder.clear();
  await decoder.feed(tokens);
  const all = [];
  for await (const some of decoder.generate({ ...sampling, tokens: maxTokens })) all.push(...some);
  return all;
}

function randomSequence(
  random: Random,
  spec: DecoderSpec,
  { mostOfPrompt = 30, leastNew = 1 }: SequenceSizes = {},
): BatchSequenceOptions {
  const length = random.integer(1, mostOfPrompt);
  return {
    ...randomSampling(random, spec.vocabSize),
    tokens: promptOf(random, spec, length),
    maxTokens: random.integer(leastNew, spec.contextLen - length),
  };
}

/** Bounds of sequences that are drawn. */
interface SequenceSizes {
  mostOfPrompt?: number;
  leastNew?: number;
}

/** What a batch and a decoder have in common, and what they have not. */
const CASES: readonly {
  name: string;
  spec?: Partial<DecoderSpec>;
  has?: readonly string[];
  decoder?: DecoderOptions;
  batch?: BatchOptions;
  sequences?: SequenceSizes;
}[] = [
  { name: "room for all" },
  { name: "steps of few tokens", batch: { maxSequences: 3, maxStepTokens: 5, stepsPerRead: 3 } },
  {
    name: "few pages",
    batch: { maxSequences: 8, cacheBytes: 2 * 2 * 2 * 8 * 4 * 4 * 24, pageSize: 4 },
    // The five that come together begin in 10 of the 24 pages, and end in 35 at least.
    sequences: { mostOfPrompt: 8, leastNew: 24 },
  },
  {
    name: "a window, whose pages are given back, and a layer without rotary positions",
    spec: { layers: [{ rope: { dims: 4, style: "pairs" } }, {}] },
    decoder: { window: 7, sinks: 2 },
    batch: { window: 7, sinks: 2, pageSize: 4, maxStepTokens: 16 },
  },
  {
    name: "layers of which one has a window, norms all around",
    spec: { layers: [{ rope: {}, window: 5 }, { rope: {} }], scale: 0.2 },
    has: GEMMA_NORMS,
  },
  {
    name: "local layers of other rotary positions, few pages",
    spec: GEMMA,
    has: GEMMA_NORMS,
    batch: { maxSequences: 8, cacheBytes: 3 * 2 * 2 * 8 * 4 * 4 * 24, pageSize: 4 },
    sequences: { mostOfPrompt: 8, leastNew: 24 },
  },
  {
    name: "learned positions, biases, one KV head",
    spec: {
      ...{ numKvHeads: 1, isGated: false, activation: "geluTanh", layers: [{}, {}] },
      norm: { kind: "layer", eps: 1e-5 },
    },
    has: ["bias", "positions.weight", "classifier.weight"],
  },
  {
    name: "ALiBi, sizes that 4 does not divide",
    spec: {
      ...{ vocabSize: 11, dim: 15, hiddenDim: 13, numHeads: 3, numKvHeads: 3, headDim: 5 },
      ...{ alibiSlopes: [0.5, 0.25, 0.125], layers: [{}] },
    },
  },
];

for (const { name, spec: changes, has, sequences, ...options } of CASES) {
  testRandomly(`Batch: sequences are those that run alone: ${name}`, async (random) => {
    const spec = { ...SMALL, ...changes };
    const weights = weightsOf(spec, random, has);
    const reference = await ReferenceDecoder.create(spec, weights);
    const asked = Array.from({ length: 8 }, () => randomSequence(random, spec, sequences));
    const decoder = await Decoder.create(await sharedGpu(), spec, weights, options.decoder);
    const expected: number[][] = [];
    for (const one of asked) expected.push(await alone(decoder, one));
    decoder.destroy();
    await withBatch({ spec, weights }, { maxSequences: 6, ...options.batch }, async (batch) => {
      // Some come together, others while these run.
      const texts = await Promise.all(asked.map(async (one, i) => {
        if (i > 4) await new Promise((resolve) => setTimeout(resolve, 40 * (i - 4)));
        return await tokensOf(batch.add(one));
      }));
      texts.forEach((text, i) => assertText(text, expected[i], asked[i], reference));
      await settled(batch);
      const { setBacks, pages } = batch.stats;
      if (name.endsWith("few pages")) assert(setBacks > 0, `no set-back with ${pages.total} pages`);
    });
  });
}

/**
 * Texts that may differ. Sums of a batch, in another order than a decoder's, take few numbers over the border between two
 * integers of four bits: not one in 1e5, or one in 30 texts, and hardly ever does that decide a choice.
 */
const MOST_OTHER_TEXTS = 2;

testRandomly("Batch: calibrated caches hold what a decoder's hold", async (random) => {
  const layers = [{ rope: { base: 100 }, window: 5 }, { rope: { base: 5000 } }];
  const spec = { ...SMALL, layers };
  const weights = weightsOf(spec, random, GEMMA_NORMS);
  const gpu = await sharedGpu();
  const exact = await Decoder.create(gpu, spec, weights);
  await exact.feed(promptOf(random, spec, 50));
  const stored = { kvDtype: "int4", kvCalibration: await exact.calibrate() } as const;
  exact.destroy();
  const decoder = await Decoder.create(gpu, spec, weights, stored);
  const shared = promptOf(random, spec, 13);
  const asked = Array.from({ length: 8 }, (_, i): BatchSequenceOptions => {
    const { tokens, ...one } = randomSequence(random, spec);
    return { ...one, tokens: [...shared, ...tokens.slice(0, 9)], maxTokens: 20 + i };
  });
  const expected: number[][] = [];
  for (const one of asked) expected.push(await alone(decoder, one));
  // Room for three of the sequences.
  const pages = { pageSize: 4, cacheBytes: 2 * 2 * 2 * (8 / 2 + 4) * 4 * 35 };
  await withBatch({ spec, weights }, { ...stored, ...pages, maxSequences: 8 }, async (batch) => {
    const texts = await Promise.all(asked.map((one) => tokensOf(batch.add(one))));
    const { setBacks, pages: { total } } = batch.stats;
    assert(setBacks > 0, `no set-back with ${total} pages`);
    // More than may differ.
    const again = asked.slice(0, MOST_OTHER_TEXTS + 1);
    for (const one of again) {
      const { prompt } = batch.stats;
      texts.push(await tokensOf(batch.add(one)));
      assert(batch.stats.prompt - prompt < one.tokens.length - 8, "whole pages are known");
    }
    const others = texts.filter((text, i) => `${text}` !== `${expected[i % asked.length]}`);
    assert(others.length <= MOST_OTHER_TEXTS, `${others.length} of ${texts.length} texts differ`);
    await settled(batch);
  });
  decoder.destroy();
});

testStories("Batch: 32 sequences of stories260K are those that run alone", async () => {
  const model = await openStories();
  const asked = Array.from({ length: 32 }, (_, i): BatchSequenceOptions => ({
    ...{ tokens: [1, 400 + i % 16], maxTokens: 24, seed: i, temperature: i % 2 === 0 ? 0 : 0.9 },
  }));
  const decoder = await Decoder.create(await sharedGpu(), model.spec, model.weights);
  const expected: number[][] = [];
  for (const one of asked) expected.push(await alone(decoder, one));
  decoder.destroy();
  const reference = await ReferenceDecoder.create(model.spec, model.weights);
  await withBatch(model, { maxSequences: 32 }, async (batch) => {
    const texts = await Promise.all(asked.map((one) => tokensOf(batch.add(one))));
    texts.forEach((text, i) => assertText(text, expected[i], asked[i], reference));
    assertEquals(batch.stats.generated, 32 * 24);
    // All run together: a step for the prompts, and one for each token that is fed.
    assert(batch.stats.steps <= 26, `${batch.stats.steps} steps`);
    await settled(batch);
  });
});

testRandomly(
  "Batch: prompts that begin alike begin behind what is known of them",
  async (random) => {
    const spec = { ...SMALL, ...GEMMA };
    const weights = weightsOf(spec, random, GEMMA_NORMS);
    const shared = promptOf(random, spec, 33);
    const asked = [0, 1, 2].map((i) => ({
      ...{ tokens: [...shared, ...promptOf(random, spec, 3)], maxTokens: 8, seed: i },
      ...{ temperature: i === 1 ? 1 : 0 },
    }));
    const reference = await ReferenceDecoder.create(spec, weights);
    const [texts, fed]: [number[][], number[]] = [[], []];
    await withBatch({ spec, weights }, { pageSize: 8 }, async (batch) => {
      for (const one of asked) {
        const before = batch.stats.prompt;
        texts.push(await tokensOf(batch.add(one)));
        fed.push(batch.stats.prompt - before);
      }
      await settled(batch);
    });
    // 4 of the 8-token pages are whole.
    assertEquals(fed, [36, 4, 4]);
    const decoder = await Decoder.create(await sharedGpu(), spec, weights);
    for (const [i, one] of asked.entries()) {
      assertText(texts[i], await alone(decoder, one), one, reference);
    }
    decoder.destroy();
  },
);

testRandomly("Batch: a conversation goes on from what its reader saw", async (random) => {
  const weights = weightsOf(SMALL, random);
  const prompt = promptOf(random, SMALL, 5);
  await withBatch({ spec: SMALL, weights }, { pageSize: 4 }, async (batch) => {
    const whole = await tokensOf(batch.add({ tokens: prompt, maxTokens: 24 }));
    // Ends within the steps of a read: tokens behind the end are none of the text.
    const end = 9;
    let count = 0;
    const first = batch.add({
      ...{ tokens: prompt, maxTokens: 24, endsWith: () => ++count === end + 1 },
    });
    const text = await tokensOf(first);
    assertEquals([text, first.finish], [whole.slice(0, end + 1), "end"]);
    await settled(batch);
    const before = batch.stats.prompt;
    const turn = promptOf(random, SMALL, 2);
    const tokens = [...prompt, ...text, ...turn];
    const next = await tokensOf(batch.add({ tokens, maxTokens: 5 }));
    assert(batch.stats.prompt - before < 4 + turn.length + 1, "whole pages are known");
    const decoder = await Decoder.create(await sharedGpu(), SMALL, weights);
    const reference = await ReferenceDecoder.create(SMALL, weights);
    const asked = { tokens, maxTokens: 5 };
    assertText(next, await alone(decoder, asked), asked, reference);
    decoder.destroy();
  });
});

testRandomly(
  "Batch: texts end by tokens, by a function, by length, and by their readers",
  async (random) => {
    const weights = weightsOf(SMALL, random);
    const tokens = promptOf(random, SMALL, 4);
    await withBatch({ spec: SMALL, weights }, { maxSequences: 3 }, async (batch) => {
      const sampling = { temperature: 1.5, seed: 3 };
      const whole = await tokensOf(batch.add({ ...sampling, tokens, maxTokens: 30 }));
      assertEquals(whole.length, 30);
      const end = whole[20];
      const first = whole.indexOf(end);
      const byToken = batch.add({ ...sampling, tokens, maxTokens: 30, endTokens: [end] });
      assertEquals(await tokensOf(byToken), whole.slice(0, first + 1));
      assertEquals(byToken.finish, "end");
      const byLength = batch.add({ ...sampling, tokens, maxTokens: 3 });
      assertEquals(await tokensOf(byLength), whole.slice(0, 3));
      assertEquals(byLength.finish, "length");
      // A reader that goes away, one that never came, and one that stops reading.
      const gone = batch.add({ ...sampling, tokens, maxTokens: 30 });
      for await (const _ of gone) break;
      assertEquals(gone.finish, "cancelled");
      const never = batch.add({ ...sampling, tokens, maxTokens: 30 });
      never.cancel();
      assertEquals([never.finish, await tokensOf(never)], ["cancelled", []]);
      const slow = batch.add({ ...sampling, tokens, maxTokens: 30 });
      const others = await Promise.all(
        [1, 2, 3].map(() => tokensOf(batch.add({ ...sampling, tokens, maxTokens: 30 }))),
      );
      for (const other of others) assertEquals(other, whole);
      assertEquals(await tokensOf(slow), whole);
      await settled(batch);
    });
  },
);

testRandomly("Batch: a client that goes away frees its pages at the next step", async (random) => {
  const weights = weightsOf(SMALL, random);
  const tokens = promptOf(random, SMALL, 40);
  const options = { maxSequences: 2, pageSize: 4, maxStepTokens: 16 };
  await withBatch({ spec: SMALL, weights }, options, async (batch) => {
    const stays = batch.add({ tokens: tokens.slice(0, 2), maxTokens: 50 });
    const goes = batch.add({ tokens, maxTokens: 20 });
    const waits = batch.add({ tokens: [1], maxTokens: 3 });
    const reading = tokensOf(stays);
    for await (const _ of goes) break;
    // The one that waited takes its place while the other still runs.
    assertEquals((await tokensOf(waits)).length, 3);
    assertEquals(stays.finish, undefined);
    assert(batch.stats.pages.total - batch.stats.pages.available <= 15);
    assertEquals((await reading).length, 50);
    await settled(batch);
  });
});

testRandomly("Batch: log-probabilities are those of the model, in float64", async (random) => {
  const weights = weightsOf(SMALL, random);
  const reference = await ReferenceDecoder.create(SMALL, weights);
  await withBatch({ spec: SMALL, weights }, {}, async (batch) => {
    const prompts = [3, 9].map((length) => promptOf(random, SMALL, length));
    const sequences = prompts.map((tokens, i) =>
      batch.add({ ...{ tokens, maxTokens: 10, temperature: 1, seed: i, logprobs: 3 * i } })
    );
    const plain = batch.add({ tokens: [1], maxTokens: 2 });
    for (const [i, sequence] of sequences.entries()) {
      const soFar = [...prompts[i]];
      for (const { token, logprob, likeliest } of await read(sequence)) {
        const logits = Array.from(reference.forward(soFar).logits.slice(-SMALL.vocabSize));
        const sum = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
        assertAlmostEquals(logprob!, logits[token] - sum, 1e-3);
        assertEquals(likeliest!.length, 3 * i);
        const best = logits.toSorted((a, b) => b - a);
        likeliest!.forEach(({ logprob }, place) =>
          assertAlmostEquals(logprob, best[place] - sum, 1e-3)
        );
        soFar.push(token);
      }
    }
    assertEquals((await read(plain)).map(({ logprob }) => logprob), [undefined, undefined]);
  });
});

Deno.test("Batch: a logit that is not a number ends its sequence alone", async () => {
  // After token 1 comes NaN, as its embedding has some.
  const weights = weightsWith(TINY, { "embedding.weight": [1, 0, NaN, 1, 0, 1] });
  const finite = weightsWith(TINY, { "embedding.weight": [1, 0, 1, 1, 0, 1] });
  const withClassifier: DecoderWeights = {
    has: (name) => name === "classifier.weight" || weights.has(name),
    read: (name) =>
      name === "classifier.weight" ? finite.read("embedding.weight") : weights.read(name),
  };
  await withBatch({ spec: TINY, weights: withClassifier }, {}, async (batch) => {
    const [bad, good] = [[1], [2]].map((tokens) => batch.add({ tokens, maxTokens: 1 }));
    await assertRejects(() => read(bad), GpuWorkError, "a logit is not a number");
    assertEquals((await read(good)).length, 1);
    assertEquals((await tokensOf(batch.add({ tokens: [0], maxTokens: 1 }))).length, 1);
    await settled(batch);
  });
});

testRandomly(
  "Batch: a function of the caller that throws ends its sequence alone",
  async (random) => {
    const weights = weightsOf(SMALL, random);
    await withBatch({ spec: SMALL, weights }, {}, async (batch) => {
      const endsWith = () => {
        throw new Error("no idea");
      };
      const failing = batch.add({ tokens: [1], maxTokens: 20, endsWith });
      const other = tokensOf(batch.add({ tokens: [2], maxTokens: 20 }));
      await assertRejects(() => read(failing), Error, "no idea");
      assertEquals((await other).length, 20);
      await settled(batch);
    });
  },
);

testRandomly(
  "Batch: memory that the device refuses ends who asked for it alone",
  async (random) => {
    const gpu = await Gpu.open();
    const { device } = gpu;
    const batch = await Batch.create(gpu, TINY, weightsOf(TINY, random), { maxSequences: 3 });
    const asked = { tokens: promptOf(random, TINY, 3), maxTokens: 5 };
    const expected = await tokensOf(batch.add(asked));
    const greedy = [
      { label: "token counts", one: { ...asked, presencePenalty: 1 } },
      { label: "logprobs", one: { ...asked, logprobs: 2 } },
    ];
    for (const { label, one } of greedy) {
      const end = refuseBuffers(device, label);
      const before = tokensOf(batch.add(asked));
      const refused = assertRejects(() => read(batch.add(one)), GpuWorkError, `allocate ${label}`);
      const after = tokensOf(batch.add(asked));
      assertEquals([await before, await after], [expected, expected]);
      await refused;
      await settled(batch);
      end();
      assertEquals((await read(batch.add(one))).length, 5, "it is tried again");
    }
    gpu.destroy();
  },
);

testRandomly("Batch: steps allocate uniforms, and what the host reads, alone", async (random) => {
  // A layer of each kind.
  const layers = [{ rope: {} }, { rope: {}, window: 9 }];
  const spec = { ...SMALL, contextLen: 90, layers };
  let steps = { made: [""], sizes: [0] };
  const whole = await buffersOf(async () => {
    await withBatch({ spec, weights: weightsOf(spec, random) }, {}, async (batch) => {
      steps = await buffersOf(async () => {
        await Promise.all(
          [1, 3, 70].map((length) =>
            tokensOf(batch.add({ tokens: promptOf(random, spec, length), maxTokens: 3 }))
          ),
        );
      });
    });
  });
  for (const label of ["attend params", "q", "logits"]) {
    assert(whole.made.includes(label), `${label} among ${whole.made}`);
  }
  const isSmall = (label: string, i: number) => /params$/.test(label) && steps.sizes[i] <= 256;
  const large = steps.made.filter((label, i) => label === "attend params" || !isSmall(label, i));
  assertEquals(large.filter((label) => !/^(download|readback .*)$/.test(label)), []);
});

testRandomly("Batch: a step that fails ends who runs, and nobody who waits", async (random) => {
  const gpu = await Gpu.open();
  const batch = await Batch.create(gpu, TINY, weightsOf(TINY, random), { maxSequences: 1 });
  const asked = { tokens: promptOf(random, TINY, 3), maxTokens: 5 };
  const expected = await tokensOf(batch.add(asked));
  const end = refuseBuffers(gpu.device, "download", 1);
  const runs = read(batch.add(asked));
  const waits = [tokensOf(batch.add(asked)), tokensOf(batch.add(asked))];
  await assertRejects(() => runs, GpuWorkError, "download a tensor");
  assertEquals(await Promise.all(waits), [expected, expected]);
  end();
  await settled(batch);
  gpu.destroy();
});

testRandomly("Batch: what f32 holds as zero chooses a token all the same", async (random) => {
  const weights = weightsOf(SMALL, random);
  await withBatch({ spec: SMALL, weights }, {}, async (batch) => {
    const tokens = promptOf(random, SMALL, 3);
    const likeliest = await tokensOf(batch.add({ tokens, maxTokens: 8 }));
    const choice = { tokens, maxTokens: 8, temperature: 1, seed: 5 };
    assertEquals(await tokensOf(batch.add({ ...choice, topP: 1e-46 })), likeliest);
    const hot = await tokensOf(batch.add({ ...choice, temperature: 1e46 }));
    assert(hot.every((token) => token < SMALL.vocabSize) && `${hot}` !== `${likeliest}`);
  });
});

testRandomly("Batch: whoever measures it is told of every step, once", async (random) => {
  const weights = weightsOf(SMALL, random);
  const told: BatchSteps[] = [];
  const options = { stepsPerRead: 2, onSteps: (steps: BatchSteps) => void told.push(steps) };
  await withBatch({ spec: SMALL, weights }, options, async (batch) => {
    const sequences = [{ tokens: [1, 2, 3, 4, 5], maxTokens: 3 }, { tokens: [6, 7], maxTokens: 2 }];
    await Promise.all(sequences.map((one) => tokensOf(batch.add(one))));
    await settled(batch);
    assertEquals(told.map(({ steps }) => steps), [
      [{ tokens: 7, sequences: 2, meanContext: 3.5 }, {
        tokens: 2,
        sequences: 2,
        meanContext: 4.5,
      }],
      [{ tokens: 1, sequences: 1, meanContext: 7 }],
    ]);
    const sum = told.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
    assert(sum > 0 && sum <= batch.stats.milliseconds);
  });
});

testRandomly(
  "Batch: steps that were cancelled count for nobody who comes later",
  async (random) => {
    const weights = weightsOf(SMALL, random);
    const told: BatchSteps[] = [];
    const options = {
      ...{ maxSequences: 1, maxStepTokens: 1, stepsPerRead: 64 },
      onSteps: (steps: BatchSteps) => void told.push(steps),
    };
    await withBatch({ spec: SMALL, weights }, options, async (batch) => {
      const never = batch.add({ tokens: promptOf(random, SMALL, 30), maxTokens: 1 });
      const { extend } = PagedKvCache.prototype;
      PagedKvCache.prototype.extend = function (...step) {
        // The first step is encoded when its sequence goes.
        PagedKvCache.prototype.extend = extend;
        never.cancel();
        return extend.apply(this, step);
      };
      // Time is counted after each read: here once all is done.
      await until(() => batch.stats.milliseconds > 0, "a step");
      assertEquals([batch.stats.steps, told], [1, []]);
      await tokensOf(batch.add({ tokens: [1], maxTokens: 1 }));
      await settled(batch);
      assertEquals(told.map(({ steps }) => steps), [[{ tokens: 1, sequences: 1, meanContext: 1 }]]);
    });
  },
);

testRandomly("Batch: destroying it while sequences run cancels them", async (random) => {
  const weights = weightsOf(SMALL, random);
  const batch = await Batch.create(await sharedGpu(), SMALL, weights);
  const sequences = [1, 2].map((token) => batch.add({ tokens: [token], maxTokens: 50 }));
  for await (const _ of sequences[0]) break;
  batch.destroy();
  assert((await tokensOf(sequences[1])).length < 50);
  assertEquals(sequences.map(({ finish }) => finish), ["cancelled", "cancelled"]);
  assertThrows(() => batch.add({ tokens: [1], maxTokens: 1 }), RangeError, "destroyed");
});

Deno.test("Batch: bad input is an error before anything runs", async () => {
  const gpu = await sharedGpu();
  const weights = weightsWith(TINY, { "embedding.weight": [1, 0, 1, 1, 0, 1] });
  const refuses = (options: Record<string, unknown>, says: string) =>
    assertRejects(() => Batch.create(gpu, TINY, weights, options), RangeError, says);
  await refuses({ maxSequences: 0 }, "maxSequences must be");
  await refuses({ maxSequences: 4, maxStepTokens: 3 }, "maxStepTokens must be");
  await refuses({ stepsPerRead: 0.5 }, "stepsPerRead must be");
  await refuses({ cacheBytes: 10 }, "cacheBytes must be");
  await assertRejects(
    () => Batch.create(gpu, TINY, weights, { onSteps: 1 } as unknown as BatchOptions),
    TypeError,
    "onSteps must be a function",
  );
  await refuses({ maxTokens: 0 }, "maxTokens must be");
  await refuses({ kvRotation: "hadamard" }, 'kvDtype="f32"');
  await refuses({ kvDtype: "int8", kvCalibration: [] }, "kvCalibration=0, layers=1");
  for (
    const [given, options] of [
      [weights, { weightDtype: "f64" }],
      [weightsWith(TINY, { "embedding.weight": [1, 0, 1] }), {}],
    ] as [DecoderWeights, BatchOptions][]
  ) {
    await assertRejects(
      () => Batch.create(gpu, TINY, given, options),
      Error,
      "Cannot create Batch as ",
    );
  }
  const ropes = { ...SMALL, layers: [{ rope: {} }, { rope: { dims: 3 } }] };
  await assertRejects(
    () => Batch.create(gpu, ropes, weights),
    RangeError,
    "spec.layers[1].rope.dims",
  );
  const options = { maxTokens: 8, pageSize: 2, cacheBytes: 2 * 2 * 2 * 4 * 3 };
  await withBatch({ spec: TINY, weights }, options, async (batch) => {
    const add = (options: Record<string, unknown>, kind = RangeError) => (says: string) =>
      assertThrows(
        () => batch.add({ tokens: [1], maxTokens: 2, ...options } as BatchSequenceOptions),
        kind,
        says,
      );
    add({ tokens: [] })("it must have a prompt");
    add({ tokens: [3] })("token=3, vocabSize=3");
    add({ tokens: "1" }, TypeError)("tokens must be an array");
    // The model has room for 8, and the pages for 6.
    assertEquals(batch.maxTokens, 6);
    add({ tokens: [1, 1], maxTokens: 5 })("batch.maxTokens=6");
    add({ maxTokens: 0 })("maxTokens must be");
    add({ endTokens: [9] })("token=9, vocabSize=3");
    add({ endsWith: 1 }, TypeError)("endsWith must be a function");
    add({ logprobs: 21 })("logprobs must be at most 20");
    add({ temperature: -1 })("temperature=-1");
    assertEquals((await tokensOf(batch.add({ tokens: [1], maxTokens: 2 }))).length, 2);
    await settled(batch);
  });
});

testRandomly(
  "Batch: it runs by a decoder's weights, whichever is destroyed first",
  async (random) => {
    const gpu = await sharedGpu();
    const weights = weightsOf(SMALL, random);
    const reference = await ReferenceDecoder.create(SMALL, weights);
    const asked = randomSequence(random, SMALL);
    for (const first of ["decoder", "batch"] as const) {
      const decoder = await Decoder.create(gpu, SMALL, weights);
      const expected = await alone(decoder, asked);
      const batch = await Batch.ofDecoder(decoder, { maxSequences: 2 });
      assertEquals(batch.weightBytes, decoder.weightBytes);
      assertEquals(batch.maxTokens, decoder.maxTokens);
      const both = await Promise.all([alone(decoder, asked), tokensOf(batch.add(asked))]);
      for (const text of both) assertText(text, expected, asked, reference);
      await settled(batch);
      if (first === "decoder") {
        decoder.destroy();
        assertText(await tokensOf(batch.add(asked)), expected, asked, reference);
        // One owner less, however often it is destroyed.
        decoder.destroy();
        await settled(batch);
        assertText(await tokensOf(batch.add(asked)), expected, asked, reference);
        await settled(batch);
        batch.destroy();
      } else {
        batch.destroy();
        assertText(await alone(decoder, asked), expected, asked, reference);
        decoder.destroy();
      }
      await assertRejects(
        () => Batch.ofDecoder(decoder),
        RangeError,
        "must not have been destroyed",
      );
    }
  },
);

testRandomly("Batch: what a decoder cannot share is an error", async (random) => {
  const weights = weightsOf(SMALL, random);
  const decoder = await Decoder.create(await sharedGpu(), SMALL, weights, { maxTokens: 20 });
  const long = () => Batch.ofDecoder(decoder, { maxTokens: 21 });
  await assertRejects(long, RangeError, "maxTokens=21, decoder.maxTokens=20");
  const batch = await Batch.ofDecoder(decoder, { maxTokens: undefined });
  assertEquals(batch.maxTokens, 20);
  batch.destroy();
  decoder.destroy();
  const none = () => Batch.ofDecoder({} as Decoder);
  await assertRejects(none, TypeError, "decoder must be a Decoder");
});
