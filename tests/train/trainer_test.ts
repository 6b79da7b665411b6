// The trainer: what it learns, that it repeats, and what it refuses.
import { assertEquals, assertGreater, assertLess, assertRejects } from "@std/assert";
import { CheckpointError, type Gpu } from "../../mod.ts";
import { type DecoderSpec, type DecoderWeights, ReferenceDecoder } from "../../src/model/mod.ts";
import { randomWeights } from "../../src/model/random_weights.ts";
import {
  Batches,
  Trainer,
  type TrainerOptions,
  TrainingDivergedError,
} from "../../src/train/mod.ts";
import { crossEntropy, divergenceFromTeacher } from "../../src/reference/loss.ts";
import { assertNear } from "../support/compare.ts";
import { sharedGpu } from "../support/gpu.ts";
import { memoryWeights } from "../support/models.ts";
import { testRandomly } from "../support/random.ts";
import { TRAINED, trainedWeights } from "../support/trained.ts";

const NAME = "as Llama, MQA, tied";
const SPEC = TRAINED[NAME];
const WEIGHTS = trainedWeights(NAME, 5);
const OPTIONS = { ...{ steps: 40, batch: 2, seqLen: 6, rate: 1e-2 }, warmup: 3 };
const TEXT = Array.from({ length: 60 }, (_, i) => (i * i + 3 * (i % 5)) % SPEC.vocabSize);
const TAUGHT = { ...SPEC, numKvHeads: 4 };
const TEACHER = { spec: TAUGHT, weights: randomWeights(TAUGHT, { seed: 9 }) };

/** Uses a trainer, and frees it. */
async function withTrainer<Value>(
  options: Partial<TrainerOptions>,
  use: (trainer: Trainer, gpu: Gpu) => Promise<Value>,
  { spec = SPEC, weights = WEIGHTS }: { spec?: DecoderSpec; weights?: DecoderWeights } = {},
): Promise<Value> {
  const gpu = await sharedGpu();
  const trainer = await Trainer.create(gpu, spec, weights, { ...OPTIONS, ...options });
  try {
    return await use(trainer, gpu);
  } finally {
    trainer.destroy();
  }
}

const batchesOf = (trainer: Trainer, seed = 1) =>
  new Batches(TEXT, { seqLen: OPTIONS.seqLen, batch: trainer.sequencesPerStep, seed });

/** Trains for a number of steps, and returns all losses. */
async function trainFor(trainer: Trainer, steps: number): Promise<number[]> {
  const batches = batchesOf(trainer);
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) {
    losses.push((await trainer.train(batches.at(trainer.step))).loss);
  }
  return losses;
}

Deno.test("Trainer: it learns a tiny text by heart", async () => {
  await withTrainer({ steps: 120 }, async (trainer) => {
    const batch = [[1, 2, 3, 4, 5, 6, 7], [9, 8, 7, 6, 5, 4, 3]];
    const before = await trainer.evaluate(batch);
    for (let i = 0; i < trainer.steps; i++) await trainer.train(batch);
    assertGreater(before, 1.5);
    assertLess(await trainer.evaluate(batch), 0.05);
    assertEquals(trainer.step, 120);
  });
});

testRandomly("Trainer: losses are those of the float64 decoders", async (random) => {
  const temperature = random.pick([1, 2]);
  for (const share of [0, 0.3, 1]) {
    const teacher = { ...TEACHER, temperature, share };
    await withTrainer({ accumulate: 2, teacher }, async (trainer) => {
      const sequences = batchesOf(trainer, random.integer(0, 99)).at(0);
      const student = await ReferenceDecoder.create(SPEC, WEIGHTS);
      const taught = await ReferenceDecoder.create(TEACHER.spec, TEACHER.weights);
      let [entropy, divergence] = [0, 0];
      for (const sequence of sequences) {
        const [inputs, labels] = [[...sequence.slice(0, -1)], sequence.slice(1)];
        const { logits } = student.forward(inputs);
        const mean = (numbers: Float64Array) =>
          numbers.reduce((sum, value) => sum + value, 0) / numbers.length / sequences.length;
        entropy += mean(crossEntropy(logits, labels, SPEC).losses);
        const wanted = taught.forward(inputs).logits;
        const options = { vocabSize: SPEC.vocabSize, temperature };
        divergence += mean(divergenceFromTeacher(logits, wanted, options).losses);
      }
      assertNear([await trainer.evaluate(sequences)], [entropy], "evaluated");
      // As many as are no whole batch.
      const some = await trainer.evaluate(sequences.slice(0, 3));
      const [one, two] = [
        await trainer.evaluate(sequences.slice(0, 2)),
        await trainer.evaluate(sequences.slice(2, 3)),
      ];
      assertNear([some], [(2 * one + two) / 3], "three sequences");
      const { loss, tokens, rate, step } = await trainer.train(sequences);
      assertNear([loss], [share * divergence + (1 - share) * entropy], `share ${share}`);
      assertEquals({ tokens, step }, { tokens: 24, step: 1 });
      assertNear([rate], [OPTIONS.rate / 3], "rate");
    });
  }
});

