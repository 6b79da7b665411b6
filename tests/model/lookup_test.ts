// Drafts from the text itself: whatever is drafted, the tokens are those that come without.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { GpuWorkError } from "../../mod.ts";
import { lookUpDraft } from "../../src/model/lookup_draft.ts";
import {
  Decoder,
  type DecoderOptions,
  type DecoderSpec,
  type DecoderWeights,
  type GenerateOptions,
  ReferenceDecoder,
} from "../../src/model/mod.ts";
import { sharedGpu } from "../support/gpu.ts";
import { TINY, weightsOf, weightsWith } from "../support/models.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { randomSampling } from "../support/sampling.ts";
import { greedyTokens, openStories, testStories } from "../support/stories.ts";
import { assertText } from "../support/text.ts";

const SMALL: DecoderSpec = {
  ...{ vocabSize: 23, dim: 16, hiddenDim: 12, numHeads: 4, numKvHeads: 1, headDim: 4 },
  contextLen: 70,
  layers: [{ rope: {} }],
  norm: { kind: "rms", eps: 1e-6 },
  activation: "silu",
  isGated: true,
  isParallel: false,
};

async function withDecoder(
  spec: DecoderSpec,
  weights: DecoderWeights,
  options: DecoderOptions,
  use: (decoder: Decoder) => Promise<void>,
): Promise<void> {
  const decoder = await Decoder.create(await sharedGpu(), spec, weights, options);
  try {
    await use(decoder);
  } finally {
    decoder.destroy();
  }
}

/** The tokens of each portion. */
async function portionsOf(decoder: Decoder, options: GenerateOptions): Promise<number[][]> {
  const portions = [];
  for await (const portion of decoder.generate(options)) portions.push(portion);
  return portions;
}

function promptOf(random: Random): number[] {
  const part = Array.from({ length: random.integer(1, 6) }, () => random.integer(0, 22));
  return random.next() < 0.5 ? part : [...part, ...part, part[0]];
}

Deno.test("lookUpDraft() goes on as the text did after its last tokens, the longest match first", () => {
  assertEquals(lookUpDraft([1, 2, 3, 4, 9, 2, 3], 2), [4, 9]);
  // Of three tokens rather than the later one of two.
  assertEquals(lookUpDraft([1, 2, 3, 4, 2, 3, 5, 1, 2, 3], 2), [4, 2]);
  // The latest of several.
  assertEquals(lookUpDraft([1, 4, 1, 5, 1], 1), [5]);
  // A copy goes on with itself.
  assertEquals(lookUpDraft([7, 8, 7, 8], 5), [7, 8, 7, 8, 7]);
  assertEquals(lookUpDraft([6, 6], 3), [6, 6, 6]);
  for (const text of [[], [1], [1, 2, 3]]) assertEquals(lookUpDraft(text, 4), []);
});

const CASES: readonly {
  name: string;
  options: DecoderOptions;
  isGreedy?: boolean;
  rounds?: number;
}[] = [
  { name: "greedy, to the last token that fits", options: { maxTokens: 50 }, isGreedy: true },
  // Logits of another row often have the same likeliest token: many rounds.
  { name: "drawn, penalised, biased", options: {}, rounds: 8 },
  { name: "a window that wraps", options: { window: 6, sinks: 2, maxSeqLen: 8 } },
  { name: "no room for a draft", options: { maxSeqLen: 4 } },
];

