// The command from end to end: what it writes, and its exit codes.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { runCommand } from "../../../cli/generate/command.ts";
import { testRandomly } from "../../support/random.ts";
import { STORIES, testStories } from "../../support/stories.ts";
import { run, withModel } from "../../support/commands.ts";

testRandomly(
  "generate: a text and its speed; the same again by its seed; pooled, with a small cache; merged",
  async (random) => {
    await withModel(random, async ({ model, tokenizer }) => {
      const line = [
        "--model",
        model,
        "--tokenizer",
        tokenizer,
        "--prompt",
        "a bé",
        "--tokens",
        "6",
      ];
      const drawn = [...line, "--temperature", "1", "--seed", "3"];
      const first = await run(runCommand, ...drawn);
      assertEquals([first.code, first.err], [0, ""]);
      assert(first.out.startsWith("a bé"), first.out);
      assertMatch(first.out, /\nprefill +6 tokens +\d\S* tokens\/s\ndecode +\d tokens? /);
      assertMatch(first.out, /\ncache +\d+ bytes .* in f32, for 12 tokens\n/);
      const textOf = (out: string) => out.slice(0, out.indexOf("\n\nprefill"));
      assertEquals(textOf((await run(runCommand, ...drawn)).out), textOf(first.out));
      const drafted = await run(runCommand, ...drawn, "--speculate", "lookup");
      assertEquals(textOf(drafted.out), textOf(first.out));
      assertMatch(drafted.out, /\npasses +\d +\S+ tokens each\n/);

      const small = ["--kv-heads", "1", "--cache-dtype", "int8", "--weight-dtype", "int8"];
      const pooled = await run(runCommand, ...line, ...small, "--window", "4", "--sinks", "2");
      assertEquals([pooled.code, pooled.err], [0, ""]);
      assertStringIncludes(pooled.out, "2 KV heads pooled into 1 (mean)");
      // Two layers of 16 x (16 + 8 + 8 + 16) parameters; K and V lose half of theirs.
      assertStringIncludes(pooled.out, "1536 to 1280");
      assertStringIncludes(pooled.out, "of 6 tokens");
      const merged = await run(runCommand, ...line, "--kv-heads", "1", "--pool", "merged");
      assertEquals([merged.code, merged.err], [0, ""]);
      assertStringIncludes(merged.out, "2 KV heads merged into 1, and not trained afterwards");
    });
  },
);

testRandomly("generate: exits with 2 where what it is given is wrong", async (random) => {
  await withModel(random, async ({ folder, model, tokenizer }) => {
    const given = ["--model", model, "--tokenizer", tokenizer];
    await Deno.writeFile(`${folder}/short.bin`, (await Deno.readFile(model)).slice(0, -100));
    await Deno.writeTextFile(`${folder}/other.json`, "{}");
    const mistakes: [args: string[], says: string][] = [
      [[], "TypeError: Cannot generate without --model"],
      [["--model", `${folder}/none.bin`], "CheckpointError: Cannot read"],
      [["--model", `${folder}/short.bin`, "--tokenizer", tokenizer], "short.bin"],
      [["--model", model], "must hold tokenizer.json (fetch it, or name the tokenizer's file)"],
      [["--model", model, "--tokenizer", `${folder}/none`], "none as there is no such file"],
      [["--model", model, "--tokenizer", model], "CheckpointError: Cannot read"],
      [["--model", model, "--tokenizer", `${folder}/other.json`], '"model" is missing'],
      [[...given, "--tokens", "48"], "promptTokens=1, newTokens=48, contextLen=48"],
      [[...given, "--prompt", "b".repeat(60), "--tokens", "1"], "contextLen=48"],
      [[...given, "--kv-heads", "3", "--tokens", "2"], "from=2, to=3"],
      [[...given, "--kv-heads", "3", "--pool", "merged", "--tokens", "2"], "from=2, to=3"],
    ];
    for (const [args, says] of mistakes) {
      const { code, out, err } = await run(runCommand, ...args);
      assertEquals([code, out], [2, ""], err);
      assertStringIncludes(err, says);
    }
  });
});

Deno.test("generate: --help tells all, and runs nothing", async () => {
  const { code, out } = await run(runCommand, "--help");
  assertEquals(code, 0);
  assertStringIncludes(out, "Usage: deno run generate");
});

testStories("generate: the greedy story of stories260K", async () => {
  const given = ["--model", STORIES.model, "--tokenizer", STORIES.tokenizer];
  const { code, out } = await run(
    runCommand,
    ...given,
    "--prompt",
    "Once upon a time",
    "--tokens",
    "40",
  );
  assertEquals(code, 0);
  assert(
    out.startsWith("Once upon a time, there was a little girl named Lily. She loved to play"),
    out,
  );
});
