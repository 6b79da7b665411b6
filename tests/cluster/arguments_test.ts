// Arguments of the wrong kind, of what goes over NATS: refused as everywhere, on this side of it.
import { assert, assertEquals } from "@std/assert";
import * as cluster from "../../src/cluster/mod.ts";
import { sharedGpu } from "../support/gpu.ts";
import { callable, hostileCalls, triedValues } from "../support/hostile.ts";
import { TINY, weightsOf } from "../support/models.ts";
import { NatsServer, testNats } from "../support/nats.ts";
import { openShards } from "../support/shards.ts";

const OF = { name: "count", fingerprint: "none" };
const SPEC = {
  ...{ shards: 1, page: 8, layers: 1, numHeads: 2, numKvHeads: 1, headDim: 4, valueDim: 4 },
  ...{ scale: 1, softcap: 1 },
};

/** The client's own errors are those of what it is given. */
const OF_THE_CLIENT = ["connect"];

testNats("cluster: arguments of the wrong kind are refused by name", async (random) => {
  const gpu = await sharedGpu();
  const folder = await Deno.makeTempDir();
  try {
    await using server = await NatsServer.start("--jetstream", "--store_dir", folder);
    const own = await server.join();
    const service = {
      ...{ ...OF, maxBytes: 1024, beat: 500, state: () => ({}) },
      answer: () => ({ cancel() {}, async *[Symbol.asyncIterator]() {} }),
    };
    const following = { ...OF, readState: () => true, refresh: 1000, patience: 1000 };
    const queue = { name: "jobs", fingerprint: "none", maxResults: 10 };
    const shard = { ...SPEC, name: "book", shard: 0, copy: 0, capacity: 8, maxBytes: 2 ** 16 };
    await cluster.ShardWorker.start(await server.join(), gpu, shard);
    const kv = await openShards(server, SPEC, { name: "book" });
    const answering = await cluster.AnswerService.start(own, service);
    const asked = { ...OF, worker: answering.id, maxBytes: 1024, silence: 50, patience: 500 };
    const tokens = Object.fromEntries(
      [["k", 4], ["v", 4], ["q", 8]].map(([name, size]) => [name, new Float32Array(Number(size))]),
    );
    const signal = AbortSignal.abort();
    const working = { signal, patience: 1000, hasRoom: () => true, warn: () => {} };
    const tokenizer = { vocabSize: 3, endOfText: [0], decode: String };
    const given = {
      "AnswerService.start": [own, service],
      "JobQueue.open": [own, queue],
      "JobQueue#add": ["run", "1", "prompt"],
      "JobQueue#checkRoom": ["run", 1],
      "JobQueue#count": ["run"],
      "JobQueue#outcomes": ["run", { signal }],
      "JobQueue#work": [() => Promise.resolve(1), working],
      "ShardWorker.start": [own, gpu, { ...shard, name: "other" }],
      "ShardedKv#extend": [0, tokens],
      "ShardedKv#length": [0],
      "ShardedKv#truncate": [0],
      "ShardedKv#restore": [await kv.snapshot()],
      // Takes the shards from the reader above.
      "ShardedKv.open": [own, { ...SPEC, name: "book", copies: 1, silence: 50, patience: 500 }],
      "Workers.open": [own, following],
      "Workers#passOver": ["id"],
      "Workers#forget": ["id"],
      ask: [own, asked, "prompt"],
      modelFingerprint: [TINY, weightsOf(TINY, random), tokenizer],
    };
    const instances = {
      JobQueue: await cluster.JobQueue.open(own, queue),
      ShardedKv: kv,
      Workers: await cluster.Workers.open(own, following),
    };
    const missing = callable(cluster).filter((name) => !(name in given));
    assertEquals(missing, OF_THE_CLIENT, "calls without right arguments");
    const faults = await hostileCalls(cluster, { given, instances }, triedValues(random));
    instances.Workers.close();
    assert(faults.length === 0, faults.join("\n"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
