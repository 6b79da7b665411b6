// The command from end to end: what it writes, and its exit codes.
import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { runCommand } from "../../../cli/uptrain/command.ts";
import type { Report, Stage } from "../../../cli/uptrain/result.ts";
import { formatTable } from "../../../cli/uptrain/report/table.ts";
import { split } from "../../../cli/shared/training/texts.ts";
import { openCheckpoint, openTokenizer } from "../../../src/checkpoints/mod.ts";
import type { Out } from "../../../cli/shared/run.ts";
import { lessonsOf } from "../../../cli/shared/training/lessons.ts";
import { lineOf } from "../../../cli/uptrain/train.ts";
import { assertClose } from "../../support/compare.ts";
import { run, withModel } from "../../support/commands.ts";
import { interruptedAt } from "../../support/interrupted.ts";
import { Random, testRandomly } from "../../support/random.ts";

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
    ...{ schema: 1, model: "a.bin", out: "dir", stages, contextLen: 64 },
    adapter: { description: "GPU", isSoftware: false },
    text: { source: "b.txt", learned: 100, heldOut: 20 },
  };
  assertEquals(formatTable(report).split("\n"), [
    "Model    a.bin",
    "Adapter  GPU",
    "Texts    b.txt: 100 tokens, and 20 held out to measure by",
    "Cache    for 64 tokens",
    "Written  dir",
    "",
    "stage     KV heads  KV cache     NLL  perplexity      x  agreement",
    "original         4     4 KiB  1.0000        4.00  1.000    100.0 %",
    "first            1     1 KiB  2.0000        5.00  1.250     75.0 %",
  ]);
  const curve = [{ step: 1, tokens: 60, loss: 3 }, { step: 2, tokens: 120, loss: 2, heldOut: 1.5 }];
  const options = { tokens: 100, batch: 2, rate: 0.001, teacher: "own" } as const;
  assertEquals(
    formatTable({ ...report, training: { options, curve, seconds: 4 } }).split("\n")[4],
    "Trained  120 tokens from the original, 30 tokens/s",
  );
});

Deno.test(
  "uptrain: trains, is stopped and goes on, with the bits of a run that was not stopped",
  async () => {
    // One model: of another that is drawn, so few steps may make nothing of the held-out text better.
    await withModel(new Random(1), async ({ folder, model, tokenizer }) => {
      const line = (out: string) => [
        ...["--model", model, "--tokenizer", tokenizer, "--kv-heads", "1", "--init", "mean"],
        ...["--self-drawn", "240", "--held-out", "90", "--out", `${folder}/${out}`],
        ...["--tokens", "400", "--batch", "2", "--rate", "0.01"],
      ];
      const whole = await run(runCommand, ...line("whole"));
      assertEquals([whole.code, whole.err], [0, ""]);
      assertMatch(whole.out, /\nTrained {2}470 tokens from the original, \d+ tokens\/s\n/);
      assertMatch(whole.out, /\noriginal .*\nmean .*\ntrained +1 /);
      assertStringIncludes(await Deno.readTextFile(`${folder}/whole/loss.svg`), "</svg>");
      const report: Report = JSON.parse(await Deno.readTextFile(`${folder}/whole/uptrain.json`));
      const { curve } = report.training!;
      assertEquals(
        curve.map(({ step, tokens }) => [step, tokens]),
        [1, 2, 3, 4, 5].map((n) => [n, 94 * n]),
      );
      const [, mean, trained] = report.stages;
      assertLess(trained.nll, mean.nll);
      assertClose([Math.exp(curve.at(-1)!.heldOut!)], [trained.perplexity], 1e-4, "perplexity");

      const stop = (args: readonly string[], out: Out) => runCommand(args, out, interruptedAt(3));
      const stopped = await run(stop, ...line("parts"));
      assertEquals([stopped.code, stopped.out], [130, ""]);
      assertStringIncludes(
        stopped.err,
        `${folder}/parts.uptrain: the same command goes on with --resume`,
      );
      assert(!namesIn(folder).includes("parts"));
      const mistakes: [args: string[], says: string][] = [
        [line("parts"), "not finished (give --resume, or remove it)"],
        [[...line("parts"), "--resume", "--batch", "3"], "batch=3, before=2"],
        [[...line("none"), "--resume"], "holds no work to resume"],
      ];
      for (const [args, says] of mistakes) {
        const { code, err } = await run(runCommand, ...args);
        assertEquals(code, 2, err);
        assertStringIncludes(err, says);
      }
      const resumed = await run(runCommand, ...line("parts"), "--resume");
      assertEquals([resumed.code, resumed.err], [0, ""]);
      const bytes = (out: string) => Deno.readFile(`${folder}/${out}/model.safetensors`);
      assertEquals(await bytes("parts"), await bytes("whole"));
      const other: Report = JSON.parse(await Deno.readTextFile(`${folder}/parts/uptrain.json`));
      assertEquals(other.training!.curve, curve);
      assertEquals(other.stages, report.stages);
      assertEquals(namesIn(folder), ["model.bin", "parts", "tok.bin", "whole"]);
    });
  },
);

