// A context on shards as the commands have it: one in a process of its own, two in this one.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { runCommand as generate } from "../../../cli/generate/command.ts";
import { CONTEXT, shardSpecOf } from "../../../cli/shared/cluster/shards.ts";
import { SILENT } from "../../../cli/shared/progress.ts";
import { runCommand as work } from "../../../cli/worker/command.ts";
import { openCheckpoint } from "../../../src/checkpoints/mod.ts";
import { ShardWorker } from "../../../src/cluster/mod.ts";
import { withAdapters } from "../../support/adapters.ts";
import { run, withModel } from "../../support/commands.ts";
import { sharedGpu } from "../../support/gpu.ts";
import { NatsServer, testNats } from "../../support/nats.ts";
import { RunningCommand } from "../../support/processes.ts";

testNats("worker --shard, generate --shards: the text is that of one machine", async (random) => {
  await using server = await NatsServer.start();
  await withModel(random, async ({ model, tokenizer }) => {
    const nats = ["--nats", server.url, "--nats-prefix", "test"];
    const text = "a b ".repeat(35);
    const ask = ["--model", model, "--tokenizer", tokenizer, "--prompt", text, "--tokens", "3"];
    const { code, err } = await run(generate, ...ask, ...nats, "--shards", "3");
    assertEquals(code, 1);
    assertStringIncludes(err, "Shard 0 was lost");

    await using first = await RunningCommand.start("worker", [
      ...["--model", model, "--shard", "0", "--shards", "3", ...nats],
    ]);
    assertStringIncludes(first.line, "Shard 0 of 3");
    const { spec, close } = await openCheckpoint(model);
    await close();
    for (const [shard, capacity] of [[1, 64], [2, 8]]) {
      const options = { ...shardSpecOf(spec, 3), name: CONTEXT, shard, capacity };
      await ShardWorker.start(await server.join(), await sharedGpu(), options);
    }
    const textOf = async (...options: string[]) => {
      const { code, out, err } = await run(generate, ...ask, ...options);
      assertEquals(code, 0, err);
      return out.slice(0, out.indexOf("\nprefill"));
    };
    const far = await textOf(...nats, "--shards", "3");
    assertEquals(far, await textOf());
    const long = ["--tokens", "120", ...nats, "--shards", "3"];
    const full = await run(generate, ...ask, ...long);
    assertEquals(full.code, 2);
    assertStringIncludes(full.err, "capacity=136");
    assertEquals((await first.end()).code, 0);
  }, { context: 256 });
});

testNats(
  "worker --shard: without its GPU the process fails, and names the shard",
  async (random) => {
    await using server = await NatsServer.start();
    await withModel(random, async ({ model }) => {
      await withAdapters(async (adapters) => {
        const started = Promise.withResolvers<void>();
        const errors: string[] = [];
        const options = ["--shard", "1", "--shards", "2", "--nats", server.url];
        const ended = work(["--model", model, ...options], {
          log: () => started.resolve(),
          error: (text) => void errors.push(text),
          write: () => {},
          progress: () => SILENT,
        });
        await started.promise;
        adapters.lose();
        assertEquals(await ended, 1);
        assertEquals(errors.length, 1);
        assertStringIncludes(errors[0], "DeviceLostError: Cannot hold shard 1 of 2, copy 0");
      });
    });
  },
);
