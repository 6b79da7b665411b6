// A context on shards of this machine, against attention over all of it in float64; and what a lost shard does.
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { Msg } from "@nats-io/transport-node";
import { ShardedKv, ShardLostError, type ShardSpec, ShardWorker } from "../../src/cluster/mod.ts";
import { assertClose, TOLERANCE } from "../support/compare.ts";
import { sharedGpu } from "../support/gpu.ts";
import { NatsServer, testNats } from "../support/nats.ts";
import { CONTEXT, openShards, ShardContext, startShards } from "../support/shards.ts";
import { until } from "../support/within.ts";

const SPEC: ShardSpec = {
  ...{ shards: 3, page: 8, layers: 2, numHeads: 4, numKvHeads: 1, headDim: 12, valueDim: 8 },
};

testNats("ShardedKv: attention over shards is attention over all tokens", async (random) => {
  const specs: ShardSpec[] = [
    SPEC,
    { ...SPEC, shards: 1, layers: 1 },
    {
      ...{ shards: 2, page: 3, layers: 1, numHeads: 6, numKvHeads: 2, headDim: 7, valueDim: 5 },
      ...{ scale: 0.3, softcap: 2 },
    },
  ];
  for (const spec of specs) {
    await using server = await NatsServer.start();
    const shards = await startShards(server, spec);
    const kv = await openShards(server, spec);
    const contexts = Array.from({ length: spec.layers }, () => new ShardContext(random, spec));
    const step = async (count: number) => {
      for (const [layer, context] of contexts.entries()) {
        const tokens = context.next(count);
        assertClose(await kv.extend(layer, tokens), context.attend(tokens.q), TOLERANCE.f32, "o");
      }
    };
    for (const count of [1, 1, 30, 1, 9, 1]) await step(count);
    // Tokens without queries are attended to by those that come.
    for (const [layer, context] of contexts.entries()) {
      const { k, v } = context.next(5);
      assertEquals((await kv.extend(layer, { k, v })).length, 0);
    }
    await step(2);
    const kept = random.integer(1, 40);
    await kv.truncate(kept);
    for (const context of contexts) context.truncate(kept);
    assertEquals(kv.length(), kept);
    await step(3);
    await kv.clear();
    for (const context of contexts) context.truncate(0);
    await step(4);
    for (const { worker } of shards.flat()) await worker.stop();
  }
});

testNats("ShardedKv: f16 on the wire rounds inputs and outputs once", async (random) => {
  await using server = await NatsServer.start();
  const spec = { ...SPEC, layers: 1 };
  await startShards(server, spec);
  const kv = await openShards(server, spec, { dtype: "f16" });
  const context = new ShardContext(random, spec);
  const tokens = context.next(20);
  const o = await kv.extend(0, tokens);
  assertClose(o, context.attend(tokens.q), 5e-3, "o");
  context.k = context.k.map(Math.f16round);
  context.v = context.v.map(Math.f16round);
  assertClose(o, context.attend(tokens.q.map(Math.f16round)), TOLERANCE.f16, "o");
});

testNats(
  "ShardedKv: messages stay below a limit, however many tokens come at once",
  async (random) => {
    await using server = await NatsServer.start();
    const spec = { ...SPEC, layers: 1, page: 40 };
    await startShards(server, spec);
    const kv = await openShards(server, spec, { maxBytes: 2600 });
    const context = new ShardContext(random, spec);
    const tokens = context.next(100);
    assertClose(await kv.extend(0, tokens), context.attend(tokens.q), TOLERANCE.f32, "o");
    await assertRejects(
      () => openShards(server, spec, { maxBytes: 200 }),
      RangeError,
      "tokens of a message",
    );
  },
);

