// From which context on shards are faster: by hand, and against the times of both sides.
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import {
  decodeAttentionTime,
  shardedAttentionTime,
  shardedContextFrom,
  type ShardRound,
} from "../../mod.ts";
import { testRandomly } from "../support/random.ts";
import { testRefusals } from "../support/refusals.ts";

const SHAPE = { numLayers: 4, numHeads: 32, numKvHeads: 1, headDim: 128 };
const RATES = { bytesPerSecond: 1e12, flopsPerSecond: 1e14 };
const ROUND: ShardRound = { shards: 2, readSeconds: 0.01, roundSeconds: 0.002 };

Deno.test("shardedContextFrom(): two readbacks and a round, over what half of a context's tokens take", () => {
  // A token has 2 x 128 numbers of 2 bytes in a layer: 512e-12 s. Half of a context must take more than 0.022 s.
  assertEquals(shardedContextFrom(SHAPE, RATES, ROUND), Math.floor(0.022 / 256e-12) + 1);
  assertEquals(shardedContextFrom(SHAPE, RATES, ROUND), 85_937_501);
  // In f32 a token takes twice as long, and 8 shards save 7 of 8 parts of it.
  const eight = { ...ROUND, shards: 8 };
  assertEquals(
    shardedContextFrom(SHAPE, RATES, eight, { dtype: "f32" }),
    Math.floor(0.022 / (1024e-12 * 7 / 8)) + 1,
  );
  assertEquals(shardedContextFrom(SHAPE, RATES, { ...ROUND, shards: 1 }), Infinity);
  assertEquals(shardedContextFrom(SHAPE, RATES, { ...ROUND, isOneDevice: true }), Infinity);
  assertEquals(shardedContextFrom(SHAPE, RATES, { shards: 2, readSeconds: 0, roundSeconds: 0 }), 1);
});

Deno.test("shardedAttentionTime(): the largest shard's bytes, or all where one device has them, and the waits of each layer", () => {
  // Four layers of 512 bytes a token; three shards have 334, 333 and 333 of 1,000 tokens.
  const three = { ...ROUND, shards: 3 };
  const waitSeconds = 4 * 0.022;
  const timeOf = (round: ShardRound) =>
    shardedAttentionTime(SHAPE, RATES, round, { contextLen: 1000 });
  for (const [round, tokens] of [[three, 334], [{ ...three, isOneDevice: true }, 1000]] as const) {
    const attentionSeconds = 4 * tokens * 512 / 1e12;
    const seconds = attentionSeconds + waitSeconds;
    assertEquals(timeOf(round), { attentionSeconds, waitSeconds, seconds });
  }
  const wide = shardedAttentionTime(SHAPE, RATES, three, { contextLen: 1000, dtype: "f32" });
  assertEquals(wide.attentionSeconds, 4 * 334 * 1024 / 1e12);
});

testRandomly(
  "shardedContextFrom(): below it one device is as fast, from it on shards are faster",
  (random) => {
    for (let i = 0; i < 30; i++) {
      const numKvHeads = random.pick([1, 2, 4]);
      const shape = { numLayers: random.integer(1, 9), numHeads: 8, numKvHeads, headDim: 64 };
      const rates = { bytesPerSecond: 1e9 * random.integer(1, 9), flopsPerSecond: 1e11 };
      const round = { shards: random.integer(2, 9), readSeconds: random.next() / 100 };
      const from = shardedContextFrom(shape, rates, round);
      const gain = (contextLen: number) => {
        const { seconds } = decodeAttentionTime(shape, rates, { contextLen });
        const taken = shape.numLayers * (2 * round.readSeconds + 0.002);
        return seconds - seconds / round.shards - taken;
      };
      // Where the shards are of one size, the time over them is the same.
      const contextLen = round.shards * random.integer(1, 9999);
      const sharded = shardedAttentionTime(shape, rates, round, { contextLen });
      const alone = decodeAttentionTime(shape, rates, { contextLen });
      assertAlmostEquals(alone.seconds - sharded.seconds, gain(contextLen), 1e-12);
      assert(gain(from) > 0 && gain(from - 1) < 1e-9, `${from}: ${gain(from)}, ${gain(from - 1)}`);
    }
  },
);

const refused = (round: Partial<ShardRound>) => () =>
  shardedContextFrom(SHAPE, RATES, { ...ROUND, ...round });
testRefusals("shards that pay", [
  [
    "no options",
    () => shardedAttentionTime(SHAPE, RATES, ROUND, null as never),
    TypeError,
    "options=null",
  ],
  [
    "no tokens",
    () => shardedAttentionTime(SHAPE, RATES, ROUND, { contextLen: 0 }),
    RangeError,
    "contextLen=0",
  ],
  ["no shards", refused({ shards: 0 }), RangeError, "shards=0"],
  ["a time below 0", refused({ readSeconds: -1 }), RangeError, "readSeconds=-1"],
  ["a time that is no number", refused({ roundSeconds: NaN }), RangeError, "roundSeconds=NaN"],
  [
    "heads that do not divide",
    () => shardedContextFrom({ ...SHAPE, numKvHeads: 3 }, RATES, ROUND),
    RangeError,
    "numKvHeads=3",
  ],
]);
