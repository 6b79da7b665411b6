// A shard whose GPU is lost, at whatever moment of whatever its reader asks: the reader is told that the shard is lost.
import { DeviceLostError } from "../../mod.ts";
import { ShardLostError, type ShardSpec, ShardWorker } from "../../src/cluster/mod.ts";
import { isThorough, loseSometimes, LOSSES, type Prepare } from "../support/loss.ts";
import { NatsServer, testNats } from "../support/nats.ts";
import { openShards, ShardContext } from "../support/shards.ts";

const SPEC: ShardSpec = {
  ...{ shards: 1, page: 8, layers: 1, numHeads: 2, numKvHeads: 1, headDim: 4, valueDim: 4 },
};

testNats("ShardWorker: its reader is told that its GPU was lost, at any moment", async (random) => {
  await using server = await NatsServer.start();
  let contexts = 0;
  const prepare: Prepare = async (gpu) => {
    const name = `context${contexts++}`;
    const options = { ...SPEC, name, shard: 0, capacity: 8 };
    const worker = await ShardWorker.start(await server.join(), gpu, options);
    const kv = await openShards(server, SPEC, { name });
    const tokens = new ShardContext(random, SPEC);
    return async () => {
      try {
        await kv.extend(0, tokens.next(3));
        const saved = await kv.snapshot();
        await kv.truncate(2);
        await kv.restore(saved);
        await kv.extend(0, tokens.next(1));
      } catch (error) {
        const isTold = error instanceof ShardLostError && error.message.includes("was lost (");
        throw isTold ? new DeviceLostError(error.message) : error;
      } finally {
        await worker.stop();
      }
    };
  };
  for (const { most, ...loss } of isThorough ? LOSSES : [random.pick(LOSSES)]) {
    await loseSometimes(random, prepare, loss, Math.min(most, 4));
  }
});
