// The sampler of many sequences, against the definition in float64.
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { Owned } from "../../src/gpu/owned.ts";
import { NO_SEQUENCE, Sampler, type SequenceSampling } from "../../src/model/sampler.ts";
import { fillInSampling, GREEDY, type Sampling } from "../../src/model/sampling.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { sharedGpu } from "../support/gpu.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { submit } from "../support/run.ts";
import { choicesOf, randomSampling, type TokensSoFar } from "../support/sampling.ts";

const KEPT = 5;
/** What tokens hold that no row chooses. */
const POISON = 987654;

/** A sampler over logits of as many rows, and the memory around it. */
async function withSampler(
  { rows, sequences, vocabSize }: { rows: number; sequences: number; vocabSize: number },
  use: (made: {
    sampler: Sampler;
    /** Chooses tokens by these logits, each row for its sequence, and returns those of all sequences. */
    choose: (
      logits: Float32Array,
      rows: readonly number[],
      lengths: readonly number[],
    ) => Promise<number[]>;
  }) => Promise<void>,
): Promise<void> {
  const gpu = await sharedGpu();
  await Owned.use(async (owned) => {
    const tensor = async (dtype: "f32" | "u32", shape: number[], fill: number) => {
      const data = new Array(shape.reduce((a, b) => a * b)).fill(fill);
      return owned.keep(await Tensor.upload(gpu, { data, shape }, { dtype }));
    };
    const logits = await tensor("f32", [rows, vocabSize], 0);
    const tokens = await tensor("u32", [sequences], POISON);
    const lengths = await tensor("u32", [sequences], 0);
    const tensors = { logits, tokens, lengths: lengths.buffer };
    const sampler = await Sampler.create(gpu, owned, tensors, { sequences, kept: KEPT });
    const choose = async (
      numbers: Float32Array,
      ofRows: readonly number[],
      positions: readonly number[],
    ) => {
      const { queue } = gpu.device;
      queue.writeBuffer(logits.buffer, 0, numbers as Float32Array<ArrayBuffer>);
      queue.writeBuffer(lengths.buffer, 0, new Uint32Array(positions));
      sampler.setRows(ofRows);
      const work = await sampler.bind(ofRows);
      await submit((encoder) => work.encode(encoder));
      return Array.from(await tokens.download());
    };
    await use({ sampler, choose });
  });
}

function logitsOf(random: Random, rows: number, vocabSize: number): Float32Array {
  return random.tensor([rows, vocabSize]).data.map((value) => 5 * value);
}

function tokensOf(random: Random, vocabSize: number): TokensSoFar {
  const some = () =>
    Array.from({ length: random.integer(0, 8) }, () => random.integer(0, vocabSize - 1));
  return { prompt: some(), generated: some() };
}

testRandomly("Sampler: each row is the choice of its sequence, in float64", async (random) => {
  let sure = 0;
  let all = 0;
  for (let round = 0; round < 6; round++) {
    const vocabSize = random.integer(2, round % 2 === 0 ? 9 : 300);
    const sequences = random.integer(2, 9);
    await withSampler({ rows: sequences, sequences, vocabSize }, async ({ sampler, choose }) => {
      const histories = Array.from({ length: sequences }, () => tokensOf(random, vocabSize));
      const samplings = histories.map(() => randomSampling(random, vocabSize));
      for (let i = 0; i < sequences; i++) await sampler.set(i, samplings[i], histories[i]);
      const expected = new Array(sequences).fill(POISON);
      // Several steps: what was generated is counted on the device.
      for (let step = 0; step < 6; step++) {
        // Rows of some sequences, in any order, and rows of none.
        const rows = [...samplings.keys()]
          .map((sequence) => random.next() < 0.2 ? NO_SEQUENCE : sequence)
          .toSorted(() => random.next() - 0.5)
          .slice(0, random.integer(1, sequences));
        const logits = logitsOf(random, rows.length, vocabSize);
        const lengths = samplings.map(() => random.integer(1, 10_000));
        const tokens = await choose(logits, rows, lengths);
        const read = await sampler.read();
        rows.forEach((sequence, row) => {
          if (sequence === NO_SEQUENCE) return;
          const own = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
          const history = histories[sequence];
          const choices = choicesOf(own, samplings[sequence], history, lengths[sequence]);
          all++;
          if (choices.size === 1) sure++;
          const token = tokens[sequence];
          assert(choices.has(token), `${token} is none of ${[...choices]}: step ${step}`);
          assertEquals(read.token(sequence, lengths[sequence]), token);
          expected[sequence] = token;
          histories[sequence] = { ...history, generated: [...history.generated, token] };
        });
        assertEquals(tokens, expected, "tokens of sequences without a row stay");
      }
    });
  }
  assert(sure > 0.9 * all, `${sure} of ${all} choices are sure`);
});

