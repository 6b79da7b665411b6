// Answers over a server on this machine: what comes, what is refused, who is told that a worker or an asker is gone.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DeviceLostError } from "../../mod.ts";
import {
  type Answer,
  AnswerService,
  type AnswerServiceOptions,
  ask,
  type AskOptions,
  type Cluster,
  MessageError,
  NoWorkerError,
  WorkerBusyError,
  WorkerLostError,
  Workers,
} from "../../src/cluster/mod.ts";
import { createInbox, type NatsConnectionImpl } from "@nats-io/transport-node";
import type { AnswerMessage } from "../../src/cluster/answer_protocol.ts";
import { compute } from "../support/compute.ts";
import { NatsServer, testNats } from "../support/nats.ts";
import { until, within } from "../support/within.ts";

const OF = { name: "say", fingerprint: "f1" };

/** An answer of these items, one a time, and what it throws at last. */
function answerOf(items: readonly unknown[], error?: Error): Answer & { isCancelled: boolean } {
  return {
    isCancelled: false,
    cancel() {
      this.isCancelled = true;
    },
    async *[Symbol.asyncIterator]() {
      for (const item of items) {
        await delay(1);
        if (this.isCancelled) return;
        yield [item];
      }
      if (error) throw error;
    },
  };
}

/** An answer that says one item and then nothing until it is cancelled. */
function endless(): Answer & { cancelled: Promise<void> } {
  let cancel = () => {};
  const cancelled = new Promise<void>((resolve) => cancel = resolve);
  return {
    ...{ cancel, cancelled },
    async *[Symbol.asyncIterator]() {
      yield [0];
      await cancelled;
    },
  };
}

/** What the client of a connection holds: subscriptions, and listeners to its status. */
function heldBy({ connection }: Cluster): { subscriptions: number; listeners: number } {
  const { protocol } = connection as NatsConnectionImpl;
  return { subscriptions: protocol.subscriptions.size(), listeners: protocol.listeners.length };
}

const NOTHING = { subscriptions: 0, listeners: 0 };

const delay = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

function start(cluster: Cluster, options: Partial<AnswerServiceOptions>): Promise<AnswerService> {
  return AnswerService.start(cluster, {
    ...{ ...OF, beat: 20, state: () => ({}), answer: () => answerOf([]), ...options },
  });
}

/** All items of an answer. */
async function collect(
  cluster: Cluster,
  worker: string,
  request: unknown,
  options: Partial<AskOptions> = {},
): Promise<unknown[]> {
  const items: unknown[] = [];
  const asked = { ...OF, worker, silence: 100, ...options };
  for await (const part of ask(cluster, asked, request)) items.push(...part);
  return items;
}

testNats("ask: every item once and in order, whoever else asks", async (random) => {
  await using server = await NatsServer.start();
  const [cluster, other] = [await server.join(), await server.join()];
  const lists = Array.from({ length: 20 }, () => {
    return Array.from({ length: random.integer(0, 30) }, () => random.integer(0, 1000));
  });
  const service = await start(cluster, { answer: (list) => answerOf(list as number[]) });
  const answers = await Promise.all(lists.map((list) => collect(other, service.id, list)));
  assertEquals(answers, lists);
  await service.stop();
});

testNats(
  "ask: errors keep their kind, and what is of another model or version is refused",
  async () => {
    await using server = await NatsServer.start();
    const cluster = await server.join();
    const errors = {
      range: new RangeError("too large"),
      type: new TypeError("no number"),
      device: new DeviceLostError("gone"),
      busy: new WorkerBusyError("full"),
      other: new Error("odd"),
    };
    const service = await start(cluster, {
      maxBytes: 200,
      answer: (name) => {
        if (name === "late") return answerOf([1, 2], new RangeError("later"));
        throw errors[name as keyof typeof errors];
      },
    });
    const { id } = service;
    const refused = async (request: unknown, kind: new (text: string) => Error, text: string) => {
      await assertRejects(() => collect(cluster, id, request), kind, text);
    };
    await refused("range", RangeError, "too large");
    await refused("type", TypeError, "no number");
    await refused("device", WorkerLostError, "gone");
    await refused("busy", WorkerBusyError, "full");
    await refused("other", Error, "odd");
    await refused("late", RangeError, "later");
    await refused("x".repeat(200), RangeError, "maxBytes=200");
    await refused("x".repeat(2 ** 20), RangeError, "the request must fit a message");
    const other = () => collect(cluster, id, "range", { fingerprint: "f2" });
    await assertRejects(other, RangeError, 'asker="f2", worker="f1"');
    await service.stop();
  },
);