Deno.test("Trainer: a teacher of the same weights teaches nothing, another one does", async () => {
  const own = { spec: SPEC, weights: WEIGHTS };
  await withTrainer({ teacher: own }, async (trainer) => {
    const { loss, norm } = await trainer.train(batchesOf(trainer).at(0));
    assertEquals([Math.abs(loss) < 1e-5, norm < 1e-5], [true, true]);
  });
  await withTrainer({ teacher: TEACHER }, async (trainer) => {
    const losses = await trainFor(trainer, 40);
    assertLess(losses.at(-1)!, losses[0] / 3);
  });
});

Deno.test("Trainer: runs repeat bit for bit, also where layers are computed anew", async () => {
  const run = (options: Partial<TrainerOptions>) =>
    withTrainer({ teacher: TEACHER, ...options }, async (trainer) => {
      const losses = await trainFor(trainer, 4);
      return { losses, state: await trainer.save() };
    });
  const first = await run({});
  assertEquals(await run({}), first);
  assertEquals(await run({ recompute: true }), first);
});

Deno.test("Trainer: micro-batches make the step that their sequences would make at once", async () => {
  const run = (batch: number, accumulate: number) =>
    withTrainer({ batch, accumulate }, async (trainer) => {
      await trainFor(trainer, 3);
      return await (await trainer.weights()).read("layers.1.down.weight");
    });
  const [atOnce, inParts] = [await run(4, 1), await run(2, 2)];
  assertNear(inParts.data, atOnce.data, "weights");
});

Deno.test("Trainer: training goes on from a state as if there had been no pause", async () => {
  const whole = await withTrainer({}, async (trainer) => {
    await trainFor(trainer, 6);
    return await trainer.save();
  });
  const half = await withTrainer({}, async (trainer) => {
    await trainFor(trainer, 3);
    return await trainer.save();
  });
  const resumed = await withTrainer({}, async (trainer) => {
    await trainFor(trainer, 1);
    await trainer.resume(half);
    assertEquals(trainer.step, 3);
    await trainFor(trainer, 3);
    return await trainer.save();
  });
  assertEquals(resumed, whole);
});

Deno.test("Trainer: what is no state of the decoder is refused, and changes nothing", async () => {
  await withTrainer({}, async (trainer) => {
    await trainFor(trainer, 2);
    const state = await trainer.save();
    for (const place of [0, 20, state.length >> 1, state.length - 1]) {
      const damaged = state.slice();
      damaged[place] ^= 1;
      await assertRejects(() => trainer.resume(damaged, "a.state"), CheckpointError, "a.state");
    }
    for (const length of [0, 7, 100, state.length - 1]) {
      await assertRejects(() => trainer.resume(state.slice(0, length)), CheckpointError);
    }
    const spec = { ...SPEC, layers: SPEC.layers.slice(1) };
    const other = await withTrainer({}, (trainer) => trainer.save(), { spec });
    await assertRejects(() => trainer.resume(other), CheckpointError, "those of the decoder");
    assertEquals(await trainer.save(), state);
  });
});

