/** A context whose keys and values are at other machines. */
import type { Checkpoint } from "../../src/checkpoints/mod.ts";
import { ShardedKv } from "../../src/cluster/mod.ts";
import { openCluster } from "../shared/cluster/connect.ts";
import { CONTEXT, shardSpecOf } from "../shared/cluster/shards.ts";
import type { Out } from "../shared/run.ts";
import type { GenerateOptions } from "./options.ts";

/** Runs `use` over the shards of a context, or over none where none are asked for. */
export async function withShards(
  { spec }: Checkpoint,
  { cluster: at, shards: asked }: GenerateOptions,
  out: Pick<Out, "error">,
  use: (kv?: ShardedKv) => Promise<void>,
): Promise<void> {
  if (!at || !asked) return await use();
  const { shards, copies } = asked;
  const cluster = await openCluster("generate", at);
  try {
    const kv = await ShardedKv.open(cluster, {
      ...{ ...shardSpecOf(spec, shards), name: CONTEXT, copies },
      warn: (sentence) => out.error(sentence),
    });
    await use(kv);
  } finally {
    await cluster.connection.close();
  }
}
