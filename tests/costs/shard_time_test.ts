// From which context on shards are faster: by hand, and against the times of both sides.
import { assert, assertEquals } from "@std/assert";
import { decodeAttentionTime, shardedContextFrom, type ShardRound } from "../../mod.ts";
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
  assertEquals(shardedContextFrom(SHAPE, RATES, { shards: 2, readSeconds: 0, roundSeconds: 0 }), 1);
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
      assert(gain(from) > 0 && gain(from - 1) < 1e-9, `${from}: ${gain(from)}, ${gain(from - 1)}`);
    }
  },
);

const refused = (round: Partial<ShardRound>) => () =>
  shardedContextFrom(SHAPE, RATES, { ...ROUND, ...round });
testRefusals("shards that pay", [
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
