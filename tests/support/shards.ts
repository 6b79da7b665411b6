// Shards of this machine, each with a connection of its own, their reader, and attention in float64 over what they hold.
import { referenceAttention } from "../../mod.ts";
import {
  type RemoteTokens,
  ShardedKv,
  type ShardedKvOptions,
  type ShardSpec,
  ShardWorker,
} from "../../src/cluster/mod.ts";
import { sharedGpu } from "./gpu.ts";
import type { NatsServer } from "./nats.ts";
import type { Random } from "./random.ts";

/** The name of the context of tests. */
export const CONTEXT = "book";

/** Starts every copy of every shard, by shard and copy. */
export async function startShards(
  server: NatsServer,
  spec: ShardSpec,
  { copies = 1, capacity = 64, maxBytes }: {
    copies?: number;
    capacity?: number;
    maxBytes?: number;
  } = {},
) {
  const gpu = await sharedGpu();
  return await Promise.all(
    Array.from(
      { length: spec.shards },
      (_, shard) =>
        Promise.all(Array.from({ length: copies }, async (_, copy) => {
          const cluster = await server.join();
          const options = { ...spec, name: CONTEXT, shard, copy, capacity, maxBytes };
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

/** Tokens of a layer, and all that came before them. */
export class ShardContext {
  k: number[] = [];
  v: number[] = [];
  constructor(readonly random: Random, readonly spec: ShardSpec) {}

  /** New tokens, which count from now on. */
  next(count: number): Required<RemoteTokens> {
    const { numHeads, numKvHeads, headDim, valueDim } = this.spec;
    const [k, v, q] = [numKvHeads * headDim, numKvHeads * valueDim, numHeads * headDim]
      .map((row) => this.random.tensor([count * row]).data);
    this.k.push(...k);
    this.v.push(...v);
    return { k, v, q };
  }

  truncate(length: number): void {
    const { numKvHeads, headDim, valueDim } = this.spec;
    this.k.length = length * numKvHeads * headDim;
    this.v.length = length * numKvHeads * valueDim;
  }

  /** Attention of the newest tokens over all, in float64. */
  attend(q: Float32Array): Float64Array {
    const { numHeads, numKvHeads, headDim, valueDim, scale, softcap } = this.spec;
    const tokens = this.k.length / numKvHeads / headDim;
    const queries = q.length / numHeads / headDim;
    return referenceAttention({
      q: { data: q, shape: [1, queries, numHeads, headDim] },
      k: { data: this.k, shape: [1, tokens, numKvHeads, headDim] },
      v: { data: this.v, shape: [1, tokens, numKvHeads, valueDim] },
    }, { scale, softcap }).o;
  }
}
