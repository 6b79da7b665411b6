// Trainings from scratch: versions and statistics by numbers made by hand, and the command from end to end.
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertLess,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { runHeads } from "../../../bench/heads/command.ts";
import { HELP, parseHeadsOptions } from "../../../bench/heads/options.ts";
import { type HeadsReport, rowsOf, type Run } from "../../../bench/heads/result.ts";
import { formatHeads } from "../../../bench/heads/table.ts";
import { variantsOf } from "../../../bench/heads/variants.ts";
import { deviation } from "../../../bench/statistics.ts";
import type { Out } from "../../../cli/shared/run.ts";
import type { DecoderSpec } from "../../../src/model/spec.ts";
import { run, withModel } from "../../support/commands.ts";
import { interruptedAt } from "../../support/interrupted.ts";
import { testRandomly } from "../../support/random.ts";

const LEAST = ["--model", "a.bin", "--out", "dir"];

Deno.test("bench heads: a model and a folder are enough, and all options are read", () => {
  assertEquals(parseHeadsOptions(LEAST), {
    ...{ model: "a.bin", tokenizer: undefined, layers: undefined, kvHeads: undefined },
    ...{ widths: ["same"], text: undefined, selfDrawn: 262_144, heldOut: 8192, seed: 0 },
    ...{ tokens: 262_144, batch: 4, rate: 0.003, seeds: 3, out: "dir", resume: false },
  });
  const line = "--tokenizer t --layers 2 --kv-heads 4,1 --feed-forward same,wider --text a.txt " +
    "--held-out 9 --seed 7 --tokens 5 --batch 1 --rate 0.1 --seeds 2 --resume";
  assertEquals(parseHeadsOptions([...LEAST, ...line.split(" ")]), {
    ...{ model: "a.bin", tokenizer: "t", layers: 2, kvHeads: [4, 1], widths: ["same", "wider"] },
    ...{ text: "a.txt", selfDrawn: 32_768, heldOut: 9, seed: 7, tokens: 5, batch: 1, rate: 0.1 },
    ...{ seeds: 2, out: "dir", resume: true },
  });
  assertEquals(parseHeadsOptions(["--help"]), HELP);
  for (const [name] of line.matchAll(/--[a-z-]+/g)) assertStringIncludes(HELP, `${name} `);
});

Deno.test("bench heads: wrong options are refused by name", () => {
  const mistakes: [args: string[], kind: typeof TypeError | typeof RangeError, says: string][] = [
    [["--out", "dir"], TypeError, "without --model"],
    [["--model", "a.bin"], TypeError, "without --out"],
    [[...LEAST, "--kv-head", "1"], TypeError, "did you mean --kv-heads?"],
    [[...LEAST, "--feed-forward", "widest"], RangeError, "same, wider"],
    [[...LEAST, "--tokens", "0"], RangeError, "at least 1"],
    [[...LEAST, "--seeds", "0"], RangeError, "at least 1"],
    [[...LEAST, "--layers", "0"], RangeError, "at least 1"],
    [[...LEAST, "--text", "a", "--self-drawn", "9"], RangeError, "--text goes without"],
  ];
  for (const [args, kind, says] of mistakes) {
    assertThrows(() => parseHeadsOptions(args), kind, says);
  }
});

const SPEC: DecoderSpec = {
  ...{ vocabSize: 10, dim: 16, hiddenDim: 24, numHeads: 8, numKvHeads: 4, headDim: 2 },
  ...{ contextLen: 32, layers: [{ rope: {} }, { rope: {} }, { rope: {} }] },
  ...{ norm: { kind: "rms", eps: 1e-5 }, activation: "silu", isGated: true, isParallel: false },
};
const NO_OPTIONAL = { has: () => false };

