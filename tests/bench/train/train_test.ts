// Times of a training: figures by times made by hand, and the command from end to end.
import { assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { runTrain } from "../../../bench/train/command.ts";
import { ofStep, type TrainReport } from "../../../bench/train/measure.ts";
import { HELP, parseTrainOptions } from "../../../bench/train/options.ts";
import { formatTraining } from "../../../bench/train/table.ts";
import { SILENT } from "../../../cli/shared/progress.ts";
import { run, withModel } from "../../support/commands.ts";
import { testRandomly } from "../../support/random.ts";

Deno.test("bench train: a model is enough, all options are read, and wrong ones are refused", () => {
  assertEquals(parseTrainOptions(["--model", "a.bin"]), {
    ...{ model: "a.bin", kvHeads: 1, batch: 16, tokens: 255, steps: 5, seed: 0 },
    json: undefined,
  });
  const line = "--model a.bin --kv-heads 2 --batch 3 --tokens 4 --steps 6 --seed 7 --json b.json";
  assertEquals(parseTrainOptions(line.split(" ")), {
    ...{ model: "a.bin", kvHeads: 2, batch: 3, tokens: 4, steps: 6, seed: 7 },
    json: "b.json",
  });
  assertEquals(parseTrainOptions(["--help"]), HELP);
  for (const [name] of line.matchAll(/--[a-z-]+/g)) assertStringIncludes(HELP, `${name} `);
  assertThrows(() => parseTrainOptions([]), TypeError, "without --model");
  assertThrows(() => parseTrainOptions(["--model", "a", "--steps", "0"]), RangeError, "--steps");
  assertThrows(() => parseTrainOptions(["--model", "a", "--seed", "0.5"]), RangeError, "--seed");
});

Deno.test("bench train: kernels of a step are those of all layers together, and shares are of all", () => {
  const timed = [
    { name: "layers.0.q", milliseconds: 2, dispatches: 4 },
    { name: "product", milliseconds: 12, dispatches: 20 },
    { name: "layers.11.q", milliseconds: 4, dispatches: 4 },
  ];
  const kernels = ofStep(timed, 2);
  assertEquals(kernels, [
    { name: "product", milliseconds: 6, dispatches: 10 },
    { name: "q", milliseconds: 3, dispatches: 4 },
  ]);
  const report: TrainReport = {
    ...{ schema: 1, adapter: { description: "test", isSoftware: true }, model: "a.bin" },
    architecture: {
      ...{ numLayers: 12, dim: 64, hiddenDim: 172, numHeads: 8, headDim: 16, numKvHeads: 1 },
      ...{ teacherKvHeads: 4, vocabSize: 512 },
    },
    ...{ batch: 3, tokens: 5, steps: 2, seed: 7, tokensPerSecond: 1234.5, kernels },
  };
  const text = formatTraining(report);
  assertEquals(text.split("\n").slice(0, 5), [
    "Adapter  test",
    "Model    12 layers of 64, 8 query heads of 16, 1 of 4 KV heads (a.bin)",
    "Steps    2 of 3 x 5 tokens, seed 7",
    "",
    "1235 tokens/s: forward, teacher and backward",
  ]);
  assertMatch(text, /\nproduct +10 +6\.0 +66\.7\nq +4 +3\.0 +33\.3$/);
  assertStringIncludes(formatTraining({ ...report, kernels: null }), "no timestamps");
});

testRandomly(
  "bench train: a model learns from itself, and the report has its kernels",
  async (random) => {
    await withModel(random, async ({ folder, model }) => {
      const json = `${folder}/train.json`;
      const sizes = ["--batch", "2", "--tokens", "8", "--steps", "1"];
      const line = ["--model", model, ...sizes, "--seed", "3", "--json", json];
      let [promised, told] = [0, 0];
      const { code, out, err } = await run((args, out) =>
        runTrain(args, {
          ...out,
          progress: (steps) => {
            promised = steps;
            return { ...SILENT, step: () => told++ };
          },
        }), ...line);
      assertEquals([promised, told], [3, 3]);
      assertEquals([code, err], [0, ""]);
      assertMatch(out, /\n\d+ tokens\/s/);
      const report: TrainReport = JSON.parse(await Deno.readTextFile(json));
      const { batch, tokens, steps, seed, architecture, kernels } = report;
      assertEquals([report.model, batch, tokens, steps, seed], [model, 2, 8, 1, 3]);
      assertEquals([architecture.numKvHeads, architecture.teacherKvHeads], [1, 2]);
      if (kernels === null) return assertStringIncludes(out, "no timestamps");
      const names = new Set(kernels.map(({ name }) => name));
      // Each kernel of a layer is one line, and the step is there as a whole: its end too.
      assertEquals(names.size, kernels.length);
      for (const name of ["product", "loss", "adamw"]) assertEquals(names.has(name), true, name);
      for (const { name } of kernels) assertStringIncludes(out, `\n${name}`);
    });
  },
);
