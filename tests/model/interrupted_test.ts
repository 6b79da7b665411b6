// A text that is interrupted and goes on: penalties still tell what was generated from the prompt.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Batch,
  type BatchSequenceOptions,
  Decoder,
  type DecoderSpec,
  type GenerateOptions,
} from "../../src/model/mod.ts";
import { sharedGpu } from "../support/gpu.ts";
import { weightsOf } from "../support/models.ts";
import { testRandomly } from "../support/random.ts";

const SPEC: DecoderSpec = {
  ...{ vocabSize: 12, dim: 16, hiddenDim: 16, numHeads: 2, numKvHeads: 1, headDim: 8 },
  ...{ contextLen: 32, layers: [{ rope: {} }], norm: { kind: "rms", eps: 1e-6 } },
  ...{ activation: "silu", isGated: true, isParallel: false },
};
const PENALTIES = { frequencyPenalty: 0.7, presencePenalty: 1, repetitionPenalty: 1.2 };
const PROMPT = [1, 2, 3, 1, 2];
/** Tokens before the interruption, and in all. */
const [CUT, ALL] = [4, 11];

testRandomly("Interrupted texts go on as if nothing was, with penalties", async (random) => {
  const gpu = await sharedGpu();
  const weights = weightsOf(SPEC, random);
  const decoder = await Decoder.create(gpu, SPEC, weights);
  const batch = await Batch.create(gpu, SPEC, weights, { maxSequences: 1 });
  const decoded = async (prompt: readonly number[], options: GenerateOptions) => {
    decoder.clear();
    await decoder.feed(prompt);
    const text: number[] = [];
    for await (const some of decoder.generate({ ...PENALTIES, ...options })) text.push(...some);
    return text;
  };
  const byDecoder = (prompt: readonly number[], tokens: number, generated?: number) =>
    decoded(prompt, { tokens, batch: 7, generated });
  const byDrafts = (prompt: readonly number[], tokens: number, generated?: number) =>
    decoded(prompt, { tokens, speculate: "lookup", generated });
  const byBatch = async (tokens: readonly number[], maxTokens: number, generated?: number) => {
    const text: number[] = [];
    const options: BatchSequenceOptions = { ...PENALTIES, tokens, maxTokens, generated };
    for await (const some of batch.add(options)) text.push(...some.map(({ token }) => token));
    return text;
  };
  const whole = await byDecoder(PROMPT, ALL);
  for (const generate of [byDecoder, byBatch, byDrafts]) {
    assertEquals(await generate(PROMPT, ALL), whole, generate.name);
    const before = [...PROMPT, ...whole.slice(0, CUT)];
    assertEquals(await generate(before, ALL - CUT, CUT), whole.slice(CUT), generate.name);
  }
  const wrong = { ...PENALTIES, tokens: PROMPT, maxTokens: 1, generated: 6 };
  assertThrows(() => batch.add(wrong), RangeError, "generated=6");
  for (const generate of [byDecoder, byDrafts]) {
    await assertRejects(() => generate(PROMPT, 1, 6), RangeError, "generated=6");
  }
  assert(new Set(await byBatch(PROMPT, ALL)).size > 1);
  decoder.destroy();
  batch.destroy();
});