testNats("AnswerService: an answer is cancelled whose asker left or ended", async () => {
  await using server = await NatsServer.start();
  const [cluster, asker] = [await server.join(), await server.join()];
  const answers: ReturnType<typeof endless>[] = [];
  const service = await start(cluster, { answer: () => answers[answers.push(endless()) - 1] });
  const controller = new AbortController();
  for await (
    const _ of ask(asker, { ...OF, worker: service.id, signal: controller.signal }, null)
  ) controller.abort();
  await within(answers[0].cancelled, "a cancellation");
  for await (const _ of ask(asker, { ...OF, worker: service.id }, null)) break;
  await within(answers[1].cancelled, "a cancellation");
  for await (const _ of ask(asker, { ...OF, worker: service.id }, null)) {
    await asker.connection.close();
    break;
  }
  await within(answers[2].cancelled, "a cancellation");
  await service.stop();
  assertEquals(service.running, 0);
});

testNats(
  "ask: a worker that ended is noticed at once, one that is silent after a while",
  async () => {
    await using server = await NatsServer.start();
    const [cluster, asker] = [await server.join(), await server.join()];
    const service = await start(cluster, { answer: endless });
    const options = { ...OF, worker: service.id, silence: 50 };
    await assertRejects(
      async () => {
        for await (const _ of ask(asker, options, null)) await cluster.connection.close();
      },
      WorkerLostError,
      "it ended",
    );
    await assertRejects(() => collect(asker, service.id, null), NoWorkerError, "nobody has");

    // It takes the request, and never says a word; nor does it answer whether it still lives.
    asker.connection.subscribe("test.say.mute.>", { callback: () => {} });
    asker.connection.subscribe("test.say.mute", { callback: () => {} });
    await assertRejects(
      () => collect(asker, "mute", null, { silence: 20, patience: 60 }),
      WorkerLostError,
      "said nothing for 60 ms",
    );
  },
);

testNats("ask: a gap, a double and what is not of the protocol end the answer", async () => {
  await using server = await NatsServer.start();
  const cluster = await server.join();
  let messages: unknown[] = [];
  cluster.connection.subscribe("test.say.fake", {
    callback: (_, request) => {
      for (const message of messages) request.respond(JSON.stringify(message));
    },
  });
  const items = (from: number) => ({ kind: "items", from, items: [from] });
  const answered = async (...said: unknown[]) => {
    messages = said;
    return await collect(cluster, "fake", null, { maxBytes: 100 });
  };
  assertEquals(await answered(items(0), { kind: "beat" }, items(1), { kind: "end", count: 2 }), [
    0,
    1,
  ]);
  await assertRejects(() => answered(items(0), items(2)), WorkerLostError, "of 2 items 1 came");
  await assertRejects(() => answered(items(0), items(0)), WorkerLostError, "of 0 items 1 came");
  await assertRejects(() => answered(items(0), { kind: "end", count: 2 }), WorkerLostError);
  for (
    const wrong of [
      ...[null, 7, {}, { kind: "other" }, { kind: "items", from: -1, items: [] }],
      ...[{ kind: "items", from: 0, items: "a" }, { kind: "end" }, { kind: "end", count: 0.5 }],
      ...[{ kind: "failed", failure: "x", message: "" }, { kind: "beat", pad: "x".repeat(100) }],
    ]
  ) await assertRejects(() => answered(wrong), MessageError);
});

testNats("Workers: those of the model are known with their state, others are counted", async () => {
  await using server = await NatsServer.start();
  const [one, two, asker] = [await server.join(), await server.join(), await server.join()];
  const first = await start(one, { state: () => ({ room: 3 }) });
  const second = await start(two, { fingerprint: "f2", state: () => ({ room: 4 }) });
  const third = await start(two, { state: () => "none" });
  const readState = (state: unknown) => (state as { room?: number }).room;
  const workers = await Workers.open(asker, { ...OF, readState, refresh: 10, patience: 300 });
  const list = () => workers.list().map(({ id, state }) => ({ id, state }));
  await until(() => list().length > 0 && workers.others > 0, "the workers of both models");
  assertEquals([list(), workers.others], [[{ id: first.id, state: 3 }], 1]);
  workers.passOver(first.id);
  assertEquals([list(), workers.count, workers.all().map(({ state }) => state)], [[], 1, [3]]);
  await until(() => list().length > 0, "another answer");
  workers.forget(first.id);
  assertEquals([list(), workers.count], [[], 0]);
  await until(() => list().length > 0, "another answer");
  assertEquals(list(), [{ id: first.id, state: 3 }]);
  await Promise.all([first, second, third].map((service) => service.stop()));
  await until(() => workers.list().length === 0 && workers.others === 0, "the end of all");
  workers.close();
});

