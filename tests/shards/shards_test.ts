// The short form of `deno run shards`, of two of them.
import { assert, assertEquals } from "@std/assert";
import { withModel } from "../support/commands.ts";
import { testNats } from "../support/nats.ts";
import { attend, continueText, TOLERANCE } from "./shards.ts";

const SHARDS = 2;

testNats("shards: a text is that of one machine", async (random) => {
  const { alone, shards } = await withModel(
    random,
    ({ model }) => continueText(model, { shards: SHARDS, most: 3 }),
  );
  assertEquals([shards, alone.length], [alone, 3]);
});

testNats("shards: attention is that of float64", async (random) => {
  const { context, error, largest, rounds } = await attend(random, {
    ...{ shards: SHARDS, tokens: 70, heads: { numHeads: 4, numKvHeads: 1, headDim: 8 } },
  });
  assertEquals([context, rounds.length], [140, 3]);
  assert(error <= TOLERANCE && largest > 100 * TOLERANCE, `${error} of ${largest}`);
});
