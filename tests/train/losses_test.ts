// Losses and their gradients against float64.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { crossEntropy, divergenceFromTeacher } from "../../src/reference/loss.ts";
import { Loss } from "../../src/train/losses.ts";
import { withLimits } from "../support/buffers.ts";
import { assertNear, assertSame } from "../support/compare.ts";
import { sharedGpu } from "../support/gpu.ts";
import { profileOn, PROFILES } from "../support/plan.ts";
import { testRandomly } from "../support/random.ts";
import { submit, Tensors } from "../support/run.ts";

for (const tiles of ["software", "a GPU", "a GPU with subgroups"]) {
  testRandomly(`Loss: labels and a teacher, tiles of ${tiles}`, async (random) => {
    const gpu = await sharedGpu();
    const profile = profileOn(gpu, PROFILES[tiles]);
    for (const [tokens, vocabSize] of [[1, 2], [3, 7], [random.integer(2, 20), 200]]) {
      using tensors = new Tensors();
      const logits = () => {
        const { data, shape } = random.tensor([tokens, vocabSize]);
        return { data: data.map((value) => 12 * value + 30), shape };
      };
      const [student, teacher] = [logits(), logits()];
      const labels = Array.from({ length: tokens }, () => random.integer(0, vocabSize - 1));
      const temperature = random.pick([1, 2, 0.7]);
      const before = random.tensor([tokens, vocabSize]);
      const loss = tensors.keep(new Loss(gpu, vocabSize, { profile }));
      const read = {
        logits: (await tensors.upload(student)).buffer,
        labels: (await tensors.upload({ data: labels, shape: [tokens] }, "u32")).buffer,
        teacher: (await tensors.upload(teacher)).buffer,
      };
      const doubles = (host: { data: Float32Array }) => Float64Array.from(host.data);
      const weight = 1 / tokens;
      const expected = {
        label: crossEntropy(doubles(student), labels, { vocabSize }),
        teacher: divergenceFromTeacher(doubles(student), doubles(teacher), {
          ...{ vocabSize, temperature },
        }),
      };
      for (const target of ["label", "teacher"] as const) {
        for (const to of ["y", "sum"] as const) {
          const outcomes = [];
          for (let i = 0; i < 2; i++) {
            const losses = await tensors.poisoned([tokens]);
            const dLogits =
              await (to === "y" ? tensors.poisoned([tokens, vocabSize]) : tensors.upload(before));
            const buffers = {
              ...{ ...read, losses: losses.buffer, dLogits: dLogits.buffer },
              ...(target === "label" && { teacher: undefined }),
            };
            const options = { to, ...(target === "teacher" && { temperature }) };
            const work = await loss.bind(buffers, tokens, options);
            await submit((encoder) => work.encode(encoder));
            outcomes.push({
              losses: await losses.download(),
              dLogits: await dLogits.download(),
            });
          }
          const what = `${target}, ${tokens} x ${vocabSize}, ${to}, temperature ${temperature}`;
          // A loss near 0 is a difference of logs, which f32 rounds.
          assertNear(outcomes[0].losses, expected[target].losses, what, { size: 1 });
          const gradient = expected[target].dLogits.map((value, i) =>
            weight * value + (to === "sum" ? before.data[i] : 0)
          );
          // As is a gradient of nearly the same probabilities.
          assertNear(outcomes[0].dLogits, gradient, what, { size: weight });
          assertSame(outcomes[0].losses, outcomes[1].losses, `again, ${what}`);
          assertSame(outcomes[0].dLogits, outcomes[1].dLogits, `again, ${what}`);
        }
      }
    }
  });
}

testRandomly(
  "Loss: tokens go on in a second line of the grid, and end where they end",
  async (random) => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    const [tokens, vocabSize] = [5, 7];
    const { data, shape } = random.tensor([tokens, vocabSize]);
    const labels = Array.from({ length: tokens }, () => random.integer(0, vocabSize - 1));
    const losses = await tensors.poisonedWithin([tokens]);
    const dLogits = await tensors.poisonedWithin([tokens, vocabSize]);
    const buffers = {
      logits: (await tensors.upload({ data, shape })).buffer,
      labels: (await tensors.upload({ data: labels, shape: [tokens] }, "u32")).buffer,
      ...{ losses: losses.tensor.buffer, dLogits: dLogits.tensor.buffer },
    };
    const loss = tensors.keep(new Loss(gpu, vocabSize));
    await withLimits({ maxComputeWorkgroupsPerDimension: 3 }, async () => {
      const work = await loss.bind(buffers, tokens);
      await submit((encoder) => work.encode(encoder));
    });
    const expected = crossEntropy(Float64Array.from(data), labels, { vocabSize });
    assertNear(await losses.tensor.download(), expected.losses, "losses", { size: 1 });
    for (const { behind } of [losses, dLogits]) {
      assert((await behind()).every(Number.isNaN), "behind the tokens");
    }
  },
);