testNats(
  "ShardedKv: an answer that no message can hold is refused, and the shard goes on",
  async (random) => {
    await using server = await NatsServer.start();
    const spec = { ...SPEC, shards: 1, layers: 1, headDim: 1, valueDim: 40 };
    const options = { ...spec, name: CONTEXT, shard: 0, capacity: 64, maxBytes: 512 };
    await ShardWorker.start(await server.join(), await sharedGpu(), options);
    const kv = await openShards(server, spec);
    const context = new ShardContext(random, spec);
    const tokens = context.next(1);
    await assertRejects(() => kv.extend(0, tokens), RangeError, "bytes=684");
    await kv.clear();
    await kv.extend(0, { k: tokens.k, v: tokens.v });
    assertEquals(kv.length(), 1);
  },
);

testNats("ShardedKv: calls that come at once are done one after the other", async (random) => {
  await using server = await NatsServer.start();
  const spec = { ...SPEC, layers: 1 };
  await startShards(server, spec);
  const kv = await openShards(server, spec);
  const context = new ShardContext(random, spec);
  const calls = [5, 1, 9].map((count) => {
    const tokens = context.next(count);
    return { o: kv.extend(0, tokens), expected: context.attend(tokens.q) };
  });
  for (const { o, expected } of calls) assertClose(await o, expected, TOLERANCE.f32, "o");
});

testNats(
  "ShardedKv: a lost shard is named, and nothing is merged until the context is cleared",
  async (random) => {
    await using server = await NatsServer.start();
    const spec = { ...SPEC, layers: 1 };
    const shards = await startShards(server, spec);
    const kv = await openShards(server, spec);
    const context = new ShardContext(random, spec);
    await kv.extend(0, context.next(20));
    await shards[1][0].kill();
    await assertRejects(() => kv.extend(0, context.next(1)), ShardLostError, "Shard 1 was lost");
    await assertRejects(() => kv.extend(0, context.next(1)), ShardLostError, "until it is cleared");
    await assertRejects(() => kv.truncate(0), ShardLostError, "until it is cleared");
    await assertRejects(() => kv.clear(), ShardLostError, "Shard 1 was lost");
    // One that comes back has nothing: it is asked for what it should have, and says so.
    const other = await ShardWorker.start(await server.join(), await sharedGpu(), {
      ...{ ...spec, name: CONTEXT, shard: 1, capacity: 64 },
    });
    await kv.clear();
    const again = new ShardContext(random, spec);
    const tokens = again.next(20);
    assertClose(await kv.extend(0, tokens), again.attend(tokens.q), TOLERANCE.f32, "o");
    await other.stop();
    await ShardWorker.start(await server.join(), await sharedGpu(), {
      ...{ ...spec, name: CONTEXT, shard: 1, capacity: 64 },
    });
    await assertRejects(() => kv.extend(0, again.next(1)), ShardLostError, "it began anew");
  },
);

testNats(
  "ShardedKv: with two copies of each shard, a context outlives the loss of one",
  async (random) => {
    await using server = await NatsServer.start();
    const spec = { ...SPEC, layers: 1 };
    const shards = await startShards(server, spec, { copies: 2 });
    const kv = await openShards(server, spec, { copies: 2, warn: () => {} });
    const context = new ShardContext(random, spec);
    const step = async (count: number) => {
      const tokens = context.next(count);
      assertClose(await kv.extend(0, tokens), context.attend(tokens.q), TOLERANCE.f32, "o");
    };
    await step(20);
    for (const copies of shards) await copies[random.integer(0, 1)].kill();
    await step(1);
    await step(11);
    for (const { kill } of shards.flat()) await kill();
    await assertRejects(() => step(1), ShardLostError);
  },
);