testRandomly(
  "uptrain: a loss that is not finite stops it; it goes on from before at a lower rate",
  async (random) => {
    await withModel(random, async ({ folder, model, tokenizer }) => {
      const line = [
        ...["--model", model, "--tokenizer", tokenizer, "--kv-heads", "1", "--init", "first"],
        ...["--self-drawn", "96", "--held-out", "48", "--out", `${folder}/out`],
        ...["--tokens", "2068", "--batch", "2", "--teacher", "none"],
      ];
      const diverged = await run(runCommand, ...line, "--rate", "1e30");
      assertEquals([diverged.code, diverged.out], [2, ""], diverged.err);
      assertMatch(
        diverged.err,
        /RangeError: Cannot train .* step=2, .*; the state of step 0 is kept .*--rate and --resume/,
      );
      assert(!namesIn(folder).includes("out"));
      const again = await run(runCommand, ...line, "--rate", "1e-3", "--resume");
      assertEquals([again.code, again.err], [0, ""]);
    });
  },
);

Deno.test("uptrain: each text once before any comes again, in an order of the seed and the step", () => {
  const texts = [0, 1, 2, 3, 4, 5, 6];
  const steps = (seed: number) =>
    Array.from({ length: 7 }, (_, step) => lessonsOf(texts, { batch: 3, seed }, step));
  const all = steps(1).flat();
  for (const round of [0, 7, 14]) {
    assertEquals(all.slice(round, round + 7).toSorted(), texts);
  }
  assert(String(all.slice(0, 7)) !== String(all.slice(7, 14)));
  assertEquals(steps(1), steps(1));
  assert(String(steps(1)) !== String(steps(2)));
});

Deno.test("uptrain: a line of progress has the loss, the last perplexity and the pace", () => {
  const stages: Stage[] = [{
    stage: "original",
    numKvHeads: 2,
    cacheBytes: 1,
    nll: 1,
    perplexity: Math.E,
    agreement: 1,
  }];
  const rates = { tokensPerSecond: 100, tokensLeft: 12_000 };
  const curve = [{ step: 1, tokens: 8, loss: 0.5 }];
  assertEquals(lineOf({ curve, stages }, rates), "loss 0.5000, 100 tokens/s, 2 min left");
  const measured = [{ ...curve[0], heldOut: 1 + Math.log(1.25) }, ...curve];
  assertEquals(
    lineOf({ curve: measured, stages }, { ...rates, tokensLeft: 1200 }),
    "loss 0.5000, held-out perplexity 3.40 (x 1.250), 100 tokens/s, 12 s left",
  );
});

Deno.test("uptrain: Ctrl-C aborts the signal, and the second one ends the process", async () => {
  const file = new URL("../../../cli/shared/interrupt.ts", import.meta.url);
  const code = `
    import { withCtrlC } from "${file}";
    const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    await withCtrlC(async (signal) => {
      Deno.kill(Deno.pid, "SIGINT");
      while (!signal.aborted) await wait(10);
      console.log("aborted");
    });
    Deno.kill(Deno.pid, "SIGINT");
    await wait(60_000);
    console.log("still there");`;
  const child = new Deno.Command(Deno.execPath(), { args: ["eval", code], env: { NO_COLOR: "1" } });
  const { stdout, signal } = await child.output();
  assertEquals([new TextDecoder().decode(stdout), signal], ["aborted\n", "SIGINT"]);
});