Deno.test("Loss: what is not a number shows, and what is far off is no overflow", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const logits = await tensors.upload({
    data: [NaN, 0, 1, 0, Infinity, 0, 1e4, 0, -1e4],
    shape: [3, 3],
  });
  const labels = await tensors.upload({ data: [1, 0, 2], shape: [3] }, "u32");
  const [losses, dLogits] = [await tensors.poisoned([3]), await tensors.poisoned([3, 3])];
  const loss = tensors.keep(new Loss(gpu, 3));
  const work = await loss.bind({
    ...{ logits: logits.buffer, labels: labels.buffer },
    ...{ losses: losses.buffer, dLogits: dLogits.buffer },
  }, 3);
  await submit((encoder) => work.encode(encoder));
  const numbers = await losses.download();
  assertEquals([...numbers.slice(0, 2)], [NaN, NaN]);
  assertNear(numbers.slice(2), [2e4], "far off");
  assertNear((await dLogits.download()).slice(6), [1 / 3, 0, -1 / 3], "its gradient");
});

Deno.test("Loss: an infinite loss has no finite gradient, so that no step follows from it", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const logits = await tensors.upload({ data: [3e38, -3e38], shape: [1, 2] });
  const labels = await tensors.upload({ data: [1], shape: [1] }, "u32");
  const [losses, dLogits] = [
    await tensors.poisoned([1]),
    await tensors.upload({ data: [0, 0], shape: [1, 2] }),
  ];
  const loss = tensors.keep(new Loss(gpu, 2));
  const work = await loss.bind({
    ...{ logits: logits.buffer, labels: labels.buffer },
    ...{ losses: losses.buffer, dLogits: dLogits.buffer },
  }, 1);
  await submit((encoder) => work.encode(encoder));
  assertEquals(Number.isFinite((await losses.download())[0]), false);
  assertEquals((await dLogits.download()).every(Number.isFinite), false);
});

testRandomly("Loss: a vocabulary of 90,000 on tiles of software", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const vocabSize = 90_000;
  const [student, teacher] = [random.tensor([1, vocabSize]), random.tensor([1, vocabSize])];
  const label = random.integer(0, vocabSize - 1);
  const profile = profileOn(gpu, PROFILES.software);
  const loss = tensors.keep(new Loss(gpu, vocabSize, { profile }));
  const doubles = (host: { data: Float32Array }) => Float64Array.from(host.data);
  const expected = {
    label: crossEntropy(doubles(student), [label], { vocabSize }),
    teacher: divergenceFromTeacher(doubles(student), doubles(teacher), { vocabSize }),
  };
  const logits = (await tensors.upload(student)).buffer;
  const targets = {
    label: { labels: (await tensors.upload({ data: [label], shape: [1] }, "u32")).buffer },
    teacher: { teacher: (await tensors.upload(teacher)).buffer },
  };
  for (const target of ["label", "teacher"] as const) {
    const [losses, dLogits] = [await tensors.poisoned([1]), await tensors.poisoned([1, vocabSize])];
    const written = { losses: losses.buffer, dLogits: dLogits.buffer };
    const work = await loss.bind({ logits, ...targets[target], ...written }, 1);
    await submit((encoder) => work.encode(encoder));
    assertNear(await losses.download(), expected[target].losses, target, { size: 1 });
    assertNear(await dLogits.download(), expected[target].dLogits, target);
  }
});

Deno.test("Loss: a vocabulary beyond the loops of the software driver is an error", async () => {
  const loss = new Loss(await sharedGpu(), 200_000, { profile: PROFILES.software });
  const buffers = {} as Parameters<Loss["bind"]>[0];
  await assertRejects(() => loss.bind(buffers, 1), RangeError, "vocabSize=200000");
});
