// The table of quality by workers: that of one machine; and what is said where no row comes.
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { jetstreamManager } from "@nats-io/jetstream";
import { runCommand as quality } from "../../../cli/quality/command.ts";
import type { Report, Row } from "../../../cli/quality/result.ts";
import {
  doQualityJob,
  openQualityJobs,
  type QualityJob,
} from "../../../cli/shared/cluster/quality_jobs.ts";
import type { Measurer } from "../../../cli/shared/quality/measurer.ts";
import type { AdapterFeature } from "../../../cli/shared/quality/variant.ts";
import { runCommand as work } from "../../../cli/worker/command.ts";
import { openCheckpoint, openTokenizer } from "../../../src/checkpoints/mod.ts";
import { type JobQueue, modelFingerprint } from "../../../src/cluster/mod.ts";
import { run, withModel } from "../../support/commands.ts";
import { NatsServer, testNats } from "../../support/nats.ts";
import { RunningCommand } from "../../support/processes.ts";
import type { Random } from "../../support/random.ts";
import { until } from "../../support/within.ts";

/** A server with JetStream, and a model. */
async function withTable(
  random: Random,
  test: (
    given: { server: NatsServer; files: string[]; nats: string[]; folder: string },
  ) => Promise<void>,
): Promise<void> {
  await withModel(random, async ({ folder, model, tokenizer }) => {
    await using server = await NatsServer.start("--jetstream", "--store_dir", `${folder}/store`);
    const files = ["--model", model, "--tokenizer", tokenizer];
    await test({ server, files, folder, nats: ["--nats", server.url, "--nats-prefix", "test"] });
  });
}

/** A few rows of a text of 24 tokens. */
const FEW = ["--tokens", "24", "--window", "6", "--sinks", "0", "--kv-heads", "1", "--json"];

testNats("quality --nats: the table of a worker is that of one machine", async (random) => {
  await withTable(random, async ({ files, nats }) => {
    const kinds = [
      "--cache-dtype",
      "f16,int8",
      "--cache-transform",
      "calibrated",
      "--pool",
      "mean",
    ];
    const table = [...files, ...FEW, ...kinds];
    const alone = await run(quality, ...table);
    await using worker = await RunningCommand.start("worker", [...files, ...nats, "--quality"]);
    assertStringIncludes(worker.line, "Worker for quality of model");
    const far = await run(quality, ...table, ...nats);
    const lacking = alone.err.replace("this adapter lacks it", "no worker has it");
    assertEquals([far.code, far.err], [alone.code, lacking]);
    assertEquals(JSON.parse(far.out), JSON.parse(alone.out));
    assertEquals(JSON.parse(far.out).rows.length, lacking === "" ? 5 : 4);
    // What is stored is not measured again.
    const again = await run(quality, ...table, ...nats);
    assertEquals(JSON.parse(again.out), JSON.parse(alone.out));
    assertStringIncludes(again.err, "Asked for before, within a day: 4 of 4 jobs");
    assertEquals((await worker.end()).code, 0);
  });
});

/** Takes the jobs of a model that have such a need, as a worker of this version would. */
async function startWorker(
  server: NatsServer,
  [, model, , tokenizer]: string[],
  perform: (job: QualityJob) => unknown,
  need?: AdapterFeature,
) {
  const checkpoint = await openCheckpoint(model);
  const { spec, weights } = checkpoint;
  const fingerprint = await modelFingerprint(
    ...[spec, weights, await openTokenizer(tokenizer, checkpoint)] as const,
  );
  await checkpoint.close();
  const cluster = await server.join();
  const queue = await openQualityJobs(cluster, fingerprint, need);
  const controller = new AbortController();
  const { signal } = controller;
  const options = { signal, warn: () => {} };
  const working = queue.work((job) => Promise.resolve(perform(job as QualityJob)), options);
  const end = async () => {
    controller.abort();
    await working.catch(() => {});
  };
  return { fingerprint, cluster, queue, end };
}

/** Resolves when somebody works on a queue. */
async function worked(queue: JobQueue): Promise<void> {
  const seen = await queue.workers();
  await until(() => seen.count > 0, "a worker of the queue");
  seen.close();
}

