// The simulated schedule beside that of a batch on a device: the same tokens of the same sequences in every step.
import { assertEquals } from "@std/assert";
import { PagedKvCache } from "../../../../mod.ts";
import { Batch, type BatchSequence, type DecoderSpec } from "../../../../src/model/mod.ts";
import { Replica, type Simulated } from "../../../../cli/plan/fleet/replica.ts";
import type { TimedWork } from "../../../../cli/plan/fleet/step_times.ts";
import { sharedGpu } from "../../../support/gpu.ts";
import { TINY, weightsOf } from "../../../support/models.ts";
import { type Random, testRandomly } from "../../../support/random.ts";

const SPEC: DecoderSpec = { ...TINY, vocabSize: 50, contextLen: 40, layers: [{ rope: {} }] };

interface Sizes {
  maxSequences: number;
  maxStepTokens: number;
  stepsPerRead: number;
  pageSize: number;
  numPages: number;
}
interface Asked {
  prompt: number;
  answer: number;
  mostAnswer: number;
}

/** The tokens of each step, in the order of places, by a batch on the device. */
async function stepsOfBatch(
  random: Random,
  { numPages, ...sizes }: Sizes,
  asked: readonly Asked[],
): Promise<number[][]> {
  const steps: number[][] = [];
  const { extend } = PagedKvCache.prototype;
  PagedKvCache.prototype.extend = function (encoder, counts) {
    steps.push(counts.filter((count) => count > 0));
    return extend.call(this, encoder, counts);
  };
  const cacheBytes = numPages * sizes.pageSize * 2 * SPEC.headDim * 4;
  const batch = await Batch.create(await sharedGpu(), SPEC, weightsOf(SPEC, random), {
    ...{ ...sizes, cacheBytes },
  });
  try {
    assertEquals(batch.stats.pages.total, numPages);
    const sequences = asked.map(({ prompt, answer, mostAnswer }, i) => {
      let generated = 0;
      // No two prompts begin alike.
      const tokens = [i, ...Array.from({ length: prompt - 1 }, () => random.integer(0, 49))];
      return batch.add({ tokens, maxTokens: mostAnswer, endsWith: () => ++generated === answer });
    });
    await Promise.all(sequences.map(drain));
  } finally {
    batch.destroy();
    PagedKvCache.prototype.extend = extend;
  }
  return steps;
}

async function drain(sequence: BatchSequence): Promise<void> {
  for await (const _ of sequence);
}

/** The same by the simulation. */
function stepsOfReplica(
  { maxSequences: maxRunning, maxStepTokens, stepsPerRead, pageSize, numPages: total }: Sizes,
  asked: readonly Asked[],
): { steps: number[][]; setBacks: number } {
  const steps: number[][] = [];
  const replica = new Replica({
    ...{ maxRunning, maxStepTokens, stepsPerRead, pages: { total, pageSize } },
    times: { readSeconds: 0, stepSeconds: () => 0, excessSeconds: () => 0 },
  }, (work: readonly TimedWork[]) => void steps.push(work.map(({ count }) => count)));
  for (const one of asked) {
    const request = { at: 0, ...one };
    const maxTokens = one.prompt + one.mostAnswer;
    replica.add({ id: -1, request, maxTokens, generated: 0, unread: 0 } satisfies Simulated);
  }
  for (let over = 0; over < asked.length; over += replica.finish().length) replica.start(0);
  return { steps, setBacks: replica.counts.setBacks };
}

testRandomly("Fleet: a batch on a device runs the steps that are simulated", async (random) => {
  for (let round = 0; round < 2; round++) {
    const { sizes, asked, steps } = drawSetBack(random);
    assertEquals(await stepsOfBatch(random, sizes, asked), steps);
  }
});

/** Sequences of which some are set back for want of pages, and their steps by the simulation. */
function drawSetBack(random: Random): { sizes: Sizes; asked: Asked[]; steps: number[][] } {
  while (true) {
    const maxSequences = random.integer(4, 5);
    const sizes = {
      maxSequences,
      maxStepTokens: maxSequences + random.integer(0, 9),
      stepsPerRead: random.integer(1, 5),
      ...{ pageSize: 4, numPages: 10 },
    };
    const asked = Array.from({ length: 8 }, () => {
      const answer = random.integer(1, 16);
      return { prompt: random.integer(1, 20), answer, mostAnswer: answer + random.integer(0, 4) };
    });
    const { steps, setBacks } = stepsOfReplica(sizes, asked);
    if (setBacks > 0) return { sizes, asked, steps };
  }
}
