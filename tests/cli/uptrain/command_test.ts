// The command from end to end: what it writes, and its exit codes.
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { runCommand } from "../../../cli/uptrain/command.ts";
import type { Report } from "../../../cli/uptrain/result.ts";
import { formatTable } from "../../../cli/uptrain/report/table.ts";
import { split } from "../../../cli/uptrain/texts.ts";
import { openCheckpoint, openTokenizer } from "../../../src/checkpoints/mod.ts";
import { run, withModel } from "../../support/commands.ts";
import { testRandomly } from "../../support/random.ts";

function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).toSorted();
}

testRandomly(
  "uptrain: heads merged by drawn texts, a table, and a model that opens",
  async (random) => {
    await withModel(random, async ({ folder, model, tokenizer }) => {
      const out = `${folder}/out`;
      const line = ["--model", model, "--tokenizer", tokenizer, "--kv-heads", "1", "--out", out];
      const few = ["--self-drawn", "400", "--held-out", "90", "--seed", "5"];
      const { code, out: printed, err } = await run(runCommand, ...line, ...few);
      assertEquals([code, err], [0, ""]);
      assertStringIncludes(printed, "drawn by the model, seed 5: 432 tokens, and 96 held out");
      assertMatch(printed, /\noriginal +2 .* 1\.000 +100\.0 %\nmerged +1 /);
      assertMatch(printed, /\nlayer +keys kept/);
      assertEquals(namesIn(folder), ["model.bin", "out", "tok.bin"]);
      assertEquals(namesIn(out), [
        ...["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"],
        "uptrain.json",
      ]);

      const report: Report = JSON.parse(await Deno.readTextFile(`${out}/uptrain.json`));
      const [original, merged] = report.stages;
      assertEquals([original.numKvHeads, merged.numKvHeads, report.merge?.length], [2, 1, 2]);
      // Two layers of 48 tokens, a key and a value of 4 numbers in f32, for each of the heads.
      assertEquals(original.cacheBytes - merged.cacheBytes, 2 * 48 * 2 * 4 * 4);
      assert(merged.perplexity > 1 && merged.agreement <= 1);
      const written = await openCheckpoint(out);
      assertEquals([written.spec.numKvHeads, written.endOfText], [1, [1, 2]]);
      assertEquals(
        (await openTokenizer(out, written)).vocabSize,
        written.spec.vocabSize,
      );
      await written.close();
    });
  },
);

testRandomly(
  "uptrain: heads pooled by a text of a file, and figures for programs alone",
  async (random) => {
    await withModel(random, async ({ folder, model, tokenizer }) => {
      await Deno.writeTextFile(`${folder}/a.txt`, "ab ba".repeat(100));
      const out = `${folder}/out`;
      await Deno.mkdir(out);
      const line = ["--model", model, "--tokenizer", tokenizer, "--kv-heads", "1", "--out", out];
      const { code, out: printed } = await run(
        runCommand,
        ...[...line, "--text", `${folder}/a.txt`, "--init", "mean", "--json"],
      );
      assertEquals(code, 0);
      const report: Report = JSON.parse(printed);
      assertEquals(report.stages.map(({ stage }) => stage), ["original", "mean"]);
      assertEquals([report.text.source, report.merge], [`${folder}/a.txt`, undefined]);
      assertEquals(JSON.parse(await Deno.readTextFile(`${out}/uptrain.json`)), report);
    });
  },
);

testRandomly(
  "uptrain: exits with 2 where what it is given is wrong, and writes nothing",
  async (random) => {
    await withModel(random, async ({ folder, model, tokenizer }) => {
      await Deno.writeTextFile(`${folder}/short.txt`, "ab");
      await Deno.mkdir(`${folder}/taken`);
      await Deno.writeTextFile(`${folder}/taken/a.txt`, "");
      const given = ["--model", model, "--tokenizer", tokenizer, "--kv-heads", "1"];
      const out = ["--out", `${folder}/out`];
      const mistakes: [args: string[], says: string][] = [
        [[...given], "TypeError: Cannot uptrain without --out"],
        [[...given, "--out", `${folder}/taken`], 'names=["a.txt"]'],
        [[...given, "--out", model], "a new folder"],
        [[...given, "--out", "/dev/null/out"], "cannot be made"],
        [[...given, ...out, "--json", "/dev/null"], "/dev/null cannot be written"],
        [[...given, ...out, "--model", `${folder}/none.bin`], "CheckpointError: Cannot read"],
        [[...given, ...out, "--kv-heads", "3"], "from=2, to=3"],
        [[...given, ...out, "--text", `${folder}/none.txt`], "no such file"],
        [[...given, ...out, "--text", `${folder}/short.txt`], "at least two sequences"],
      ];
      const before = namesIn(folder);
      for (const [args, says] of mistakes) {
        const { code, out, err } = await run(runCommand, ...args);
        assertEquals([code, out], [2, ""], err);
        assertStringIncludes(err, says);
        assertEquals(namesIn(folder), before);
      }
    });
  },
);

Deno.test("uptrain's texts: sequences of one length, the last of them held out", () => {
  const tokens = Array.from({ length: 83 }, (_, i) => i);
  const of = (count: number, heldOut: number) =>
    split(tokens.slice(0, count), { seqLen: 4, heldOut, name: "a.txt", action: "test" });
  const { learned, heldOut } = of(83, 100);
  assertEquals([learned.length, heldOut.length], [18, 2]);
  assertEquals([learned[1], heldOut[0]], [[4, 5, 6, 7], [72, 73, 74, 75]]);
  assertEquals(of(83, 3).heldOut.length, 1);
  assertEquals([of(8, 100).learned, of(8, 100).heldOut], [[[0, 1, 2, 3]], [[4, 5, 6, 7]]]);
  assertThrows(() => of(7, 100), RangeError, "tokens=7, seqLen=4");
});

Deno.test("uptrain's table: a line for each stage", () => {
  const stages: Report["stages"] = [
    { stage: "original", numKvHeads: 4, cacheBytes: 4096, nll: 1, perplexity: 4, agreement: 1 },
    { stage: "first", numKvHeads: 1, cacheBytes: 1024, nll: 2, perplexity: 5, agreement: 0.75 },
  ];
  const report: Report = {
    ...{ schema: 1, model: "a.bin", out: "dir", stages, contextLen: 64, seconds: 12.3 },
    adapter: { description: "GPU", isSoftware: false },
    text: { source: "b.txt", learned: 100, heldOut: 20 },
  };
  assertEquals(formatTable(report).split("\n"), [
    "Model    a.bin",
    "Adapter  GPU",
    "Texts    b.txt: 100 tokens, and 20 held out to measure by",
    "Cache    for 64 tokens",
    "Time     12 s",
    "Written  dir",
    "",
    "stage     KV heads  KV cache     NLL  perplexity      x  agreement",
    "original         4     4 KiB  1.0000        4.00  1.000    100.0 %",
    "first            1     1 KiB  2.0000        5.00  1.250     75.0 %",
  ]);
});
