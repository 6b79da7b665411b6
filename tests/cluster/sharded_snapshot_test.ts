// Snapshots of a context on shards: what comes back, from which copy, and what is refused.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { SnapshotError } from "../../mod.ts";
import { MessageError, ShardLostError, type ShardSpec } from "../../src/cluster/mod.ts";
import { PartialSnapshot } from "../../src/cluster/partial_snapshot.ts";
import { assertClose, TOLERANCE } from "../support/compare.ts";
import { NatsServer, testNats } from "../support/nats.ts";
import { testRandomly } from "../support/random.ts";
import { openShards, ShardContext, startShards } from "../support/shards.ts";

const SPEC: ShardSpec = {
  ...{ shards: 2, page: 4, layers: 2, numHeads: 2, numKvHeads: 1, headDim: 12, valueDim: 8 },
};
/** Less than a snapshot of a layer has, and more than a token. */
const MAX_BYTES = 500;

testNats(
  "ShardedKv: a snapshot comes back, on shards that began anew, whatever copy is lost",
  async (random) => {
    let saved: Uint8Array;
    const contexts = [0, 1].map(() => new ShardContext(random, SPEC));
    const sizes = { copies: 2, maxBytes: MAX_BYTES };
    {
      await using server = await NatsServer.start();
      const shards = await startShards(server, SPEC, sizes);
      const kv = await openShards(server, SPEC, { ...sizes, warn: () => {} });
      for (const [layer, context] of contexts.entries()) await kv.extend(layer, context.next(23));
      await kv.truncate(14);
      for (const context of contexts) context.truncate(14);
      // Layers may have different tokens, as within a step.
      await kv.extend(0, contexts[0].next(3));
      await shards[1][0].kill();
      saved = await kv.snapshot();
      assertEquals([kv.length(0), kv.length(1)], [17, 14]);
      await shards[1][1].kill();
      await assertRejects(() => kv.snapshot(), ShardLostError, "Shard 1");
    }
    assert(saved.length > 4 * MAX_BYTES, "several messages a layer");
    await using server = await NatsServer.start();
    const shards = await startShards(server, SPEC, sizes);
    const kv = await openShards(server, SPEC, { ...sizes, warn: () => {} });
    await kv.restore(saved);
    assertEquals([kv.length(0), kv.length(1)], [17, 14]);
    // Every copy has it.
    await shards[0][1].kill();
    await shards[1][0].kill();
    for (const [layer, context] of contexts.entries()) {
      const tokens = context.next(2);
      const o = await kv.extend(layer, tokens);
      assertClose(o, context.attend(tokens.q), TOLERANCE.f32, "o");
    }
  },
);

testNats("ShardedKv: a snapshot comes in parts that its reader takes", async (random) => {
  await using server = await NatsServer.start();
  const spec = { ...SPEC, page: 1000 };
  await startShards(server, spec, { copies: 2, capacity: 2001 });
  const warnings: string[] = [];
  const warn = (sentence: string) => void warnings.push(sentence);
  const kv = await openShards(server, spec, { copies: 2, maxBytes: 2 ** 16, warn });
  const context = new ShardContext(random, spec);
  await kv.extend(0, { ...context.next(2000), q: undefined });
  const saved = await kv.snapshot();
  assert(saved.length > 2 * 2 ** 16, "more than a message of each shard");
  await kv.restore(saved);
  const tokens = context.next(1);
  assertClose(await kv.extend(0, tokens), context.attend(tokens.q), TOLERANCE.f32, "o");
  assertEquals(warnings, []);
});

testNats(
  "ShardedKv: a snapshot that is damaged, or of another context, is refused",
  async (random) => {
    await using server = await NatsServer.start();
    const shards = await startShards(server, SPEC);
    const kv = await openShards(server, SPEC);
    const context = new ShardContext(random, SPEC);
    await kv.extend(0, context.next(9));
    const saved = await kv.snapshot();
    for (let i = 0; i < 20; i++) {
      const damaged = saved.slice();
      damaged[random.integer(0, saved.length - 1)] ^= 1 << random.integer(0, 7);
      await assertRejects(() => kv.restore(damaged), SnapshotError);
    }
    await assertRejects(() => kv.restore(saved.slice(0, -1)), SnapshotError);
    await assertRejects(() => kv.restore("none" as unknown as Uint8Array), TypeError);
    // Nothing has changed.
    const tokens = context.next(1);
    assertClose(await kv.extend(0, tokens), context.attend(tokens.q), TOLERANCE.f32, "o");
    for (const { worker } of shards.flat()) await worker.stop();

    const other = { ...SPEC, page: 8 };
    const others = await startShards(server, other);
    const reader = await openShards(server, other);
    await assertRejects(() => reader.restore(saved), SnapshotError, "the same specification");
    for (const { worker } of others.flat()) await worker.stop();
    await startShards(server, SPEC, { capacity: 32 });
    const smaller = await openShards(server, SPEC);
    await assertRejects(() => smaller.restore(saved), SnapshotError, "capacity");
    await assertRejects(() => smaller.extend(0, tokens), ShardLostError, "until it is cleared");
    await smaller.clear();
    await smaller.extend(0, tokens);
  },
);

testRandomly("PartialSnapshot: parts in their order, and no more than there can be", (random) => {
  const total = random.integer(5, 50);
  const whole = Uint8Array.from({ length: total }, () => random.integer(0, 255));
  const cut = random.integer(1, total - 1);
  const parts = new PartialSnapshot(total, 0);
  const [first, second] = [whole.subarray(0, cut), whole.subarray(cut)];
  const refused = (part: Parameters<PartialSnapshot["add"]>[0]) =>
    assertThrows(() => parts.add(part), MessageError, "in their order");
  refused({ from: cut, total, bytes: second });
  parts.add({ from: 0, total, bytes: first });
  refused({ from: 0, total, bytes: first });
  refused({ from: cut, total: total + 1, bytes: second });
  refused({ from: cut, total, bytes: new Uint8Array(0) });
  refused({ from: cut, total, bytes: new Uint8Array(total) });
  assertEquals(parts.isWhole, false);
  parts.add({ from: cut, total, bytes: second });
  assertEquals([parts.isWhole, parts.join()], [true, whole]);
  assertThrows(() => new PartialSnapshot(2 ** 31, 1000), MessageError, "most=66536");
});