testNats(
  "ShardedKv: a slow copy is waited for before the next round, and its loss is said once",
  async (random) => {
    await using server = await NatsServer.start();
    const spec = { ...SPEC, shards: 1, layers: 1 };
    for (const name of [CONTEXT, "slow"]) {
      const options = { ...spec, name, shard: 0, capacity: 64 };
      await ShardWorker.start(await server.join(), await sharedGpu(), options);
    }
    const { connection } = await server.join();
    let [asked, most] = [0, 0];
    const answer = async (message: Msg) => {
      most = Math.max(most, ++asked);
      const { data } = await connection.request("test.slow.0-0", message.data, {
        timeout: 60_000,
      });
      await new Promise((resolve) => setTimeout(resolve, 50));
      asked--;
      message.respond(data);
    };
    const copy = connection.subscribe("test.book.0-1", {
      callback: (_, message) => void answer(message),
    });
    connection.subscribe("test.book.0-1.probe", {
      callback: (_, message) => void message.respond("true"),
    });
    const warned: string[] = [];
    const warn = (sentence: string) => void warned.push(sentence);
    const kv = await openShards(server, spec, { copies: 2, warn });
    const context = new ShardContext(random, spec);
    for (let i = 0; i < 4; i++) await kv.extend(0, context.next(1));
    assertEquals([most, warned], [1, []]);
    copy.unsubscribe();
    await connection.flush();
    for (let i = 0; i < 3; i++) await kv.extend(0, context.next(1));
    assertEquals(warned.length, 1);
    assertStringIncludes(warned[0], "Copy test.book.0-1 is lost");
  },
);

testNats(
  "ShardedKv: another specification, another reader, a full shard, wrong lengths",
  async (random) => {
    await using server = await NatsServer.start();
    const spec = { ...SPEC, layers: 1 };
    await startShards(server, spec, { capacity: 10 });
    for (const other of [{ ...spec, page: 16 }, { ...spec, shards: 2 }, { ...spec, scale: 1 }]) {
      await assertRejects(() => openShards(server, other), RangeError, "the same specification");
    }
    await assertRejects(
      () => openShards(server, { ...spec, shards: 4 }),
      ShardLostError,
      "Shard 3 was lost",
    );
    const first = await openShards(server, spec);
    const context = new ShardContext(random, spec);
    await first.extend(0, context.next(3));
    const second = await openShards(server, spec);
    await assertRejects(() => first.extend(0, context.next(1)), ShardLostError, "another reader");
    const { k, v, q } = context.next(2);
    for (
      const wrong of [{ k, v: v.subarray(1), q }, { k, v, q: q.subarray(1) }, {
        k: k.subarray(1),
        v,
        q,
      }]
    ) await assertRejects(() => second.extend(0, wrong), RangeError);
    await assertRejects(() => second.extend(1, { k, v, q }), RangeError, "layer=1");
    await assertRejects(() => second.truncate(1), RangeError, "shortest=0");
    assertEquals(second.length(), 0);
    await assertRejects(() => second.extend(0, context.next(40)), RangeError, "capacity");
    assertEquals(second.length(), 0);
  },
);

testNats(
  "ShardedKv: what a NATS server that is killed loses is an error, and the context goes on anew",
  async (random) => {
    await using server = await NatsServer.start();
    const spec = { ...SPEC, shards: 1, layers: 1 };
    const join = () =>
      server.join({ reconnect: true, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
    const options = { ...spec, name: CONTEXT };
    await ShardWorker.start(await join(), await sharedGpu(), {
      ...{ ...options, shard: 0, capacity: 64 },
    });
    // The kernels are compiled for a reader that has the patience.
    const patient = await ShardedKv.open(await join(), options);
    await patient.extend(0, new ShardContext(random, spec).next(9));
    const kv = await ShardedKv.open(await join(), { ...options, silence: 50, patience: 1500 });
    const context = new ShardContext(random, spec);
    await kv.extend(0, context.next(9));
    await server.kill();
    await assertRejects(() => kv.extend(0, context.next(1)), ShardLostError, "Shard 0 was lost");
    await server.startAgain();
    await assertRejects(() => kv.extend(0, context.next(1)), ShardLostError, "until it is cleared");
    // A shard that connects later than its reader answers a later try.
    await until(() => kv.clear().then(() => true, () => false), "the shard's return");
    context.truncate(0);
    const tokens = context.next(9);
    assertClose(await kv.extend(0, tokens), context.attend(tokens.q), TOLERANCE.f32, "o");
  },
);
