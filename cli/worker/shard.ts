/** A shard of a context, in place of an engine. */
import { Gpu } from "../../mod.ts";
import { openCheckpoint } from "../../src/checkpoints/mod.ts";
import { ShardWorker } from "../../src/cluster/mod.ts";
import { lengthOfShard } from "../../src/cluster/shard_layout.ts";
import { openCluster, unserved } from "../shared/cluster/connect.ts";
import { CONTEXT, shardSpecOf } from "../shared/cluster/shards.ts";
import type { Out } from "../shared/run.ts";
import { untilSignal } from "../shared/signals.ts";
import { lossOf } from "./loss.ts";
import type { ShardOptions, WorkerOptions } from "./options.ts";

/** Holds a shard until a signal ends it. Of the model it needs the shape alone. */
export async function holdShard(
  { model, context, kvDtype, cluster: at }: WorkerOptions,
  { shard, shards, copy }: ShardOptions,
  out: Out,
): Promise<void> {
  const warn = (sentence: string) => out.error(sentence);
  const { spec, close } = await openCheckpoint(model, { warn });
  await close();
  const shardSpec = shardSpecOf(spec, shards);
  const tokens = Math.min(context ?? spec.contextLen, spec.contextLen);
  const capacity = Math.max(1, lengthOfShard(shardSpec, shard, tokens));
  const cluster = await openCluster("start a shard", at);
  try {
    const gpu = await Gpu.open();
    try {
      const options = { ...shardSpec, name: CONTEXT, shard, copy, capacity, kvDtype };
      const worker = await ShardWorker.start(cluster, gpu, options);
      const name = `${shard} of ${shards}, copy ${copy}`;
      out.log(
        `Shard ${name}, with room for ${capacity} tokens, at ${at.url} (Ctrl-C ends it)`,
      );
      const lost = lossOf(gpu, `hold shard ${name}`);
      const failed = Promise.race([lost, unserved("hold a shard", cluster, worker.stopped)]);
      await untilSignal(out, () => worker.stop(), failed);
    } finally {
      gpu.destroy();
    }
  } finally {
    await cluster.connection.close();
  }
}
