// The command from end to end: what it writes, and its exit codes.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { runCommand } from "../../../cli/quality/command.ts";
import type { Report } from "../../../cli/quality/result.ts";
import { testRandomly } from "../../support/random.ts";
import { run, withModel } from "../../support/commands.ts";

testRandomly(
  "quality: a table, JSON and attention maps, of a text of the model's own",
  async (random) => {
    await withModel(random, async ({ folder, model, tokenizer }) => {
      const line = ["--model", model, "--tokenizer", tokenizer, "--tokens", "24", "--window", "6"];
      const files = ["--json", `${folder}/a.json`, "--svg", `${folder}/svg`, "--heads", "0,1"];
      const { code, out } = await run(runCommand, ...line, ...files, "--cache-dtype", "int8");
      assertEquals(code, 0);
      assertStringIncludes(out, "Text     drawn by the model, seed 0: 23 tokens predicted");
      const { rows, text }: Report = JSON.parse(await Deno.readTextFile(`${folder}/a.json`));
      assertEquals(text.tokens, 23);
      assertEquals(rows.map(({ change }) => change), [
        ...["none", "cache dtype", "cache dtype", "cache dtype", "window", "window"],
        ...["KV heads", "KV heads"],
      ]);
      const [unchanged, int8, rotated, calibrated, window, , pooled] = rows;
      assertEquals([rotated.transform, calibrated.transform], ["rotated", "calibrated"]);
      assertEquals(rotated.cacheBytes, int8.cacheBytes);
      assert(calibrated.cacheBytes > int8.cacheBytes, "tables of channels");
      assert(new Set([unchanged, int8, rotated, calibrated].map(({ nll }) => nll)).size === 4);
      assertEquals(unchanged.agreement, 1);
      assert(rows.every(({ nll, agreement }) => nll > 0 && agreement >= 0 && agreement <= 1));
      assert(Math.abs(int8.nll - unchanged.nll) < 0.2 && int8.nll !== unchanged.nll);
      assert(window.nll !== unchanged.nll);
      assert(
        [int8, calibrated, pooled].every(({ cacheBytes }) => cacheBytes < unchanged.cacheBytes),
      );
      assertStringIncludes(await Deno.readTextFile(`${folder}/svg/attention.svg`), "</svg>");
    });
  },
);

Deno.test("quality: where results cannot be written, no model is opened", async () => {
  for (const option of ["--json", "--html", "--svg"]) {
    const path = option === "--svg" ? "/dev/null/svg" : "/dev/null";
    const { code, err } = await run(runCommand, "--model", "/no/model", option, path);
    assertEquals(code, 2);
    assertStringIncludes(err, `Cannot measure quality as ${path} cannot be`);
  }
});

testRandomly("quality: a text of a file; --json alone prints nothing but JSON", async (random) => {
  await withModel(random, async ({ folder, model, tokenizer }) => {
    await Deno.writeTextFile(`${folder}/a.txt`, "ab ba".repeat(100));
    const line = ["--model", model, "--tokenizer", tokenizer, "--text", `${folder}/a.txt`];
    const few = ["--tokens", "9", "--cache-dtype", "f32", "--window", "2", "--sinks", "0"];
    const { code, out } = await run(runCommand, ...line, ...few, "--kv-heads", "1", "--json");
    assertEquals(code, 0);
    const { rows, text }: Report = JSON.parse(out);
    assertEquals([text.source, text.tokens], [`${folder}/a.txt`, 8]);
    assertEquals(rows.map(({ change }) => change), ["none", "window", "KV heads", "KV heads"]);
  });
});

testRandomly("quality: heads that are merged, and what each layer kept", async (random) => {
  await withModel(random, async ({ folder, model, tokenizer }) => {
    const line = ["--model", model, "--tokenizer", tokenizer, "--cache-dtype", "f32"];
    const few = ["--tokens", "24", "--window", "23", "--sinks", "0", "--calibration", "400"];
    const json = `${folder}/a.json`;
    const heads = ["--kv-heads", "1", "--pool", "mean,first,merged", "--json", json];
    const html = `${folder}/a.html`;
    const { code, out, err } = await run(runCommand, ...line, ...few, ...heads, "--html", html);
    assertEquals([code, err], [0, ""]);
    assertMatch(out, /Merged into 1 KV heads\nlayer +keys kept .*\n +0 .*\n +1 .*\n$/);
    const { rows }: Report = JSON.parse(await Deno.readTextFile(json));
    const page = await Deno.readTextFile(html);
    for (const text of ['<section id="cost">', '<section id="merged-1">', ">1 KV heads merged<"]) {
      assertStringIncludes(page, text);
    }
    const [, , mean, first, merged] = rows;
    assertEquals([mean.pool, first.pool, merged.pool], ["mean", "first", "merged"]);
    assertEquals([mean.merge, first.merge, merged.merge?.length], [undefined, undefined, 2]);
    assertEquals(merged.cacheBytes, mean.cacheBytes);
    assert(merged.merge!.every(({ error }) => error.refitted <= error.merged));
  });
});

testRandomly("quality: exits with 2 where what it is given is wrong", async (random) => {
  await withModel(random, async ({ folder, model, tokenizer }) => {
    await Deno.writeTextFile(`${folder}/empty.txt`, "");
    const given = ["--model", model, "--tokenizer", tokenizer];
    const mistakes: [args: string[], says: string][] = [
      [["--model", `${folder}/none.bin`], "CheckpointError: Cannot read"],
      [[...given, "--text", `${folder}/none.txt`], "none.txt as there is no such file"],
      [[...given, "--text", `${folder}/empty.txt`], "empty.txt: current value tokens=1"],
      [[...given, "--tokens", "49"], "tokens=49, contextLen=48"],
      [[...given, "--kv-heads", "3"], "kv-heads=3, numKvHeads=2"],
      [[...given, "--svg", folder, "--layer", "2"], "layer=2, count=2"],
    ];
    for (const [args, says] of mistakes) {
      const { code, out, err } = await run(runCommand, ...args);
      assertEquals([code, out], [2, ""], err);
      assertStringIncludes(err, says);
    }
  });
});