for (const { name, options, isGreedy = false, rounds = 2 } of CASES) {
  testRandomly(`Decoder: looked-up drafts change no token: ${name}`, async (random) => {
    const weights = weightsOf(SMALL, random);
    const reference = await ReferenceDecoder.create(SMALL, weights);
    const { window, sinks } = options;
    await withDecoder(SMALL, weights, options, async (decoder) => {
      for (let round = 0; round < rounds; round++) {
        const tokens = promptOf(random);
        const sampling = isGreedy ? {} : randomSampling(random, SMALL.vocabSize);
        const count = isGreedy ? decoder.maxTokens - tokens.length : 30;
        const [turn] = promptOf(random);
        /** Generates, and goes on: at once without drafts, or with another turn behind a stop in the last pass. */
        const converse = async (speculate?: "lookup", left?: number) => {
          decoder.clear();
          await decoder.feed(tokens);
          const portions = await portionsOf(decoder, { ...sampling, tokens: count, speculate });
          const text = portions.flat();
          const all = [...tokens, ...text];
          assertEquals(decoder.length, all.length);
          const hasRoom = all.length + 3 <= decoder.maxTokens;
          if (round < rounds - 1) {
            const next = hasRoom ? await portionsOf(decoder, { tokens: 3 }) : [];
            return { portions, text, left, all, next: next.flat() };
          }
          left ??= all.length - portions.at(-1)!.length + 1;
          await decoder.truncate(left);
          all.length = left;
          if (left > decoder.maxTokens - 6) return { portions, text, left, all, next: [] };
          await decoder.feed([turn]);
          const next = await portionsOf(decoder, { tokens: 2, speculate });
          next.push(...await portionsOf(decoder, { tokens: 3 }));
          return { portions, text, left, all: [...all, turn], next: next.flat() };
        };
        const drafted = await converse("lookup");
        const plain = await converse(undefined, drafted.left);
        const asked = { ...sampling, tokens };
        assertText(drafted.text, plain.text, asked, reference, { window, sinks });
        assert(drafted.portions.every(({ length }) => length >= 1 && length <= 8));
        if (name.startsWith("no room")) assertEquals(drafted.portions.length, count);
        if (`${drafted.all}` !== `${plain.all}`) continue;
        assertText(drafted.next, plain.next, { tokens: plain.all }, reference, { window, sinks });
      }
    });
  });
}

testStories("Decoder: a text that repeats itself has two tokens a pass and more", async () => {
  const { spec, weights } = await openStories();
  const part = greedyTokens().slice(0, 40);
  await withDecoder(spec, weights, {}, async (decoder) => {
    const tokens = [...part, ...part, ...part.slice(0, 8)];
    await decoder.feed(tokens);
    const portions = await portionsOf(decoder, { tokens: 32, speculate: "lookup" });
    assert(32 / portions.length >= 2, `${portions.length} passes`);
    decoder.clear();
    await decoder.feed(tokens);
    const plain = (await portionsOf(decoder, { tokens: 32 })).flat();
    const reference = await ReferenceDecoder.create(spec, weights);
    assertText(portions.flat(), plain, { tokens }, reference);
  });
});

testRandomly("Decoder: what others feed between passes is gone on from", async (random) => {
  const weights = weightsOf(SMALL, random);
  await withDecoder(SMALL, weights, {}, async (decoder) => {
    /** Generates, with another token in the place of all but the first one of the first portion. */
    const disturbed = async (options: Partial<GenerateOptions>) => {
      decoder.clear();
      await decoder.feed([1, 2, 1, 2]);
      const portions: number[][] = [];
      for await (const portion of decoder.generate({ tokens: 16, ...options })) {
        if (portions.push(portion) > 1) continue;
        await decoder.truncate(5);
        await decoder.feed([3]);
      }
      return portions.slice(1).flat();
    };
    const [drafted, plain] = [
      await disturbed({ speculate: "lookup" }),
      await disturbed({ batch: 1 }),
    ];
    assert(drafted.length >= 8);
    const reference = await ReferenceDecoder.create(SMALL, weights);
    decoder.clear();
    await decoder.feed([1, 2, 1, 2]);
    const [[first]] = await portionsOf(decoder, { tokens: 1 });
    const tokens = [1, 2, 1, 2, first, 3];
    assertText(drafted, plain.slice(0, drafted.length), { tokens }, reference);
  });
});

Deno.test("Decoder: speculation that is none, and logits that are no numbers, are errors", async () => {
  const nan = weightsWith(TINY, { "embedding.weight": [1, 0, NaN, 1, 0, 1] });
  await withDecoder(TINY, nan, {}, async (decoder) => {
    await decoder.feed([1]);
    const generate = (options: Record<string, unknown>) =>
      portionsOf(decoder, { tokens: 1, ...options } as GenerateOptions);
    await assertRejects(() => generate({ speculate: "draft" }), TypeError, "speculate must be");
    await assertRejects(
      () => generate({ speculate: "lookup", batch: 2 }),
      RangeError,
      "batch goes without speculate",
    );
    await assertRejects(
      () => generate({ speculate: "lookup" }),
      GpuWorkError,
      "a logit is not a number",
    );
  });
});
