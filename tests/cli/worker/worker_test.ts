// Workers and a gateway as processes: one is killed within an answer, and the client's stream goes on as if nothing was.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import OpenAI from "openai";
import { runCommand as generate } from "../../../cli/generate/command.ts";
import { runCommand } from "../../../cli/worker/command.ts";
import { run, withModel } from "../../support/commands.ts";
import { NatsServer, testNats } from "../../support/nats.ts";
import { RunningCommand } from "../../support/processes.ts";
import { withTextModel } from "../../support/text_model.ts";
import { until } from "../../support/within.ts";

testNats("worker, serve --nats: killed within answers, the streams are whole", async (random) => {
  await using server = await NatsServer.start();
  await withTextModel(random, async ({ model, tokenizer }, max_tokens) => {
    const files = ["--model", model, "--tokenizer", tokenizer, "--nats", server.url];
    const start = () => RunningCommand.start("worker", files);
    const [first, second] = await Promise.all([start(), start()]);
    await using one = first;
    await using two = second;
    await using gateway = await RunningCommand.start("serve", [
      ...[...files, "--name", "tiny", "--port", "0"],
    ]);
    const [baseURL] = gateway.line.match(/http:\S+/)!;
    const client = new OpenAI({ apiKey: "none", maxRetries: 0, baseURL });
    const stream = async (seed: number, onText: () => void = () => {}) => {
      const ask = { model: "tiny", prompt: "a b", max_tokens, seed, temperature: 0.9 };
      let text = "";
      for await (const event of await client.completions.create({ ...ask, stream: true })) {
        text += event.choices[0]?.text ?? "";
        onText();
      }
      return text;
    };
    const seeds = [1, 2, 3];
    const alone: string[] = [];
    for (const seed of seeds) alone.push(await stream(seed));
    assert(new Set(alone).size > 1, "seeds draw other texts");

    // Both workers have sequences when the first text comes: one is killed then.
    let killed: Promise<unknown> | undefined;
    const kill = () => killed ??= one.end("SIGKILL");
    const together = await Promise.all(seeds.map((seed) => stream(seed, kill)));
    await killed;
    assertEquals(together, alone);
    // A worker that is told to end finishes what it has.
    let ended: Promise<{ code: number }> | undefined;
    assertEquals(await stream(seeds[0], () => ended ??= two.end()), alone[0]);
    assertEquals((await ended)?.code, 0);
    const { code, err } = await gateway.end();
    assertEquals(code, 0, err);
    // It says how many it found at first: the second may answer later.
    assertMatch(err, new RegExp(`at ${server.url}: [12]\n`));
  });
});

testNats("worker: what does not start one is said, with exit code 2", async (random) => {
  await using server = await NatsServer.start("--auth", "secret");
  await withModel(random, async ({ model, tokenizer }) => {
    const files = ["--model", model, "--tokenizer", tokenizer];
    const start = async (...options: string[]) => {
      const { code, err } = await run(runCommand, ...files, ...options);
      assertEquals(code, 2, err);
      return err;
    };
    assertStringIncludes(await start(), "without --nats");
    assertStringIncludes(
      await start("--nats", "nats://a:b@127.0.0.1"),
      "come from the environment",
    );
    assertStringIncludes(await start("--nats", "nats://127.0.0.1:1"), "nats-server --jetstream");
    assertStringIncludes(await start("--nats", server.url), "Authorization Violation");
    const env = { NATS_TOKEN: "secret" };
    await using worker = await RunningCommand.start(
      "worker",
      [...files, "--nats", server.url],
      env,
    );
    assertStringIncludes(worker.line, server.url);
    // A server that takes it no more leaves nobody who could ask it.
    await server.restart("--auth", "another");
    const { code, err } = await worker.ended();
    assertEquals(code, 1, err);
    assertStringIncludes(
      err,
      "Cannot answer any more: the connection to the NATS server was closed",
    );
  });
});

testNats(
  "generate --prompts --nats: a worker is killed, and every prompt has its one result",
  async (random) => {
    const store = await Deno.makeTempDir();
    await using server = await NatsServer.start("--jetstream", "--store_dir", store);
    await withTextModel(random, async ({ model, tokenizer }) => {
      const files = ["--model", model, "--tokenizer", tokenizer];
      const nats = ["--nats", server.url];
      const worker = () => RunningCommand.start("worker", [...files, ...nats, "--patience", "2"]);
      const lines = Array.from(
        { length: 40 },
        (_, seed) => ({ prompt: "a b", seed, max_tokens: 9 }),
      );
      const prompts = `${store}/prompts.jsonl`;
      await Deno.writeTextFile(
        prompts,
        [...lines.map((line) => JSON.stringify(line)), "{}"].join("\n"),
      );
      const continued = async (name: string, ...options: string[]) => {
        const ask = [
          ...files,
          "--prompts",
          prompts,
          "--temperature",
          "0.9",
          "--out",
          `${store}/${name}`,
        ];
        const { code, err, out } = await run(generate, ...ask, ...options);
        assertEquals(code, 0, err);
        const text = await Deno.readTextFile(`${store}/${name}`);
        const results = text.trimEnd().split("\n").map((line) => JSON.parse(line));
        return { out, results: results.sort((a, b) => a.id - b.id) };
      };
      const [first, second] = await Promise.all([worker(), worker()]);
      await using one = first;
      await using two = second;
      const far = continued("far", ...nats);
      const results = () => Deno.readTextFile(`${store}/far`).catch(() => "");
      await until(async () => (await results()).split("\n").length >= 5, "four results");
      await one.end("SIGKILL");
      const { results: byWorkers } = await far;
      const { results: alone } = await continued("near");
      assertEquals(byWorkers, alone);
      assertEquals(alone.length, lines.length + 1);
      // Results that were lost here are still at the server, and nothing is done again.
      assertEquals((await two.end()).code, 0);
      await Deno.writeTextFile(`${store}/far`, JSON.stringify(alone[3]) + "\n");
      const { out, results: later } = await continued("far", ...nats);
      assertStringIncludes(out, "41 prompts, 1 of them done before");
      assertEquals(later, alone);
    });
    await Deno.remove(store, { recursive: true });
  },
);

testNats(
  "generate --prompts --nats: a prompt that no message can hold has an error, and spoils no other",
  async (random) => {
    const store = await Deno.makeTempDir();
    await using server = await NatsServer.start("--jetstream", "--store_dir", store);
    await withModel(random, async ({ model, tokenizer }) => {
      const results = `${store}/results.jsonl`;
      const lines = [{ id: "long", prompt: "a".repeat(2 ** 20) }, { id: "short", prompt: "a b" }];
      const text = lines.map((line) => JSON.stringify(line)).join("\n");
      await Deno.writeTextFile(`${store}/prompts.jsonl`, text);
      const files = ["--model", model, "--tokenizer", tokenizer];
      await using _ = await RunningCommand.start("worker", [...files, "--nats", server.url]);
      const ask = ["--prompts", `${store}/prompts.jsonl`, "--out", results, "--tokens", "2"];
      const { code, err } = await run(generate, ...files, ...ask, "--nats", server.url);
      assertEquals(code, 0, err);
      const [long, short] = (await Deno.readTextFile(results)).trimEnd().split("\n")
        .map((line) => JSON.parse(line));
      assertStringIncludes(long.error, "must fit a message");
      assertEquals([short.id, short.tokens], ["short", 2]);
    });
    await Deno.remove(store, { recursive: true });
  },
);
