// When a worker takes no prompts of files, and what it says then.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { AckPolicy, jetstreamManager } from "@nats-io/jetstream";
import { openPromptJobs } from "../../../cli/shared/cluster/prompt_jobs.ts";
import type { Engine } from "../../../cli/shared/generation/engine.ts";
import { startJobs } from "../../../cli/worker/jobs.ts";
import type { Cluster } from "../../../src/cluster/mod.ts";
import type { Tokenizer } from "../../../src/model/tokenizer/tokenizer.ts";
import { NatsServer, testNats } from "../../support/nats.ts";

/** Starts to take prompts of a model whose context is 64. */
function start(
  cluster: Cluster,
  { contextLen, error }: { contextLen: number; error: (sentence: string) => void },
) {
  const stats = () => ({ places: 1, running: 0, waiting: 0 });
  const engine = { contextLen, stats } as Engine;
  return startJobs(cluster, () => engine, {
    model: { tokenizer: {} as Tokenizer, checkpoint: { spec: { contextLen: 64 } } },
    ...{ fingerprint: "f1", options: { patience: 1, maxQueue: 1 }, out: { error } },
  });
}

testNats("startJobs: a worker of a shorter context than the model's takes no prompts", async () => {
  await using server = await NatsServer.start();
  const said: string[] = [];
  const error = (sentence: string) => void said.push(sentence);
  const jobs = await start(await server.join(), { contextLen: 63, error });
  await jobs.stop();
  assertEquals(said, [
    "No prompts of files are taken. The context is 63, and must be the model's 64 (leave out --context).",
  ]);
});

testNats("startJobs: a server that hands out no jobs is said, and the worker goes on", async () => {
  const store = await Deno.makeTempDir();
  await using server = await NatsServer.start("--jetstream", "--store_dir", store);
  const cluster = await server.join();
  await openPromptJobs(cluster, "f1");
  const manager = await jetstreamManager(cluster.connection);
  // A consumer of this name to which the server sends by itself: no worker can share it.
  await manager.consumers.add("test--prompts--jobs", {
    ...{ durable_name: "f1", deliver_subject: "pushed", filter_subject: "test.prompts.jobs.f1" },
    ack_policy: AckPolicy.Explicit,
  });
  let tell = (_: string) => {};
  const said = new Promise<string>((resolve) => tell = resolve);
  const jobs = await start(cluster, { contextLen: 64, error: tell });
  assertStringIncludes(await said, "Cannot work on a queue of jobs");
  await jobs.stop();
  await Deno.remove(store, { recursive: true });
});