/** What an adapter of a name measures of a text of 24 tokens, with so many likelihoods. */
function rowOf(description: string, nlls = 23) {
  const score = { nlls: Array(nlls).fill(1), likeliest: Array(23).fill(2) };
  return { adapter: { description, isSoftware: false }, measured: { score, cacheBytes: 5 } };
}

testNats(
  "quality --nats: rows go to workers that have what they need, and are left out where none has it",
  async (random) => {
    await withTable(random, async ({ server, files, nats, folder }) => {
      await Deno.writeTextFile(`${folder}/a.txt`, "ab ba".repeat(9));
      const asked: string[] = [];
      const measure = (name: string) => (job: QualityJob) => {
        if (job.kind === "row") asked.push(`${name}: ${job.variant.kvDtype}`);
        return rowOf(name);
      };
      const worker = await startWorker(server, files, measure("plain"));
      const table = [...files, ...nats, ...FEW, "--cache-dtype", "f16"];
      const text = ["--text", `${folder}/a.txt`];
      const { code, out, err } = await run(quality, ...table, ...text);
      assertEquals([code, err], [0, "f16 is left out: no worker has it\n"]);
      const changes = (out: string) => JSON.parse(out).rows.map(({ change }: Row) => change);
      assertEquals(changes(out), ["none", "window", "KV heads", "KV heads"]);
      assertEquals(JSON.parse(out).adapter, { description: "plain", isSoftware: false });
      assertEquals(asked, Array(4).fill("plain: f32"));
      // What is said comes behind the progress, which counts the row that is left out.
      const events: string[] = [];
      await quality([...table, ...text], {
        ...{ log() {}, write() {}, error: (sentence) => void events.push(sentence) },
        progress: (steps) => {
          let done = 0;
          return {
            step: () => void done++,
            [Symbol.dispose]: () => void events.push(`${done} of ${steps}`),
          };
        },
      });
      const known = "Asked for before, within a day: 4 of 4 jobs";
      assertEquals(events, ["5 of 5", known, "f16 is left out: no worker has it"]);
      // One that has it does this row, and no row of the others that were measured.
      asked.length = 0;
      const other = await startWorker(server, files, measure("able"), "f16");
      await worked(other.queue);
      const more = await run(quality, ...table, ...text);
      assertEquals([more.code, asked], [0, ["able: f16"]], more.err);
      assertEquals(changes(more.out), ["none", "cache dtype", "window", "KV heads", "KV heads"]);
      assertEquals(JSON.parse(more.out).adapter.description, "plain; able");
      for (const { queue } of [worker, other]) {
        const seen = await queue.workers();
        assertEquals([seen.count, seen.others], [1, 0]);
        seen.close();
      }
      // Its row is kept when it is gone.
      await other.end();
      asked.length = 0;
      const kept = await run(quality, ...table, ...text);
      assertEquals([kept.code, kept.out, asked], [0, more.out, []], kept.err);
      await worker.end();
    });
  },
);

testNats("quality --nats: rows that are wrong fail, and are asked for again", async (random) => {
  await withTable(random, async ({ server, files, nats, folder }) => {
    await Deno.writeTextFile(`${folder}/a.txt`, "ab ba".repeat(9));
    let nlls = 22;
    const worker = await startWorker(server, files, (job) => {
      if (job.kind === "text") throw new RangeError("no token begins a text");
      return rowOf("an adapter", nlls);
    });
    const table = [...files, ...nats, ...FEW, "--cache-dtype", "f32"];
    const text = ["--text", `${folder}/a.txt`];
    const short = await run(quality, ...table, ...text);
    assertEquals(short.code, 1);
    assertStringIncludes(short.err, "tokens=24, nlls=22");
    const drawn = await run(quality, ...table);
    assertEquals(drawn.code, 1);
    assertStringIncludes(drawn.err, "no worker did the text: no token begins a text");
    nlls = 23;
    const mended = await run(quality, ...table, ...text);
    assertEquals(mended.code, 0, mended.err);
    assertStringIncludes(mended.err, "as earlier results cannot be used");
    const all = { nll: 1, perplexity: Math.E, agreement: 1, cacheBytes: 5 };
    const { rows }: Report = JSON.parse(mended.out);
    assertEquals(rows.length, 4);
    for (const { nll, perplexity, agreement, cacheBytes } of rows) {
      assertEquals({ nll, perplexity, agreement, cacheBytes }, all);
    }
    // Of results that the server has no more, none comes.
    const manager = await jetstreamManager(worker.cluster.connection);
    await manager.streams.purge("test--quality--results");
    const gone = await run(quality, ...table, ...text);
    assertEquals([gone.code, gone.out], [0, mended.out]);
    await worker.end();
  });
});