testNats(
  "Workers: the server knows whether anybody has the service, who may be silent",
  async () => {
    await using server = await NatsServer.start();
    const [silent, asker] = [await server.join(), await server.join()];
    const readState = (state: unknown) => state;
    const workers = await Workers.open(asker, { ...OF, readState, refresh: 10 });
    assertEquals([workers.isDeserted, workers.count], [true, 0]);
    const subscription = silent.connection.subscribe(`$SRV.STATS.test--${OF.name}`);
    await until(() => !workers.isDeserted, "the first worker");
    assertEquals(workers.count, 0);
    subscription.unsubscribe();
    await until(() => workers.isDeserted, "the last worker's end");
    workers.close();
  },
);

testNats("Workers: one that stops is left out before its state is read", async () => {
  await using server = await NatsServer.start();
  const [cluster, asker] = [await server.join(), await server.join()];
  let end = () => {};
  const ended = new Promise<void>((resolve) => end = resolve);
  const answer = () => ({
    cancel() {},
    async *[Symbol.asyncIterator]() {
      yield [1];
      await ended;
    },
  });
  const service = await start(cluster, { state: () => ({ room: 3 }), answer });
  const read: unknown[] = [];
  const readState = (state: unknown) => {
    read.push(state);
    return state;
  };
  const workers = await Workers.open(asker, { ...OF, readState, refresh: 10 });
  await until(() => workers.count > 0, "the worker");
  const items = ask(asker, { ...OF, worker: service.id }, 1)[Symbol.asyncIterator]();
  await items.next();
  // It goes on to tell of itself until the answer is over.
  const stopped = service.stop();
  await until(() => workers.count === 0, "the worker's end");
  assertEquals(read.includes(null), false);
  end();
  await items.next();
  await stopped;
  workers.close();
});

testNats("Workers: nobody is forgotten while this thread computes", async () => {
  await using server = await NatsServer.start();
  const [cluster, asker] = [await server.join(), await server.join()];
  const service = await start(cluster, { state: () => 1 });
  const readState = (state: unknown) => state;
  const workers = await Workers.open(asker, { ...OF, readState, refresh: 10, patience: 200 });
  await until(() => workers.count > 0, "the worker");
  compute(300);
  await workers.refreshed();
  assertEquals(workers.count, 1);
  workers.close();
  await service.stop();
});

testNats("Workers: an answer that comes late counts, and what is none is ignored", async () => {
  await using server = await NatsServer.start();
  const [cluster, asker] = [await server.join(), await server.join()];
  const service = await start(cluster, { state: () => 1 });
  const statistics = (id: unknown, data: unknown) =>
    JSON.stringify({
      ...{ id, metadata: { fingerprint: OF.fingerprint } },
      endpoints: [{ name: "answer", data }],
    });
  // It hears the service's own answer too, and speaks only then.
  const { promise: inbox, resolve: hear } = Promise.withResolvers<string>();
  asker.connection.subscribe("_INBOX.>", { max: 1, callback: (_, { subject }) => hear(subject) });
  await asker.connection.flush();
  const readState = (state: unknown) => state;
  const opening = Workers.open(await server.join(), { ...OF, readState, refresh: 10_000 });
  const answer = async (text: string) => asker.connection.publish(await inbox, text);
  // Ids by which others would be asked, and what is no answer.
  const wrong = [">", "*", "a.b", 7].map((id) => statistics(id, 1));
  for (const text of ["", "[", "null", "7", '{"id":"a","endpoints":{}}', ...wrong]) {
    await answer(text);
  }
  const workers = await opening;
  await until(() => workers.count > 0, "the worker");
  assertEquals(workers.list().map(({ id }) => id), [service.id]);
  // One whose thread computed when it was asked.
  await answer(statistics("late", 2));
  await until(() => workers.list().length >= 2, "the late answer");
  assertEquals(workers.list().map(({ id, state }) => [id, state]), [[service.id, 1], ["late", 2]]);
  assertEquals(workers.others, 0);
  workers.close();
  await service.stop();
});

testNats("What does not start or has stopped leaves nothing at the connection", async () => {
  await using server = await NatsServer.start();
  const cluster = await server.join();
  const readState = (state: unknown) => state;
  for (const name of ["", "a.b"]) {
    await assertRejects(() => Workers.open(cluster, { ...OF, name, readState }), RangeError);
    await assertRejects(() => start(cluster, { name }), RangeError);
  }
  assertEquals(heldBy(cluster), NOTHING);
  const service = await start(cluster, {});
  assert(heldBy(cluster).subscriptions > 0 && heldBy(cluster).listeners > 0);
  await service.stop();
  assertEquals(heldBy(cluster), NOTHING);
});