Deno.test("Trainer: states go to files and come back; a folder that is not there is an error", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await withTrainer({}, async (trainer) => {
      const path = `${folder}/training.state`;
      await trainer.saveTo(path);
      await trainFor(trainer, 1);
      await trainer.saveTo(path);
      const state = await trainer.save();
      await trainFor(trainer, 1);
      await trainer.resumeFrom(path);
      assertEquals(await trainer.save(), state);
      assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["training.state"]);
      const nowhere = `${folder}/none/training.state`;
      await assertRejects(() => trainer.saveTo(nowhere), CheckpointError, nowhere);
      await assertRejects(() => trainer.resumeFrom(nowhere), CheckpointError, nowhere);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("Trainer: a loss that is no number names the step, and the last good weights stay", async () => {
  const { data, shape } = await WEIGHTS.read("finalNorm.weight");
  const weights: DecoderWeights = {
    has: WEIGHTS.has,
    // Logits of 1e36 and more, whose gradient f32 does not hold.
    read: (name) =>
      name === "finalNorm.weight"
        ? Promise.resolve({ data: data.map((value) => value * 1e36), shape })
        : WEIGHTS.read(name),
  };
  await withTrainer({}, async (trainer) => {
    const state = await trainer.save();
    const batch = batchesOf(trainer).at(0);
    await assertRejects(() => trainer.train(batch), TrainingDivergedError, "step=1");
    assertEquals(await trainer.save(), state);
    assertEquals(trainer.step, 0);
  }, { weights });
});

Deno.test("Trainer: what it cannot train is refused by name", async () => {
  const gpu = await sharedGpu();
  const create = (spec: DecoderSpec, options: object = {}, weights = WEIGHTS) =>
    Trainer.create(gpu, spec, weights, { ...OPTIONS, ...options });
  const refused = (message: string, options: object, spec = SPEC, weights = WEIGHTS) =>
    assertRejects(() => create(spec, options, weights), RangeError, message);
  const withNorm = memoryWeights(new Map());
  const has = (name: string) => name.endsWith("qNorm.weight") || WEIGHTS.has(name);
  await refused("isParallel=true", {}, { ...SPEC, isParallel: true });
  await refused("layers.0.qNorm.weight", {}, SPEC, { ...withNorm, has });
  await refused("steps=0", { steps: 0 });
  await refused("batch=-1", { batch: -1 });
  await refused("accumulate=0.5", { accumulate: 0.5 });
  await refused("rate=0", { rate: 0 });
  await refused("finalShare=2", { finalShare: 2 });
  await refused("beta1=1", { beta1: 1 });
  await refused("clip=0", { clip: 0 });
  await refused("decay=-1", { decay: -1 });
  await refused("seqLen=33", { seqLen: 33 }, { ...SPEC, positionsEnd: true });
  const vocabulary = { ...TEACHER, spec: { ...TEACHER.spec, vocabSize: 12 } };
  await refused("teacher=12", { teacher: vocabulary });
  await refused("teacher.share=1.5", { teacher: { ...TEACHER, share: 1.5 } });
  await assertRejects(() => create(SPEC, { seqLen: "6" }), TypeError, "seqLen");
});

Deno.test("Trainer: sequences of another length, number or vocabulary are errors", async () => {
  await withTrainer({}, async (trainer) => {
    const good = batchesOf(trainer).at(0);
    await assertRejects(() => trainer.train(good.slice(1)), RangeError, "sequences=1");
    await assertRejects(() => trainer.train([good[0], [1, 2]]), RangeError, "tokens=2");
    const beyond = good.map((sequence) => sequence.with(6, SPEC.vocabSize));
    await assertRejects(() => trainer.train(beyond), RangeError, "token=11");
    await assertRejects(() => trainer.evaluate([]), RangeError, "sequences=0");
    assertEquals(trainer.step, 0);
  });
});

Deno.test("Trainer: calls take turns", async () => {
  const run = (use: (trainer: Trainer, steps: Uint32Array[][]) => Promise<unknown>) =>
    withTrainer({}, async (trainer) => {
      const batches = batchesOf(trainer);
      await use(trainer, [0, 1, 2].map((step) => batches.at(step)));
      return await trainer.save();
    });
  const oneByOne = await run(async (trainer, steps) => {
    for (const step of steps) await trainer.train(step);
  });
  const atOnce = await run((trainer, [first, second, third]) =>
    Promise.all([
      trainer.train(first),
      trainer.evaluate(third),
      trainer.train(second),
      trainer.weights(),
      trainer.train(third),
    ])
  );
  assertEquals(atOnce, oneByOne);
});