Deno.test("bench heads: versions by KV heads, and feed-forward layers that make up for their parameters", () => {
  const model = { spec: SPEC, weights: NO_OPTIONAL };
  const all = variantsOf(model, { layers: 2, widths: ["same", "wider"] });
  assertEquals(
    all.map(({ numKvHeads, hiddenDim }) => [numKvHeads, hiddenDim]),
    // A head of keys and one of values are 64 numbers of a layer, and a unit of a gated layer is 48.
    [[8, 24], [4, 24], [2, 24], [1, 24], [4, 29], [2, 32], [1, 33]],
  );
  const [mha, , , mqa, , , wider] = all;
  assertEquals(mha.spec.layers.length, 2);
  // An embedding, norms; queries, keys, values and outputs; three matrices of the feed-forward layer.
  assertEquals(mha.parameters, 160 + 5 * 16 + 2 * (4 * 256 + 3 * 384));
  assertEquals(mha.parameters - mqa.parameters, 2 * 7 * 64);
  assertLess(Math.abs(mha.parameters - wider.parameters), 2 * 48);
  assertEquals([mha.kvBytesPerToken, mqa.kvBytesPerToken], [2 * 8 * 2 * 2 * 4, 2 * 2 * 2 * 4]);

  const odd = variantsOf({ ...model, spec: { ...SPEC, numHeads: 6 } }, { widths: ["wider"] });
  assertEquals(
    odd.map(({ numKvHeads, hiddenDim }) => [numKvHeads, hiddenDim]),
    [[6, 24], [3, 28], [1, 31]],
  );
  assertThrows(() => variantsOf(model, { widths: ["same"], kvHeads: [3] }), RangeError, "multiple");
  assertThrows(() => variantsOf(model, { widths: ["same"], layers: 4 }), RangeError, "model=3");
});

/** A training that ended with a loss. */
function ended(numKvHeads: number, seed: number, loss: number): Run {
  const curve = [{ step: 1, tokens: 60, loss: 9 }, {
    step: 2,
    tokens: 120,
    loss: 9,
    heldOut: loss,
  }];
  return { numKvHeads, hiddenDim: 24, seed, curve, seconds: 90 };
}

Deno.test("bench heads: differences are of the same seed, and the table says where seeds do not agree", () => {
  assertAlmostEquals(deviation([1, 2, 4]), Math.sqrt(7 / 3));
  const variants = [4, 2, 1].map((numKvHeads) => ({
    ...{
      numKvHeads,
      hiddenDim: 24,
      parameters: 1000 * numKvHeads,
      kvBytesPerToken: 64 * numKvHeads,
    },
  }));
  const runs = [
    ...[ended(4, 0, 1), ended(2, 0, 1.125), ended(1, 0, 1.25)],
    ...[ended(1, 1, 1.25), ended(2, 1, 0.625), ended(4, 1, 0.75)],
    ended(4, 2, 0),
  ];
  const rows = rowsOf(variants, runs, [0, 1]);
  assertEquals(rows.map(({ losses }) => losses), [[1, 0.75], [1.125, 0.625], [1.25, 1.25]]);
  assertEquals(rows.map(({ difference }) => difference), [
    null,
    { mean: 0, least: -0.125, greatest: 0.125 },
    { mean: 0.375, least: 0.25, greatest: 0.5 },
  ]);
  const report: HeadsReport = {
    ...{ schema: 1, model: "a.bin", adapter: { description: "GPU", isSoftware: false } },
    architecture: { numLayers: 2, dim: 16, numHeads: 4, headDim: 4, vocabSize: 10 },
    text: { source: "b.txt", learned: 1000, heldOut: 20, seqLen: 30 },
    training: { tokens: 120, batch: 2, rate: 0.01 },
    ...{ rows, runs },
  };
  assertEquals(formatHeads(report).split("\n"), [
    "Model    2 layers of 16, 4 query heads of 4, 10 tokens (a.bin)",
    "Adapter  GPU",
    "Texts    b.txt: 1000 tokens, and 20 held out to measure by",
    "Trained  120 tokens each, 2 x 30 a step, rate 0.01, 2 seeds, 11 min",
    "",
    "KV heads  feed-forward  parameters  KV/token  perplexity    loss  deviation  difference    least  greatest",
    "       4            24       4,000     256 B       2.399  0.8750     0.1768",
    "       2            24       2,000     128 B       2.399  0.8750     0.3536     +0.0000  -0.1250   +0.1250",
    "       1            24       1,000      64 B       3.490  1.2500     0.0000     +0.3750  +0.2500   +0.5000",
    "",
    "Seeds do not agree on whether these are better or worse than 4 KV heads, feed-forward 24:",
    "  2 KV heads, feed-forward 24",
  ]);
  const one = formatHeads({ ...report, rows: rowsOf(variants, runs, [0]) });
  assertMatch(one, /1 seed, .*\n\n.*\n.* {2}- *\n[^]*\n\nOne seed does not say .* \(--seeds\)\.$/);
});

