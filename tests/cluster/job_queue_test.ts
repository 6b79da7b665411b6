// Jobs over JetStream on this machine: each is done, whoever ends or fails, and no outcome comes twice.
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { jetstreamManager } from "@nats-io/jetstream";
import { errors } from "@nats-io/transport-node";
import {
  type Cluster,
  JobNotTakenError,
  type JobOutcome,
  JobQueue,
} from "../../src/cluster/mod.ts";
import { NatsServer, testNats } from "../support/nats.ts";
import { until } from "../support/within.ts";

const OF = { name: "jobs", fingerprint: "f1" };
/** Why a job is dead. */
const NO_RESULT =
  "it was given out 3 times, and each time its worker ended, failed or was silent for too long";
/** Milliseconds after which a lost job goes on. */
const PATIENCE = 300;

/** A server that keeps streams in a folder of its own. */
async function withServer(
  test: (server: NatsServer, restart: () => Promise<void>) => Promise<void>,
  ...options: string[]
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const all = ["--jetstream", "--store_dir", folder, ...options];
    await using server = await NatsServer.start(...all);
    await test(server, () => server.restart(...all));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const open = (cluster: Cluster, options = {}) => JobQueue.open(cluster, { ...OF, ...options });

/** The first outcomes of a run. */
async function collect(queue: JobQueue, run: string, count: number): Promise<JobOutcome[]> {
  const outcomes: JobOutcome[] = [];
  for await (const outcome of queue.outcomes(run)) {
    if (outcomes.push(outcome) === count) break;
  }
  return outcomes.sort((a, b) => Number(a.id) - Number(b.id));
}

const delay = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

testNats("JobQueue: workers that end within jobs lose and double nothing", async (random) => {
  await withServer(async (server) => {
    const adder = await open(await server.join());
    const jobs = numbers(60);
    for (const job of jobs) assert(await adder.add("run", `${job}`, job));
    assertEquals(await adder.add("run", "7", 7), false);
    const controller = new AbortController();
    let [done, ended] = [0, 0];
    const startWorker = async (): Promise<void> => {
      const cluster = await server.join();
      const queue = await open(cluster);
      const mortal = ended < 6 ? random.integer(1, 9) : Infinity;
      let begun = 0;
      await queue.work(async (job) => {
        if (++begun > mortal) {
          ended++;
          await cluster.connection.close();
          void startWorker();
          throw new Error("the worker ends");
        }
        await delay(random.integer(0, 5));
        done++;
        return 2 * (job as number);
      }, { signal: controller.signal, patience: 1000, warn: () => {} });
    };
    const workers = [startWorker(), startWorker(), startWorker()];
    const outcomes = await collect(adder, "run", jobs.length);
    assertEquals(outcomes, jobs.map((job) => ({ id: `${job}`, result: 2 * job })));
    const manager = await jetstreamManager((await server.join()).connection);
    const left = async (name: string) => (await manager.streams.info(name)).state.messages;
    // A job whose worker ended behind its result is done once more.
    await until(async () => await left("test--jobs--jobs") === 0, "the last acknowledgement");
    controller.abort();
    await Promise.all(workers);
    assert(ended > 2 && done >= jobs.length);
    assertEquals(await left("test--jobs--results"), jobs.length);
    // Who comes later finds the same outcomes.
    assertEquals(await collect(await open(await server.join()), "run", jobs.length), outcomes);
  });
});

testNats(
  "JobQueue: a job that is given out three times is dead, a refused one at once, others go on",
  async () => {
    await withServer(async (server) => {
      const cluster = await server.join();
      const queue = await open(cluster);
      for (const job of ["kills", "refused", "fine"]) await queue.add("run", job, job);
      const [controller, dead] = [new AbortController(), [] as string[]];
      cluster.connection.subscribe("test.jobs.results.run.dead", {
        callback: (_, message) => void dead.push(message.json<JobOutcome>().id),
      });
      let costs = 0;
      const work = queue.work((job) => {
        if (job === "refused") throw new RangeError("out of range");
        if (job === "fine") return Promise.resolve(job);
        costs++;
        throw new Error("the worker fails");
      }, { signal: controller.signal, patience: 1000, warn: () => {} });
      const outcomes = await collect(queue, "run", 3);
      await until(() => dead.length >= 2, "the dead jobs");
      controller.abort();
      await work;
      outcomes.sort((a, b) => a.id < b.id ? -1 : 1);
      assertEquals(outcomes, [
        { id: "fine", result: "fine" },
        { id: "kills", dead: `${NO_RESULT}; the last error: Error: the worker fails` },
        { id: "refused", dead: "out of range" },
      ]);
      assertEquals([costs, dead], [3, ["refused", "kills"]]);
    });
  },
);

testNats("JobQueue: results that find no room wait, and jobs of another model too", async () => {
  await withServer(async (server) => {
    const queue = await open(await server.join(), { maxResults: 5 });
    const other = await open(await server.join(), { fingerprint: "f2" });
    for (const job of numbers(8)) await queue.add("run", `${job}`, job);
    const [controller, warned] = [new AbortController(), [] as string[]];
    const options = {
      signal: controller.signal,
      patience: PATIENCE,
      warn: (text: string) => void warned.push(text),
    };
    const done: unknown[] = [];
    const work = queue.work((job) => Promise.resolve(job), options);
    const otherWork = other.work((job) => Promise.resolve(done.push(job)), options);
    await until(() => warned.length > 0, "a result without room");
    const { connection } = await server.join();
    const manager = await jetstreamManager(connection);
    assert((await manager.streams.info("test--jobs--jobs")).state.messages > 0);
    const { config } = await manager.streams.info("test--jobs--results");
    await manager.streams.update("test--jobs--results", { ...config, max_msgs: 8 });
    assertEquals((await collect(queue, "run", 8)).map(({ id }) => id), numbers(8).map(String));
    controller.abort();
    await Promise.all([work, otherWork]);
    assertEquals(done, []);
  });
});

testNats(
  "JobQueue: a job whose workers are only slow to say that they live is not dead",
  async () => {
    await withServer(async (server) => {
      const cluster = await server.join();
      const adder = await open(cluster);
      const manager = await jetstreamManager(cluster.connection);
      const deliveries = async () =>
        (await manager.consumers.info("test--jobs--jobs", OF.fingerprint)).delivered.consumer_seq;
      const { promise: isGivenBack, resolve: finish } = Promise.withResolvers<void>();
      const controller = new AbortController();
      const { signal } = controller;
      let begun = 0;
      // They say too seldom that they live for the patience that the last one asks for, and one after the other gets the job.
      const slow = async (patience: number, hasRoom?: () => boolean) => {
        const queue = await open(await server.join());
        let hasJob = false;
        hasRoom ??= () => !hasJob;
        return queue.work(async (job) => {
          hasJob = true;
          begun++;
          await isGivenBack;
          return job;
        }, { signal, patience, hasRoom, warn: () => {} });
      };
      await adder.add("run", "slow", 1);
      const workers = [1, 2, 3, 4].map(() => slow(20 * PATIENCE));
      await until(() => begun > 0, "the job's begin");
      workers.push(slow(1000, () => false));
      // Who gets it while three have it gives it back.
      await until(async () => await deliveries() >= 4, "the fourth delivery");
      finish();
      assertEquals(await collect(adder, "run", 1), [{ id: "slow", result: 1 }]);
      controller.abort();
      await Promise.all(workers);
      assertEquals(begun, 3);
    });
  },
);

testNats("JobQueue: a job that comes again to the worker that does it is done once", async () => {
  await withServer(async (server) => {
    const cluster = await server.join();
    const queue = await open(cluster);
    const manager = await jetstreamManager(cluster.connection);
    const { promise: isGivenAgain, resolve: finish } = Promise.withResolvers<void>();
    const [controller, warned] = [new AbortController(), [] as string[]];
    const options = { signal: controller.signal, warn: (text: string) => void warned.push(text) };
    await queue.add("run", "busy", 1);
    let begun = 0;
    const work = queue.work(async (job) => {
      begun++;
      await isGivenAgain;
      return job;
    }, { ...options, patience: 20 * PATIENCE });
    await until(() => begun > 0, "the job's begin");
    // From now on the server waits for less than the worker takes to say that it lives.
    const other = queue.work(() => Promise.resolve(), {
      ...{ ...options, patience: PATIENCE },
      hasRoom: () => false,
    });
    const deliveries = async () =>
      (await manager.consumers.info("test--jobs--jobs", OF.fingerprint)).delivered.consumer_seq;
    await until(async () => await deliveries() >= 5, "the fifth delivery");
    finish();
    assertEquals(await collect(queue, "run", 1), [{ id: "busy", result: 1 }]);
    controller.abort();
    await Promise.all([work, other]);
    assertEquals([begun, warned], [1, []]);
    assertEquals((await manager.streams.info("test--jobs--jobs")).state.messages, 0);
  });
});

testNats("JobQueue: a result that no message can hold is an outcome too", async () => {
  await withServer(async (server) => {
    const cluster = await server.join();
    const queue = await open(cluster);
    // The second has room with its own bytes alone, and none with its headers.
    for (const [id, bytes] of [2 ** 20, 2 ** 20 - 40].entries()) {
      await queue.add("run", `${id}`, bytes);
    }
    const controller = new AbortController();
    const { signal } = controller;
    const work = queue.work((bytes) => Promise.resolve("x".repeat(Number(bytes))), { signal });
    const outcomes = await collect(queue, "run", 2);
    controller.abort();
    await work;
    assertEquals(
      outcomes,
      [1048598, 1048558].map((bytes, id) => ({
        id: `${id}`,
        dead: `its result has ${bytes} bytes, and a message holds 1048507`,
      })),
    );
  });
});

testNats(
  "JobQueue: a server that passes on more than peers decode, and a job without a result",
  async () => {
    const config = await Deno.makeTempFile();
    await Deno.writeTextFile(config, "max_payload: 4194304");
    await withServer(
      async (server) => {
        const queue = await open(await server.join());
        const large = "x".repeat(2 ** 20);
        await assertRejects(() => queue.add("run", "0", large), RangeError, "bytes=1048607");
        await queue.add("run", "1", "large");
        await queue.add("run", "2", "none");
        const controller = new AbortController();
        const { signal } = controller;
        const work = queue.work((job) => Promise.resolve(job === "large" ? large : undefined), {
          signal,
        });
        const [one, two] = await collect(queue, "run", 2);
        controller.abort();
        await work;
        assertEquals("dead" in one && one.dead.includes("a message holds"), true);
        assertEquals(two, { id: "2", result: null });
      },
      "--config",
      config,
    );
    await Deno.remove(config);
  },
);

testNats("JobQueue: an id is any text, and each is kept once", async () => {
  await withServer(async (server) => {
    const queue = await open(await server.join());
    for (const id of ["two\nlines", "two lines", "ü: 雪", ""]) {
      assertEquals([await queue.add("run", id, 1), await queue.add("run", id, 1)], [true, false]);
    }
  });
});

testNats("JobQueue: a job whose acknowledgement was lost is new all the same", async () => {
  await withServer(async (server) => {
    const cluster = await server.join();
    const queue = await open(cluster);
    const { connection } = cluster;
    const request = connection.request.bind(connection);
    connection.request = async (...sent) => {
      await request(...sent);
      connection.request = request;
      throw new errors.TimeoutError();
    };
    assertEquals([await queue.add("run", "1", 1), await queue.add("run", "1", 1)], [true, false]);
  });
});

testNats("JobQueue: an id that no outcome is stored by is refused, and its job ends", async () => {
  await withServer(async (server) => {
    const cluster = await server.join();
    const queue = await open(cluster);
    const long = "雪".repeat(1000);
    const most = 2 ** 20 - 64 - `run.${encodeURIComponent(long)}`.length;
    const bytes = new TextEncoder().encode(JSON.stringify({ run: "run", id: long, job: "" }));
    await queue.add("run", long, "x".repeat(most - bytes.length));
    for (const id of ["\ud800", "a\udc00b", "x".repeat(1001)]) {
      await assertRejects(() => queue.add("run", id, 1), RangeError, "lone surrogate");
    }
    const ids = ["\ud800", "x".repeat(1001), 1];
    const jobs = [["a.b", "1"], ["", "1"], ...ids.map((id) => ["run", id])];
    for (const [run, id] of jobs) {
      cluster.connection.publish("test.jobs.jobs.f1", JSON.stringify({ run, id, job: 1 }));
    }
    const [controller, warned] = [new AbortController(), [] as string[]];
    const work = queue.work(() => Promise.resolve("x".repeat(2 ** 20)), {
      ...{ signal: controller.signal, patience: PATIENCE },
      warn: (text) => void warned.push(text),
    });
    const [outcome] = await collect(queue, "run", 1);
    assertEquals([outcome.id, "dead" in outcome], [long, true]);
    const manager = await jetstreamManager(cluster.connection);
    const left = async () => (await manager.streams.info("test--jobs--jobs")).state.messages;
    await until(async () => await left() === 0, "the end of all jobs");
    controller.abort();
    await work;
    assertEquals(warned.length, jobs.length);
    for (const text of warned) assert(text.includes("Cannot read a job"), text);
  });
});

testNats("JobQueue: work that cannot begin says why", async () => {
  await withServer(async (server) => {
    const cluster = await server.join();
    const queue = await open(cluster);
    const manager = await jetstreamManager(cluster.connection);
    for await (const { config: { name } } of manager.streams.list()) {
      await manager.streams.delete(name);
    }
    const { signal } = new AbortController();
    const work = () => queue.work((job) => Promise.resolve(job), { signal });
    await assertRejects(work, RangeError, "Cannot work on a queue of jobs");
  });
});

testNats("JobQueue: a worker whose work fails is found no more", async () => {
  await withServer(async (server) => {
    const queue = await open(await server.join());
    const { signal } = new AbortController();
    const hasRoom = () => {
      throw new Error("no room is known");
    };
    const work = () => queue.work((job) => Promise.resolve(job), { signal, hasRoom });
    await assertRejects(work, Error, "no room is known");
    const workers = await queue.workers();
    assertEquals(workers.list(), []);
    workers.close();
  });
});

testNats("JobQueue: a worker that nobody may find does not begin", async () => {
  const config = await Deno.makeTempFile({ suffix: ".conf" });
  await Deno.writeTextFile(
    config,
    `authorization { timeout: 30 }
    accounts { A {
      jetstream: enabled
      users = [{ user: a, password: p, permissions: { subscribe: { deny: ["$SRV.>"] } } }]
    } }`,
  );
  await withServer(
    async (server) => {
      const queue = await open(await server.join({ user: "a", pass: "p" }));
      const work = () => queue.work((job) => Promise.resolve(job), { signal: AbortSignal.abort() });
      await assertRejects(work, RangeError, "must let this account subscribe");
    },
    "--config",
    config,
  );
  await Deno.remove(config);
});

testNats("JobQueue: a server without JetStream is said", async () => {
  await using server = await NatsServer.start();
  const cluster = await server.join();
  await assertRejects(() => open(cluster), RangeError, "nats-server --jetstream");
});

testNats("JobQueue: a server that is killed and starts anew loses nothing of it", async () => {
  await withServer(async (server, restart) => {
    const reconnecting = { reconnect: true, maxReconnectAttempts: -1, reconnectTimeWait: 100 };
    const join = () => server.join(reconnecting);
    const [adder, worker] = [await open(await join()), await open(await join())];
    const jobs = numbers(12);
    for (const job of jobs.slice(0, 9)) await adder.add("run", `${job}`, job);
    const controller = new AbortController();
    let running = 0;
    const work = worker.work(async (job) => {
      running++;
      await delay(50);
      running--;
      return job;
    }, {
      ...{ signal: controller.signal, patience: 1000 },
      hasRoom: () => running === 0,
      warn() {},
    });
    const outcomes: JobOutcome[] = [];
    let restarted: Promise<void> | undefined;
    for await (const outcome of adder.outcomes("run")) {
      if (outcomes.push(outcome) === jobs.length) break;
      restarted ??= restart().then(async () => {
        for (const job of jobs.slice(9)) await adder.add("run", `${job}`, job);
      });
    }
    await restarted;
    assertEquals(outcomes.map(({ id }) => Number(id)).sort((a, b) => a - b), jobs);
    controller.abort();
    await work;
  });
});

testNats("JobQueue: a server whose storage is full takes no job, and says so", async () => {
  const config = await Deno.makeTempFile();
  await Deno.writeTextFile(config, "jetstream { max_file_store: 20000 }");
  await withServer(
    async (server) => {
      const queue = await open(await server.join());
      const full = async () => {
        for (const job of numbers(9)) await queue.add("run", `${job}`, "x".repeat(5000));
      };
      const error = await assertRejects(full, JobNotTakenError, "room on its disk") as Error;
      assertStringIncludes(error.message, "insufficient resources");
    },
    "--config",
    config,
  );
  await Deno.remove(config);
});

testNats("JobQueue: workers are found while they work, those of other models counted", async () => {
  await withServer(async (server) => {
    const [queue, other] = await Promise.all(
      [{}, { fingerprint: "f2" }].map(async (options) => await open(await server.join(), options)),
    );
    const workers = await queue.workers();
    assertEquals([workers.list().length, workers.others], [0, 0]);
    const controller = new AbortController();
    const { signal } = controller;
    const work = [queue, queue, other].map((one) => one.work(() => Promise.resolve(), { signal }));
    await until(() => workers.list().length >= 2 && workers.others >= 1, "all workers");
    assertEquals([workers.list().length, workers.others], [2, 1]);
    workers.close();
    controller.abort();
    await Promise.all(work);
    const left = await queue.workers();
    assertEquals([left.list().length, left.others], [0, 0]);
    left.close();
  });
});

testNats("JobQueue: outcomes end by a signal, and room for results is checked", async () => {
  await withServer(async (server) => {
    const queue = await open(await server.join(), { maxResults: 3 });
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 20);
    for await (const _ of queue.outcomes("run", controller)) assert(false, "there is no outcome");
    for await (const _ of queue.outcomes("run", controller)) assert(false, "it is aborted before");
    await queue.checkRoom("run", 3);
    const full = (results: number, kept: number) =>
      `stream="test--jobs--results", results=${results}, kept=${kept}, most=3`;
    await assertRejects(() => queue.checkRoom("run", 4), RangeError, full(4, 0));
    const working = new AbortController();
    const work = queue.work((job) => Promise.resolve(job), working);
    for (const [id, run] of ["run", "other", "run"].entries()) await queue.add(run, `${id}`, 1);
    assertEquals((await collect(queue, "run", 2)).length, 2);
    await collect(queue, "other", 1);
    working.abort();
    await work;
    // Results that a run has take no further room.
    await queue.checkRoom("run", 2);
    await assertRejects(() => queue.checkRoom("run", 3), RangeError, full(3, 1));
    await assertRejects(() => queue.checkRoom("third", 1), RangeError, full(1, 3));
  });
});
