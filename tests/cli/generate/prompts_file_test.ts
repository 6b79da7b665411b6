// Many prompts from a file: what is done is not done again, and each result is that of the prompt alone.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { runCommand } from "../../../cli/generate/command.ts";
import { run, withModel } from "../../support/commands.ts";
import { testRandomly } from "../../support/random.ts";

testRandomly(
  "generate --prompts: results as they come, a run that was ended goes on",
  async (random) => {
    await withModel(random, async ({ folder, model, tokenizer }) => {
      const [prompts, out] = [`${folder}/prompts.jsonl`, `${folder}/out.jsonl`];
      const lines = [
        '{"id": "x", "prompt": "a b", "max_tokens": 5}',
        '{"prompt": "ab", "temperature": 0.9, "seed": 7}',
        '{"prompt": ',
        '{"prompt": "b", "max_tokens": 60}',
      ];
      await Deno.writeTextFile(prompts, lines.join("\n"));
      const given = [
        "--model",
        model,
        "--tokenizer",
        tokenizer,
        "--prompts",
        prompts,
        "--out",
        out,
      ];
      const first = await run(runCommand, ...given, "--tokens", "4");
      assertEquals([first.code, first.err], [0, ""]);
      assertStringIncludes(first.out, "4 prompts, 0 of them done before");
      assertStringIncludes(first.out, "2 continued by");
      const read = async () =>
        (await Deno.readTextFile(out)).trim().split("\n").map((line) => JSON.parse(line));
      const results = await read();
      assertEquals(results.map(({ id }) => id).sort(), ["2", "3", "4", "x"]);
      assertStringIncludes(results.find(({ id }) => id === "3").error, "the line must be JSON");
      assertStringIncludes(results.find(({ id }) => id === "4").error, "must fit the context");
      const alone = await run(
        runCommand,
        ...["--model", model, "--tokenizer", tokenizer, "--prompt", "a b", "--tokens", "5"],
      );
      assertStringIncludes(alone.out, `a b${results.find(({ id }) => id === "x").text}`);

      // As if the process had died in the middle of a line.
      const [whole] = (await Deno.readTextFile(out)).split("\n");
      await Deno.writeTextFile(out, `${whole}\n{"id": "hal`);
      const second = await run(runCommand, ...given, "--tokens", "4");
      assertStringIncludes(second.out, "4 prompts, 1 of them done before");
      assertEquals((await read()).map(({ id }) => id).sort(), ["2", "3", "4", "x"]);
      const byId = (list: { id: string }[]) => Object.fromEntries(list.map((one) => [one.id, one]));
      assertEquals(byId(await read()), byId(results));
    });
  },
);

Deno.test("generate --prompts goes with --out, and without --prompt", async () => {
  const refused = async (...args: string[]) => (await run(runCommand, "--model", "m", ...args)).err;
  assertStringIncludes(
    await refused("--prompts", "p", "--out", "o", "--prompt", "x"),
    "goes without --prompt and --kv-heads",
  );
});
