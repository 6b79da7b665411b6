// A server process on this machine, asked by the official client as users ask it.
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import OpenAI from "openai";
import { withModel } from "../../support/commands.ts";
import { RunningCommand } from "../../support/processes.ts";
import { testRandomly } from "../../support/random.ts";

/** Starts a server over a small model of random weights, and ends it with the test. */
async function withServer(
  files: { model: string; tokenizer: string },
  options: readonly string[],
  test: (server: { url: string; end: () => void }) => Promise<void>,
): Promise<{ code: number; err: string }> {
  const args = ["--model", files.model, "--tokenizer", files.tokenizer, "--port", "0", ...options];
  await using server = await RunningCommand.start("serve", args);
  const [url] = server.line.match(/http:\S+/)!;
  let ended: Promise<{ code: number; err: string }> | undefined;
  const end = () => ended ??= server.end();
  await test({ url, end });
  return await end();
}

const SERVE = [
  ...["run", "--quiet", "--no-check", "--allow-all", "--import-map=tools/offline/import_map.json"],
  "cli/serve/main.ts",
];
const NONE = { apiKey: "none", maxRetries: 0 };

testRandomly(
  "serve: completions, whole and streamed, many at once, each as it is alone",
  async (random) => {
    await withModel(random, async (files) => {
      const { code, err } = await withServer(files, ["--name", "tiny"], async ({ url }) => {
        const client = new OpenAI({ ...NONE, baseURL: url });
        assertEquals((await client.models.list()).data.map(({ id }) => id), ["tiny"]);
        const ask = {
          ...{ model: "tiny", prompt: "a b ab", max_tokens: 9, temperature: 0.8 },
          // No text ends by itself.
          logit_bias: { 1: -100, 2: -100 },
        } as const;
        const alone = await client.completions.create({ ...ask, seed: 3 });
        assertEquals(alone.usage!.completion_tokens, 9);
        assertEquals(alone.choices[0].finish_reason, "length");
        const streamed = async (seed: number) => {
          let text = "";
          for await (
            const { choices } of await client.completions.create({ ...ask, seed, stream: true })
          ) {
            text += choices[0]?.text ?? "";
          }
          return text;
        };
        assertEquals(await streamed(3), alone.choices[0].text);
        const seeds = Array.from({ length: 12 }, (_, i) => i);
        const together = await Promise.all(seeds.map(streamed));
        assertEquals(together[3], alone.choices[0].text);
        for (const seed of [0, 7]) assertEquals(await streamed(seed), together[seed]);
        assert(new Set(together).size > 1, "seeds draw other texts");
        const error = await assertRejects(
          () => client.completions.create({ ...ask, model: "other" }),
          OpenAI.NotFoundError,
        );
        assertStringIncludes(`${error}`, "there is no model other: there is tiny");
        const both = await client.completions.create({ ...ask, n: 2, seed: 3, logprobs: 3 });
        assertEquals(both.choices.map(({ text }) => text), [
          alone.choices[0].text,
          await streamed(4),
        ]);
        for (const { logprobs } of both.choices) {
          assertEquals(logprobs!.token_logprobs!.length, 9);
          assert(logprobs!.token_logprobs!.every((logprob) => logprob < 0));
          assert(logprobs!.top_logprobs!.every((likeliest) => Object.keys(likeliest).length > 0));
        }
        const metrics = await (await fetch(`${url.replace("/v1", "")}/metrics`)).text();
        assertStringIncludes(metrics, 'onehead_pages{state="held"} 0');
      });
      assertEquals(code, 0, err);
    });
  },
);

testRandomly(
  "serve: a client that goes away leaves room for others; a signal lets what runs finish",
  async (random) => {
    await withModel(random, async (files) => {
      const { code } = await withServer(files, ["--max-queue", "1"], async ({ url, end }) => {
        const body = JSON.stringify({
          model: "model.bin",
          prompt: "a",
          max_tokens: 40,
          stream: true,
        });
        const post = (init: RequestInit = {}) =>
          fetch(`${url}/completions`, { method: "POST", body, ...init });
        for (let i = 0; i < 5; i++) {
          const controller = new AbortController();
          const response = await post({ signal: controller.signal });
          const reader = response.body!.getReader();
          await reader.read();
          controller.abort();
          await reader.cancel().catch(() => {});
        }
        const running = await post();
        const reader = running.body!.getReader();
        const first = await reader.read();
        end();
        const decoder = new TextDecoder();
        let text = decoder.decode(first.value, { stream: true });
        for (let part = await reader.read(); !part.done; part = await reader.read()) {
          text += decoder.decode(part.value, { stream: true });
        }
        assertStringIncludes(text, "data: [DONE]");
      });
      assertEquals(code, 0);
    });
  },
);

testRandomly("serve: what cannot be served is said, with exit code 2", async (random) => {
  await withModel(random, async ({ folder, ...files }) => {
    await withServer(files, [], async ({ url }) => {
      const { port } = new URL(url);
      const { code, err } = await serve(
        "--model",
        files.model,
        "--tokenizer",
        files.tokenizer,
        "--port",
        port,
      );
      assertEquals(code, 2);
      assertStringIncludes(err, `127.0.0.1:${port} cannot be listened on`);
    });
    await Deno.writeTextFile(`${folder}/key`, "\n");
    const { code, err } = await serve("--model", files.model, "--api-key-file", `${folder}/key`);
    assertEquals([code, err.includes("the key is empty")], [2, true]);
  });
});

/** Runs a server that is to end at once. */
async function serve(...options: string[]): Promise<{ code: number; err: string }> {
  const command = new Deno.Command(Deno.execPath(), { args: [...SERVE, ...options] });
  const { code, stderr } = await command.output();
  return { code, err: new TextDecoder().decode(stderr) };
}