testNats(
  "quality --nats: without workers, room, JetStream or a server exits with 2",
  async (random) => {
    await withTable(random, async ({ server, files, nats }) => {
      const refused = async (says: string, ...options: string[]) => {
        const { code, out, err } = await run(quality, ...files, ...FEW, ...options);
        assertEquals([code, out], [2, ""], err);
        assertStringIncludes(err, says);
      };
      const wait = ["--wait", "0.05"];
      await refused("no worker took jobs for 0.05 s (start one: deno run worker", ...nats, ...wait);
      const draws = ["--pool", "merged", "--calibration", `${2 ** 20 + 1}`];
      await refused("calibration=1048577, most=1048576", ...nats, ...wait, ...draws);
      const worker = await startWorker(server, files, () => {});
      const { connection } = worker.cluster;
      await worker.end();
      // A worker of another version has another queue.
      const { fingerprint } = worker;
      const other = await openQualityJobs(worker.cluster, `${fingerprint}-0`);
      const controller = new AbortController();
      const working = other.work(() => Promise.resolve(), controller);
      await worked(other);
      await refused("workers of other models or versions 1", ...nats, "--wait", "1");
      controller.abort();
      await working;
      const manager = await jetstreamManager(connection);
      const text = ["--text", files[1].replace("model.bin", "a.txt")];
      await Deno.writeTextFile(text[1], "ab ba".repeat(9));
      const limit = async (stream: string) => {
        const { config } = await manager.streams.info(stream);
        await manager.streams.update(stream, { ...config, max_msgs: 1 });
      };
      // Where one of the streams has no room, no job is added to either.
      await openQualityJobs(worker.cluster, fingerprint, "f16");
      await limit("test--quality-f16--results");
      connection.publish("test.quality-f16.results.other.done");
      await connection.flush();
      await manager.streams.purge("test--quality--jobs");
      await refused(
        `stream="test--quality-f16--results", results=1, kept=1`,
        ...nats,
        ...wait,
        ...text,
      );
      const { state } = await manager.streams.info("test--quality--jobs");
      assertEquals(state.messages, 0);
      await limit("test--quality--results");
      await using plain = await NatsServer.start();
      await refused("nats-server --jetstream", "--nats", plain.url);
      await refused("does not take the connection", "--nats", "nats://127.0.0.1:1");
      await refused("results=10, kept=0, most=1", ...nats, ...text);
      const rows = await run(work, ...files, "--quality", "--nats", plain.url);
      assertEquals(rows.code, 2);
      assertStringIncludes(rows.err, "nats-server --jetstream");
    });
  },
);

Deno.test("doQualityJob: what the adapter refuses is no outcome of the job", async () => {
  const refuse = () => Promise.reject(new RangeError("maxStorageBufferBindingSize"));
  const measurer = {
    adapter: { description: "an adapter", isSoftware: false },
    ...{ drawText: refuse, measure: refuse },
  } as unknown as Measurer;
  const settings = { seed: 0, calibration: 2 };
  const variant = { change: "none", kvDtype: "f32", numKvHeads: 1 } as const;
  const sizes = { contextLen: 8, vocabSize: 4 };
  const jobs: QualityJob[] = [
    { kind: "text", tokens: 2, settings },
    { kind: "row", tokens: [1, 2], variant, settings },
  ];
  for (const job of jobs) {
    const error: Error = await assertRejects(() => doQualityJob(job, measurer, sizes));
    const says = "an adapter refused: maxStorageBufferBindingSize";
    assertEquals([error.constructor, error.message], [Error, says]);
  }
  const long = { ...jobs[0], tokens: 9 } as QualityJob;
  await assertRejects(() => doQualityJob(long, measurer, sizes), RangeError, "contextLen=8");
});
