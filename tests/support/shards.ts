// Shards of this machine, each with a connection of its own, and their reader.
import {
  ShardedKv,
  type ShardedKvOptions,
  type ShardSpec,
  ShardWorker,
} from "../../src/cluster/mod.ts";
import { sharedGpu } from "./gpu.ts";
import type { NatsServer } from "./nats.ts";

/** The name of the context of tests. */
export const CONTEXT = "book";

/** Starts every copy of every shard, by shard and copy. */
export async function startShards(
  server: NatsServer,
  spec: ShardSpec,
  { copies = 1, capacity = 64 } = {},
) {
  const gpu = await sharedGpu();
  return await Promise.all(
    Array.from(
      { length: spec.shards },
      (_, shard) =>
        Promise.all(Array.from({ length: copies }, async (_, copy) => {
          const cluster = await server.join();
          const options = { ...spec, name: CONTEXT, shard, copy, capacity };
          const worker = await ShardWorker.start(cluster, gpu, options);
          return { worker, kill: () => cluster.connection.close() };
        })),
    ),
  );
}

/** Opens the context of shards that were started. */
export async function openShards(
  server: NatsServer,
  spec: ShardSpec,
  options: Partial<ShardedKvOptions> = {},
): Promise<ShardedKv> {
  return await ShardedKv.open(await server.join(), {
    ...{ ...spec, name: CONTEXT, silence: 50, patience: 20_000, ...options },
  });
}