testRandomly("Sampler: a sequence's draws do not depend on the others", async (random) => {
  const [vocabSize, sequences] = [97, 6];
  const samplings = Array.from(
    { length: sequences },
    () => ({ ...randomSampling(random, vocabSize), temperature: 1 + random.next() }),
  );
  const lengths = samplings.map(() => random.integer(1, 1000));
  const logits = logitsOf(random, sequences, vocabSize);
  await withSampler({ rows: sequences, sequences, vocabSize }, async ({ sampler, choose }) => {
    const none = { prompt: [], generated: [] };
    for (let i = 0; i < sequences; i++) await sampler.set(i, samplings[i], none);
    const together = await choose(logits, [...samplings.keys()], lengths);
    for (let i = 0; i < sequences; i++) {
      await sampler.set(i, samplings[i], none);
      const alone = await choose(logits.subarray(i * vocabSize), [i], lengths);
      assertEquals(alone[i], together[i]);
    }
  });
});

testRandomly("Sampler: log-probabilities are those of the logits, in float64", async (random) => {
  const vocabSize = random.integer(3, 200);
  const asked = [0, undefined, 3, Math.min(20, vocabSize)];
  await withSampler({ rows: 4, sequences: 4, vocabSize }, async ({ sampler, choose }) => {
    const none = { prompt: [], generated: [] };
    for (const [i, logprobs] of asked.entries()) {
      const sampling: SequenceSampling = { ...randomSampling(random, vocabSize), logprobs };
      await sampler.set(i, sampling, none);
    }
    const logits = logitsOf(random, 4, vocabSize);
    const lengths = [3, 4, 5, 11];
    const tokens = await choose(logits, [2, 3, 0, 1], lengths);
    const read = await sampler.read();
    for (const [row, sequence] of [2, 3, 0].entries()) {
      const own = Array.from(logits.subarray(row * vocabSize, (row + 1) * vocabSize));
      const sum = Math.log(own.reduce((sum, logit) => sum + Math.exp(logit), 0));
      const count = asked[sequence]!;
      const { logprob, likeliest } = read.logprobs(sequence, lengths[sequence], count);
      assertAlmostEquals(logprob, own[tokens[sequence]] - sum, 1e-4);
      const order = [...own.keys()].sort((a, b) => own[b] - own[a] || a - b).slice(0, count);
      assertEquals(likeliest.map(({ token }) => token), order);
      for (const { token, logprob } of likeliest) {
        assertAlmostEquals(logprob, own[token] - sum, 1e-4);
      }
    }
  });
});

Deno.test("Sampler: equal logits, infinite ones, and ones that are not numbers", async () => {
  const vocabSize = 40;
  const rowOf = (fill: number, ...others: [token: number, logit: number][]) => {
    const row = new Float32Array(vocabSize).fill(fill);
    for (const [token, logit] of others) row[token] = logit;
    return row;
  };
  const rows = [
    rowOf(1, [7, 2], [30, 2]),
    rowOf(1, [31, Infinity]),
    rowOf(-Infinity, [5, -3]),
    rowOf(0, [39, NaN]),
  ];
  const logits = new Float32Array(rows.flatMap((row) => Array.from(row)));
  const shape = { rows: rows.length, sequences: rows.length, vocabSize };
  await withSampler(shape, async ({ sampler, choose }) => {
    for (const sampling of [GREEDY, { ...GREEDY, temperature: 1, topK: 1, seed: 3 }]) {
      for (const i of rows.keys()) {
        await sampler.set(i, sampling, { prompt: [], generated: [] });
      }
      const [tied, infinite, finite, nan] = await choose(logits, [0, 1, 2, 3], [1, 2, 3, 4]);
      // As likely as the last one that counts is drawn from too.
      assert(sampling.temperature === 0 ? tied === 7 : tied === 7 || tied === 30, `${tied}`);
      assertEquals([infinite, finite], [31, 5]);
      assert(nan >= vocabSize, "a NaN is told");
    }
  });
});

Deno.test("fillInSampling: defaults, and what is refused", () => {
  assertEquals(fillInSampling("test", {}, 10), GREEDY);
  assertEquals(fillInSampling("test", { topK: undefined, seed: 4 }, 10), { ...GREEDY, seed: 4 });
  const refused: [Partial<Record<keyof Sampling, unknown>>, string][] = [
    [{ temperature: -1 }, "temperature=-1"],
    [{ temperature: NaN }, "temperature=NaN"],
    [{ topK: 1.5 }, "topK=1.5"],
    [{ topP: 0 }, "topP=0"],
    [{ topP: NaN }, "topP=NaN"],
    [{ minP: 1.1 }, "minP=1.1"],
    [{ seed: 2 ** 32 }, "seed must be below 2^32"],
    [{ repetitionPenalty: 0 }, "repetitionPenalty=0"],
    [{ frequencyPenalty: Infinity }, "frequencyPenalty=Infinity"],
    [{ presencePenalty: NaN }, "presencePenalty=NaN"],
    [{ logitBias: new Map([[10, 1]]) }, "token=10, vocabSize=10"],
    [{ logitBias: new Map([[1, NaN]]) }, "logitBias of token 1"],
  ];
  for (const [asked, says] of refused) {
    assertThrows(() => fillInSampling("test", asked as Partial<Sampling>, 10), RangeError, says);
  }
  const plain = { logitBias: { 1: 2 } } as unknown as Partial<Sampling>;
  assertThrows(() => fillInSampling("test", plain, 10), TypeError, "must be a Map");
});
