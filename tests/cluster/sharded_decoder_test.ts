// A decoder whose keys and values are on shards of this machine, against one that has them itself.
import { assertEquals, assertRejects } from "@std/assert";
import { ShardLostError } from "../../src/cluster/mod.ts";
import { Decoder, type DecoderSpec } from "../../src/model/mod.ts";
import { sharedGpu } from "../support/gpu.ts";
import { SMALL, weightsOf } from "../support/models.ts";
import { NatsServer, testNats } from "../support/nats.ts";
import { openShards, startShards } from "../support/shards.ts";

const MODEL: DecoderSpec = { ...SMALL, numKvHeads: 1, contextLen: 48 };
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

testNats(
  "Decoder: over two copies of each shard, a text goes on when either is lost within it",
  async (random) => {
    await using server = await NatsServer.start();
    const shards = await startShards(server, SHARDS, { copies: 2 });
    const lost: string[] = [];
    const warn = (sentence: string) => void lost.push(sentence);
    const kv = await openShards(server, SHARDS, { copies: 2, warn });
    const gpu = await sharedGpu();
    const weights = weightsOf(MODEL, random);
    const decoders = [
      await Decoder.create(gpu, MODEL, weights),
      await Decoder.create(gpu, MODEL, weights, { kv }),
    ];
    const texts: number[][] = [];
    for (const [i, decoder] of decoders.entries()) {
      await decoder.feed([1, 2, 3, 4, 5, 6, 7]);
      const text: number[] = [];
      const waiting = [...shards];
      for await (const tokens of decoder.generate({ tokens: 24, batch: 4 })) {
        text.push(...tokens);
        // One copy after the other ends while tokens are generated, until each shard has one left.
        if (i === 1) void waiting.shift()?.[random.integer(0, 1)].kill();
      }
      texts.push(text);
      decoder.destroy();
    }
    assertEquals(texts[1], texts[0]);
    assertEquals(lost.length, SHARDS.shards);
  },
);