testRandomly(
  "bench heads: trains, is stopped, goes on, and takes more seeds; what is done is not done again",
  async (random) => {
    await withModel(random, async ({ folder, model, tokenizer }) => {
      const out = `${folder}/out`;
      const line = (...more: string[]) => [
        ...["--model", model, "--tokenizer", tokenizer, "--layers", "1", "--kv-heads", "1,4"],
        ...["--self-drawn", "96", "--held-out", "48", "--tokens", "94", "--batch", "1"],
        ...["--seeds", "1", "--out", out, ...more],
      ];
      const read = async (): Promise<HeadsReport> =>
        JSON.parse(await Deno.readTextFile(`${out}/heads.json`));
      const losses = ({ rows }: HeadsReport) => rows.map(({ losses }) => losses);
      const runsOf = ({ runs }: { runs: readonly Run[] }) =>
        runs.map((run) => [run.numKvHeads, run.seed]);

      const stop = (args: readonly string[], out: Out) => runHeads(args, out, interruptedAt(4));
      const stopped = await run(stop, ...line());
      assertEquals([stopped.code, stopped.out], [130, ""]);
      assertStringIncludes(
        stopped.err,
        `trainings in ${out}: 1 (the same command goes on with --resume)`,
      );
      const mistakes: [args: string[], says: string][] = [
        [line(), "holds trainings of before (give --resume, or remove it)"],
        [line("--resume", "--rate", "1"), "rate=1, before=0.003"],
        [line("--resume", "--out", `${folder}/none`), "holds no work to resume"],
      ];
      for (const [args, says] of mistakes) {
        const { code, err } = await run(runHeads, ...args);
        assertEquals(code, 2, err);
        assertStringIncludes(err, says);
      }
      const kept = async (): Promise<{ adapter: string; runs: Run[] }> =>
        JSON.parse(await Deno.readTextFile(`${out}/run.json`));
      const begun = await kept();
      await Deno.writeTextFile(`${out}/run.json`, JSON.stringify({ ...begun, adapter: "another" }));
      const elsewhere = await run(runHeads, ...line("--resume"));
      assertEquals(elsewhere.code, 2, elsewhere.err);
      assertStringIncludes(elsewhere.err, `adapter="${begun.adapter}", before="another"`);
      await Deno.writeTextFile(`${out}/run.json`, JSON.stringify(begun));
      const { runs: [first] } = await kept();
      const resumed = await run(runHeads, ...line("--resume"));
      assertEquals([resumed.code, resumed.err], [0, ""]);
      assertMatch(resumed.out, /\n +4 .*\n +1 .*\n/);
      const report = await read();
      assertEquals(runsOf(report), [[4, 0], [1, 0]]);
      assertEquals([report.runs[0], runsOf(await kept())], [first, runsOf(report)]);
      assertEquals(first.curve.map(({ tokens }) => tokens), [47, 94]);
      assert(losses(report).flat().every((loss) => loss > 0 && loss < 10));
      assertStringIncludes(await Deno.readTextFile(`${out}/heads.svg`), "</svg>");

      const seeds = ["--kv-heads", "4", "--seeds", "2", "--resume"];
      assertEquals((await run(runHeads, ...line(...seeds))).code, 0);
      const seeded = await read();
      assertEquals(runsOf(seeded), [[4, 0], [4, 1]]);
      assertEquals(runsOf(await kept()), [...runsOf(report), [4, 1]]);
      const [[old, added], ...others] = losses(seeded);
      assertEquals([old, others], [losses(report)[0][0], []]);
      assert(old !== added);
    });
  },
);

testRandomly("bench heads: exits with 2 where what it is given is wrong", async (random) => {
  await withModel(random, async ({ folder, model, tokenizer }) => {
    await Deno.writeTextFile(`${folder}/short.txt`, "ab");
    await Deno.mkdir(`${folder}/taken`);
    await Deno.writeTextFile(`${folder}/taken/a.txt`, "");
    const given = ["--model", model, "--tokenizer", tokenizer];
    const out = ["--out", `${folder}/out`];
    const few = ["--self-drawn", "48", "--held-out", "48", "--tokens", "470", "--batch", "1"];
    const mistakes: [args: string[], says: string][] = [
      [[...given, "--out", `${folder}/taken`], 'names=["a.txt"]'],
      [[...given, ...out, "--model", `${folder}/none.bin`], "CheckpointError: Cannot read"],
      [[...given, ...out, "--kv-heads", "3"], "numHeads=4, numKvHeads=3"],
      [[...given, ...out, "--layers", "3"], "layers=3, model=2"],
      [[...given, ...out, "--text", `${folder}/short.txt`], "at least two sequences"],
      [
        [...given, ...out, ...few, "--kv-heads", "4", "--rate", "1e30"],
        "4 KV heads, seed 0 (begin anew with a lower --rate)",
      ],
    ];
    for (const [args, says] of mistakes) {
      const { code, out, err } = await run(runHeads, ...args);
      assertEquals([code, out], [2, ""], err);
      assertStringIncludes(err, says);
    }
  });
});