testNats("Workers: one that is stopping is left out, though it still answers", async () => {
  await using server = await NatsServer.start();
  const [cluster, asker] = [await server.join(), await server.join()];
  const answer = endless();
  const service = await start(cluster, { answer: () => answer });
  const readState = (state: unknown) => state ?? undefined;
  const workers = await Workers.open(asker, { ...OF, readState, refresh: 10 });
  const asked = ask(asker, { ...OF, worker: service.id }, null);
  await asked.next();
  const stopped = service.stop();
  await until(() => workers.count === 0, "the worker's end");
  await assertRejects(() => collect(asker, service.id, null), WorkerBusyError, "stopping");
  await asked.return();
  await stopped;
  assertEquals(await service.stopped, null);
  workers.close();
});

testNats(
  "AnswerService: it publishes to inboxes alone, whatever it is asked to reply to",
  async () => {
    await using server = await NatsServer.start();
    const [cluster, asker] = [await server.join(), await server.join()];
    let asked = 0;
    const service = await start(cluster, { answer: () => answerOf([++asked]) });
    const heard: string[] = [];
    for (const subject of ["test.>", "_INBOXtest.>"]) {
      asker.connection.subscribe(subject, {
        callback: (_, { subject }) => void heard.push(subject),
      });
    }
    const subject = `test.say.${service.id}`;
    const request = JSON.stringify({ version: 1, fingerprint: OF.fingerprint, request: null });
    const statistics = ["", ".test--say", `.test--say.${service.id}`].flatMap((whose) => {
      return ["PING", "STATS", "INFO"].map((verb) => `$SRV.${verb}${whose}`);
    });
    for (const reply of ["test.jobs.results.run.done", "test.$JS.API", "_INBOXtest.a"]) {
      for (const each of [subject, `${subject}.probe`, ...statistics]) {
        asker.connection.publish(each, request, { reply });
      }
    }
    assertEquals(await collect(asker, service.id, null), [1]);
    assertEquals(heard.filter((each) => !each.startsWith(subject)), []);
    await service.stop();
  },
);

testNats("AnswerService: an answer that is cancelled never ends as if it was whole", async () => {
  await using server = await NatsServer.start();
  const [cluster, asker] = [await server.join(), await server.join()];
  const inbox = createInbox();
  const { promise: heard, resolve: hear } = Promise.withResolvers<unknown>();
  const answer = endless();
  // Whoever asks has no connection for a while, and hears then how its answer ends.
  const cancel = async () => {
    asker.connection.subscribe(inbox, {
      callback: (_, message) => {
        const heard = message.json<AnswerMessage>();
        // Items that were on their way may still come first.
        if (heard.kind !== "items") hear(heard);
      },
    });
    await asker.connection.flush();
    answer.cancel();
  };
  const service = await start(cluster, { answer: () => ({ ...answer, cancel }), beat: 10_000 });
  const request = JSON.stringify({ version: 1, fingerprint: OF.fingerprint, request: null });
  asker.connection.publish(`test.say.${service.id}`, request, { reply: inbox });
  assertEquals(await heard, {
    ...{ kind: "failed", failure: "lost" },
    message: "nobody had the inbox of the answer",
  });
  await service.stop();
});

testNats(
  "A client without rights finds no workers, and what it asks for does not come",
  async () => {
    const config = await Deno.makeTempFile({ suffix: ".conf" });
    await Deno.writeTextFile(
      config,
      `authorization { timeout: 30 }
      accounts {
      A { users = [{ user: a, password: p }] }
      B { users = [{ user: b, password: p }] }
      C { users = [{ user: c, password: p, permissions: { publish: ["_INBOX.>"], subscribe: ["_INBOX.>"] } }] }
      D { users = [{ user: d, password: p, permissions: { subscribe: { deny: ["test.>"] } } }] }
    }`,
    );
    await using server = await NatsServer.start("--config", config);
    await Deno.remove(config);
    const join = (user: string, pass = "p") => server.join({ user, pass });
    const worker = await join("a");
    let asked = 0;
    const service = await start(worker, { answer: () => answerOf([++asked]) });
    assertEquals(await collect(await join("a"), service.id, null), [1]);
    for (const user of ["b", "c"]) {
      const cluster = await join(user);
      const readState = (state: unknown) => state;
      const workers = await Workers.open(cluster, { ...OF, readState });
      assertEquals([workers.list(), workers.others], [[], 0]);
      workers.close();
      await assertRejects(() => collect(cluster, service.id, null, { patience: 200 }));
    }
    await assertRejects(() => join("a", "wrong"));
    await assertRejects(() => server.join());
    assert(asked === 1, "nobody else was answered");
    // Who may not be asked does not start.
    const denied = await join("d");
    await assertRejects(() => start(denied, {}), RangeError, "must let this account subscribe");
    assertEquals(heldBy(denied), NOTHING);
    await service.stop();
  },
);
