// A decoder whose keys and values are on shards of this machine, against one that has them itself.
import { assertEquals, assertRejects } from "@std/assert";
import { ShardLostError } from "../../src/cluster/mod.ts";
import { Decoder, type DecoderSpec } from "../../src/model/mod.ts";
import { sharedGpu } from "../support/gpu.ts";
import { weightsOf } from "../support/models.ts";
import { NatsServer, testNats } from "../support/nats.ts";
import { openShards, startShards } from "../support/shards.ts";

const MODEL: DecoderSpec = {
  ...{ vocabSize: 37, dim: 24, hiddenDim: 20, numHeads: 6, numKvHeads: 1, headDim: 8 },
  contextLen: 48,
  layers: [{ rope: {} }, { rope: { base: 500 } }],
  norm: { kind: "rms", eps: 1e-6 },
  activation: "silu",
  isGated: true,
  isParallel: false,
};
const SHARDS = {
  ...{ shards: 3, page: 5, layers: 2, numHeads: 6, numKvHeads: 1, headDim: 8, valueDim: 8 },
};

testNats("Decoder: over three shards, its tokens are those of a cache", async (random) => {
  await using server = await NatsServer.start();
  const shards = await startShards(server, SHARDS);
  const kv = await openShards(server, SHARDS);
  const gpu = await sharedGpu();
  const weights = weightsOf(MODEL, random);
  const local = await Decoder.create(gpu, MODEL, weights);
  const sharded = await Decoder.create(gpu, MODEL, weights, { kv });
  const continued = async (decoder: Decoder) => {
    const text: number[] = [];
    await decoder.feed([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for await (const tokens of decoder.generate({ tokens: 24 })) text.push(...tokens);
    // The next turn of a conversation.
    await decoder.truncate(22);
    await decoder.feed([9, 8]);
    for await (const tokens of decoder.generate({ tokens: 5 })) text.push(...tokens);
    return text;
  };
  assertEquals(await continued(sharded), await continued(local));
  assertEquals(kv.length(1), sharded.length);
  await shards[2][0].kill();
  await assertRejects(() => sharded.feed([1]), ShardLostError, "Shard 2");
  for (const decoder of [local, sharded]) decoder.destroy();
});
