// Engines: the same tokens whoever runs beside a sequence, and what a reader who goes away leaves behind.
import { assert, assertEquals } from "@std/assert";
import { BatchEngine } from "../../../cli/shared/generation/batch_engine.ts";
import type { Engine, Generation, SequenceRequest } from "../../../cli/shared/generation/engine.ts";
import { Batch, type BatchOptions } from "../../../src/model/batch.ts";
import { GREEDY } from "../../../src/model/sampling.ts";
import type { DecoderSpec } from "../../../src/model/spec.ts";
import { sharedGpu } from "../../support/gpu.ts";
import { weightsOf } from "../../support/models.ts";
import { type Random, testRandomly } from "../../support/random.ts";

const SPEC: DecoderSpec = {
  ...{ vocabSize: 30, dim: 16, hiddenDim: 16, numHeads: 2, numKvHeads: 1, headDim: 8 },
  ...{
    contextLen: 64,
    layers: [{ rope: {} }, { rope: { base: 500 } }],
    norm: { kind: "rms", eps: 1e-5 },
  },
  ...{ activation: "silu", isGated: true, isParallel: false },
};
const SIZES = { kvDtype: "f32", weightDtype: "f32", maxTokens: 64, maxSequences: 2 } as const;

function requestOf(seed: number, maxTokens = 20): SequenceRequest {
  return { ...GREEDY, temperature: 1, seed, tokens: [1, 2, seed], maxTokens, endTokens: [] };
}

async function read(generation: Generation): Promise<number[]> {
  const tokens = [];
  for await (const some of generation) tokens.push(...some.map(({ token }) => token));
  return tokens;
}

/** Runs `test` over an engine of a model. */
async function withEngine(
  random: Random,
  test: (engine: Engine) => Promise<void>,
  sizes: Partial<BatchOptions> = {},
): Promise<void> {
  const weights = weightsOf(SPEC, random);
  const batch = await Batch.create(await sharedGpu(), SPEC, weights, { ...SIZES, ...sizes });
  const engine = new BatchEngine(batch);
  try {
    await test(engine);
  } finally {
    engine.destroy();
  }
}

testRandomly(
  "engines: sequences at once are those that come one after the other",
  async (random) => {
    await withEngine(random, async (engine) => {
      assertEquals(engine.contextLen, 64);
      const together = await Promise.all(
        [3, 4, 5].map((seed) => read(engine.submit(requestOf(seed)))),
      );
      assertEquals(await read(engine.submit(requestOf(4))), together[1]);
      const { tokens, running, waiting, seconds } = engine.stats();
      assertEquals([tokens.generated, running, waiting], [80, 0, 0]);
      assert(seconds > 0);
    });
  },
);

testRandomly("engines: calibrated caches have room for several sequences", async (random) => {
  const channels = { offsets: new Array(8).fill(0), scales: new Array(8).fill(1) };
  const kvCalibration = SPEC.layers.map(() => ({ k: channels, v: channels }));
  await withEngine(random, async (engine) => {
    assertEquals(engine.stats().places, 2);
    const texts = await Promise.all([3, 4].map((seed) => read(engine.submit(requestOf(seed, 2)))));
    assertEquals(texts.map(({ length }) => length), [2, 2]);
  }, { kvDtype: "int8", kvCalibration });
});

testRandomly("engines: whoever is cancelled while it waits is told at once", async (random) => {
  await withEngine(random, async (engine) => {
    const running = [3, 4].map((seed) => read(engine.submit(requestOf(seed, 60))));
    const waits = engine.submit(requestOf(5));
    const order: string[] = [];
    const waited = read(waits).then((tokens) => {
      order.push("waited");
      return tokens;
    });
    waits.cancel();
    await Promise.all([...running.map((one) => one.then(() => order.push("ran"))), waited]);
    assertEquals([order[0], await waited], ["waited", []]);
    assertEquals((await read(engine.submit(requestOf(6, 2)))).length, 2);
    assertEquals(engine.stats().waiting, 0);
  });
});
