// Jobs of a command: what is said where no more outcomes come.
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  followJobs,
  haveJobsDone,
  isWorkedOn,
} from "../../../../cli/shared/cluster/follow_jobs.ts";
import { JobQueue, NoWorkerError } from "../../../../src/cluster/mod.ts";
import { inFolder } from "../../../support/checkpoint_files.ts";
import { NatsServer, testNats } from "../../../support/nats.ts";

testNats("jobs of a command: a connection closed for good is no absence of workers", async () => {
  await inFolder({}, async (folder) => {
    await using server = await NatsServer.start("--jetstream", "--store_dir", folder);
    const cluster = await server.join({ reconnect: true, reconnectTimeWait: 50 });
    const queue = await JobQueue.open(cluster, { name: "test", fingerprint: "none" });
    await assertRejects(
      () => followJobs(queue, "run", new Set(["0"]), () => {}, { wait: 50, cure: "start one" }),
      ...[NoWorkerError, "no worker took jobs for 0.05 s (start one: start one)"] as const,
    );
    for (const id of ["0", "1"]) await queue.add("run", id, null);
    const working = new AbortController();
    let done = 0;
    const work = queue.work(() => Promise.resolve(++done), {
      ...{ signal: working.signal, hasRoom: () => done === 0 },
    });
    const first = Promise.withResolvers<void>();
    const following = followJobs(queue, "run", new Set(["0", "1"]), () => first.resolve())
      .catch((error) => error);
    await first.promise;
    working.abort();
    await work;
    // The server answers no more to who has no password.
    await server.restart("--jetstream", "--store_dir", folder, "--user", "a", "--pass", "b");
    const error: Error = await following;
    assertEquals(error.constructor, Error, `${error}`);
    assertStringIncludes(error.message, "the connection to the NATS server was closed for good");
    assertStringIncludes(error.message, "jobs left 1");
  });
});

testNats("jobs of a command: one that is gone without an outcome is an error", async () => {
  await inFolder({}, async (folder) => {
    await using server = await NatsServer.start("--jetstream", "--store_dir", folder);
    const queue = await JobQueue.open(await server.join(), { name: "test", fingerprint: "none" });
    const said: string[] = [];
    // The first run has it from an earlier call, the second has it as a new one: both have no outcome.
    await assertRejects(
      () =>
        haveJobsDone(queue, "run", ["0"], {
          add: (run) => Promise.resolve(run !== "run"),
          ...{ onOutcome() {}, error: (sentence) => void said.push(sentence) },
        }),
      ...[Error, "jobs gone 1"] as const,
    );
    assertEquals(said, [
      "Asked for before, within a day: 1 of 1 jobs",
      "Asked for again, as earlier results cannot be used: 1",
    ]);
  });
});

testNats("jobs of a command: who is too busy to answer is there, and may say so late", async () => {
  await inFolder({}, async (folder) => {
    await using server = await NatsServer.start("--jetstream", "--store_dir", folder);
    const cluster = await server.join();
    const queue = await JobQueue.open(cluster, { name: "test", fingerprint: "none" });
    const given = { others: Promise.resolve(), absence: 20 };
    assertEquals(await isWorkedOn(queue, { ...given, wait: Infinity }), false);
    const busy = cluster.connection.subscribe("$SRV.STATS.test--test-jobs");
    const waiting = isWorkedOn(queue, { ...given, wait: Infinity });
    assertEquals(await isWorkedOn(queue, { ...given, wait: 20 }), false);
    const working = new AbortController();
    const work = queue.work(() => Promise.resolve(), working);
    const isThere = await waiting;
    busy.unsubscribe();
    working.abort();
    await work;
    assertEquals(isThere, true);
  });
});
