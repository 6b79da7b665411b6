/** The time to the first token of prompts that begin as an earlier one did. */
import type { Gpu } from "../../mod.ts";
import { uniform } from "../../src/base/random.ts";
import { Batch } from "../../src/model/mod.ts";
import { randomWeights } from "../../src/model/random_weights.ts";
import { median } from "../statistics.ts";
import type { ServedModel } from "./measure.ts";
import type { PrefixResult } from "./result.ts";

/** Tokens that each prompt has of its own. */
export const OWN_TOKENS = 16;

/** Measures pairs, one after the other: a prompt that shares nothing, then one that shares its first tokens. */
export async function measurePrefix(
  gpu: Gpu,
  { spec, weightDtype }: ServedModel,
  { sharedTokens, pairs, seed, stepTokens }: {
    sharedTokens: number;
    pairs: number;
    seed: number;
    stepTokens: number;
  },
): Promise<PrefixResult> {
  const next = uniform(seed);
  const draw = (length: number) =>
    Array.from({ length }, () => Math.floor(next() * spec.vocabSize));
  const maxTokens = sharedTokens + OWN_TOKENS + 1;
  // As many as the prompts of two pairs: the pages of a pair are known until the next but one.
  const batch = await Batch.create(gpu, spec, randomWeights(spec), {
    ...{ maxTokens, maxSequences: 4, maxStepTokens: Math.max(4, stepTokens), weightDtype },
  });
  try {
    const timePair = async () => {
      const shared = draw(sharedTokens);
      const fresh = await timeFirst(batch, [...shared, ...draw(OWN_TOKENS)]);
      return { fresh, shared: await timeFirst(batch, [...shared, ...draw(OWN_TOKENS)]) };
    };
    await timePair();
    const times = [];
    for (let pair = 0; pair < pairs; pair++) times.push(await timePair());
    return {
      ...{ numKvHeads: spec.numKvHeads, sharedTokens, ownTokens: OWN_TOKENS, pairs },
      freshMs: median(times.map(({ fresh }) => fresh)),
      sharedMs: median(times.map(({ shared }) => shared)),
      ratio: median(times.map(({ fresh, shared }) => shared / fresh)),
    };
  } finally {
    batch.destroy();
  }
}

async function timeFirst(batch: Batch, tokens: readonly number[]): Promise<number> {
  const start = performance.now();
  let ms = NaN;
  for await (const _ of batch.add({ tokens, maxTokens: 1 })) ms = performance.now() - start;
  // The next one finds its place free.
  while (batch.stats.running > 0) await new Promise((resolve) => setTimeout(resolve));
  return ms;
}
