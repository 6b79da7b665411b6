// `bench models`: its figures, its verdicts by systems made by hand, and the command from end to end.
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { runModels } from "../../../bench/models/command.ts";
import { figuresOf } from "../../../bench/models/figures.ts";
import { formatHtml } from "../../../bench/models/html.ts";
import { lineOf, linesOf, replyIn } from "../../../bench/models/message.ts";
import {
  type Contestant,
  measureModel,
  type Start,
  stepsOf,
} from "../../../bench/models/measure.ts";
import { titleOf, withModel as withChoice } from "../../../bench/models/model.ts";
import { FailureError } from "../../../bench/models/model_process.ts";
import { type ModelsOptions, parseModelsOptions } from "../../../bench/models/options.ts";
import type { ModelFigures } from "../../../bench/models/result.ts";
import { formatModels } from "../../../bench/models/table.ts";
import { faultOf } from "../../../bench/models/verify.ts";
import { openCheckpoint } from "../../../src/checkpoints/mod.ts";
import { ReferenceDecoder } from "../../../src/model/mod.ts";
import { run, withModel } from "../../support/commands.ts";
import { TINY, weightsWith } from "../../support/models.ts";
import { testRandomly } from "../../support/random.ts";

const NO_WORK = { dispatches: 0, submits: 0, waits: 0 };
const ADAPTER = { description: "Test <GPU>", isSoftware: true };
const READY = { cacheBytes: 2048, loadMs: 500 };

Deno.test("bench models: a step is what one more token takes, and ratios are those of the same round", () => {
  const row = { sequences: 2, promptTokens: 10, newTokens: 5 };
  const kernel = (name: string, milliseconds: number, dispatches: number) => ({
    ...{ name, milliseconds, dispatches },
  });
  const round = (firstMs: number, allMs: number) => ({
    ...{ firstMs, allMs, residentBytes: firstMs },
    ...{ firstWork: { dispatches: 9, submits: 2, waits: 1 } },
    ...{ allWork: { dispatches: 29, submits: 2, waits: 3 } },
  });
  const ours = [round(10, 18), round(20, 60), round(40, 56)];
  const rounds = [round(20, 24), round(10, 50), round(80, 88)];
  const kernelRounds = [
    { first: [], all: [kernel("late", 8, 4)] },
    { first: [kernel("first", 3, 1)], all: [kernel("first", 4, 5), kernel("late", 16, 4)] },
    { first: [kernel("first", 5, 1)], all: [kernel("first", 5, 5), kernel("late", 12, 4)] },
  ];
  const figures = figuresOf(row, READY, rounds, { ours, kernelRounds });
  assertEquals([figures.firstTokenMs, figures.stepMs, figures.rounds], [20, 2, 3]);
  assertEquals([figures.prefillPerSecond, figures.decodePerSecond], [1000, 1000]);
  // 2, 0.5 and 2 times as long to the first token; 0.5, 1 and 0.5 for a step.
  assertEquals([figures.prefillTimesOurs, figures.decodeTimesOurs], [2, 0.5]);
  assertEquals([figures.residentBytes, figures.cacheBytes, figures.loadMs], [80, 2048, 500]);
  // Of four more tokens.
  assertEquals(figures.stepWork, { dispatches: 5, submits: 0, waits: 0.5 });
  assertEquals(figures.kernels, [
    {
      name: "late",
      prompt: { milliseconds: 0, dispatches: 0 },
      step: { milliseconds: 3, dispatches: 1 },
    },
    {
      name: "first",
      prompt: { milliseconds: 3, dispatches: 1 },
      step: { milliseconds: 0, dispatches: 1 },
    },
  ]);
  const alone = figuresOf(row, READY, ours, { kernelRounds: null });
  assertEquals([alone.decodeTimesOurs, alone.kernels], [null, null]);
});

Deno.test("bench models: a step that noise hides has no figures", () => {
  const row = { sequences: 1, promptTokens: 10, newTokens: 2 };
  const rounds = (...allMs: number[]) =>
    allMs.map((allMs) => ({
      ...{ firstMs: 10, allMs, residentBytes: 1, firstWork: NO_WORK, allWork: NO_WORK },
    }));
  // Steps of 2, -3 and 4 ms beside 1 ms: the second round is left out of the ratio.
  const ours = rounds(11, 11, 11);
  const noisy = figuresOf(row, READY, rounds(12, 7, 14), { ours, kernelRounds: null });
  assertEquals([noisy.stepMs, noisy.decodeTimesOurs], [2, 3]);
  const hidden = figuresOf(row, READY, rounds(12, 7, 8), { ours, kernelRounds: null });
  assertEquals([hidden.stepMs, hidden.decodePerSecond, hidden.decodeTimesOurs], [null, null, null]);
  assertEquals([hidden.prefillTimesOurs, hidden.firstTokenMs], [1, 10]);
});

Deno.test("bench models: a token that is not the likeliest is a fault, one that ties with it is none", async () => {
  // The norm of the embedding (1, y) points along it: token 0 answers with 1, as token 1 is longer.
  const embedding = (tie: number) => [1, 0, 1 + tie, 0, -1, 0];
  const referenceOf = (tie: number) =>
    ReferenceDecoder.create(TINY, weightsWith(TINY, { "embedding.weight": embedding(tie) }));
  const reference = await referenceOf(0.5);
  assertEquals(faultOf(reference, [0], [1, 1]), undefined);
  assertMatch(faultOf(reference, [0], [1, 0])!, /^new token 2 is 0, and 1 is likelier by 0\.7/);
  assertMatch(faultOf(reference, [0], [2, 1])!, /^new token 1 is 2, and 1 is likelier/);
  assertEquals(faultOf(reference, [0], [1, 3]), "3 is no token");
  assertEquals(faultOf(reference, [0], [1, NaN]), "NaN is no token");
  assertEquals(faultOf(await referenceOf(1e-5), [0], [0, 1]), undefined);
});

/** Continues prompts by the reference, and then changes what came of it. */
function contestantOf(
  reference: ReferenceDecoder,
  change: (tokens: number[][], asked: number) => number[][],
  ended: () => void,
): Contestant {
  const { vocabSize } = reference.spec;
  let asked = 0;
  return {
    ready: READY,
    ask({ prompts, tokens, timesKernels }) {
      const generated = prompts.map((prompt) => {
        const all = [...prompt];
        for (let i = 0; i < tokens; i++) {
          const { logits } = reference.forward(all);
          const last = logits.subarray(logits.length - vocabSize);
          all.push(last.indexOf(Math.max(...last)));
        }
        return all.slice(prompt.length);
      });
      return Promise.resolve().then(() => ({
        tokens: change(generated, ++asked),
        milliseconds: tokens,
        residentBytes: 1e6,
        work: { ...NO_WORK, dispatches: 2 * tokens },
        kernels: timesKernels
          ? [{ name: "attend", milliseconds: tokens / 2, dispatches: 2 * tokens }]
          : null,
      }));
    },
    end: () => Promise.resolve(ended()),
  };
}

/** Fails when it has been asked so often. */
function tiring(times: number) {
  return (tokens: number[][], asked: number) => {
    if (asked <= times) return tokens;
    throw new FailureError({ verdict: "refused", message: "its process ended" });
  };
}

testRandomly(
  "bench models: what is wrong, fails later or never starts has its word instead of figures",
  async (random) => {
    await withModel(random, async ({ model }) => {
      const { spec, weights, close } = await openCheckpoint(model);
      const reference = await ReferenceDecoder.create(spec, weights);
      await close();
      const changes: Record<string, (tokens: number[][], asked: number) => number[][]> = {
        Onehead: (tokens) => tokens,
        wrong: ([first, last]) => [first, last.with(-1, (last.at(-1)! + 1) % spec.vocabSize)],
        short: ([first]) => [first],
        tires: tiring(2),
        // After its verification and its rounds.
        untimed: tiring(5),
      };
      const ended: string[] = [];
      const start: Start = ({ name }) =>
        name === "absent"
          ? Promise.reject(new FailureError({ verdict: "absent", message: "not supported: this" }))
          : Promise.resolve(contestantOf(reference, changes[name], () => ended.push(name)));
      const systems = [...Object.keys(changes), "absent"].map((name) => ({
        name,
        load: () => Promise.reject(new Error("no system is loaded here")),
      }));
      const work = { sequences: 2, promptTokens: 3, newTokens: 3, rounds: 2 };
      const steps: string[] = [];
      const progress = { step: (what: string) => void steps.push(what) };
      const rows = await measureModel({ file: model }, systems, work, { progress, start });
      assertEquals(steps.length, stepsOf(work, systems.length));
      assertEquals(ended, Object.keys(changes));
      const verdicts = ["right", "wrong", "wrong", "refused", "right", "absent"];
      assertEquals(rows.map(({ verdict }) => verdict), verdicts);
      for (const { verdict, figures } of rows) assertEquals(!!figures, verdict === "right");
      assertMatch(rows[1].message!, /^new token 3 is \d+, and \d+ is likelier/);
      assertEquals(rows[2].message, "tokens are missing");
      // 1 ms to the first token, 3 ms to the third.
      assertEquals(rows[0].figures!.stepMs, 1);
      assertEquals(rows[0].figures!.decodeTimesOurs, 1);

      // 2 dispatches and half a millisecond for a token; the first one of three is the prompt's.
      const kernel = { milliseconds: 0.5, dispatches: 2 };
      const [{ figures }, , , , untimed] = rows;
      assertEquals(figures!.kernels, [{ name: "attend", prompt: kernel, step: kernel }]);
      assertEquals(untimed.figures!.kernels, null);

      const report = { schema: 1 as const, adapter: ADAPTER, rows };
      const text = formatModels(report);
      assertMatch(text, /^Adapter +Test <GPU>\nNote +This adapter is software/);
      assertStringIncludes(text, "model.bin: 2 sequences together, prompts of 3, 3 new tokens\n");
      assertMatch(text, /\nOnehead .* 2,000 .* 2 KiB +977 KiB\n/);
      assertMatch(text, /\nwrong .* WRONG: new token 3 is/);
      assertMatch(text, /\nabsent .* absent: not supported: this\n/);
      assertMatch(text, /\nwhere the time goes .*\nOnehead +1\.00 +0\.500 .*\nuntimed +1\.00 +- /);
      assertMatch(text, /\nkernels .*\nOnehead +attend +0\.500 +2 +0\.500 +2\n/);
      assertMatch(text, /\n\nuntimed: no times of kernels, as its device gave no timestamps\.$/);

      const page = await formatHtml(report);
      const sections = Array.from(page.matchAll(/<section id="([^"]+)"/g), ([, id]) => id);
      assertEquals(sections, ["group-1", "group-1-where", "group-1-kernels"]);
      assertEquals(page.match(/<(link|script|img)/g), null);
      const ids = Array.from(page.matchAll(/ id="([^"]+)"/g), ([, id]) => id);
      assertEquals(new Set(ids).size, ids.length);
      for (const words of ["WRONG: new token 3 is", "in kernels", "Test &lt;GPU&gt;"]) {
        assertStringIncludes(page, words);
      }

      // A mistake of the bench is no word of a system.
      const broken: Start = () => Promise.reject(new TypeError("a mistake"));
      const measured = measureModel({ file: model }, systems, work, { progress, start: broken });
      assertEquals(await measured.catch(({ message }) => message), "a mistake");
    });
  },
);

Deno.test("bench models: published shapes are cut, and have the weights of their families", async () => {
  await withChoice(
    { name: "Gemma-3-270M", layers: 2, vocabulary: 50 },
    // deno-lint-ignore require-await
    async ({ spec, weights }) => {
      assertEquals([spec.dim, spec.layers.length, spec.vocabSize], [640, 2, 50]);
      assertEquals(spec.layers[0].window, 512);
      const has = ["layers.1.qNorm.weight", "layers.0.postMlpNorm.weight", "classifier.weight"];
      assertEquals(has.map(weights.has), [true, true, true]);
      assertEquals(weights.has("layers.0.q.bias"), false);
    },
  );
  await withChoice(
    { name: "StarCoder-1B", layers: 1, vocabulary: 9 },
    // deno-lint-ignore require-await
    async ({ spec, weights }) => {
      assertEquals([spec.dim, spec.numHeads, spec.numKvHeads, spec.vocabSize], [2048, 16, 1, 9]);
      const has = ["positions.weight", "layers.0.k.bias", "finalNorm.bias", "classifier.weight"];
      assertEquals(has.map(weights.has), [true, true, true, true]);
    },
  );
  assertEquals(titleOf({ file: "a/stories.bin" }), "stories.bin");
  assertEquals(titleOf({ file: "a/gemma/" }), "gemma/");
});

Deno.test("bench models: lines come whole, however a stream cuts them", async () => {
  const pieces = ["a\nb", "c\n\u00e4", "\nrest"].map((text) => new TextEncoder().encode(text));
  assertEquals(await Array.fromAsync(linesOf(ReadableStream.from(pieces))), ["a", "bc", "\u00e4"]);
});

Deno.test("bench models: what systems print is no reply", () => {
  const reply = { failure: { verdict: "refused" as const, message: "a\nb" } };
  const line = lineOf(reply);
  assertEquals([line.indexOf("\n"), replyIn(line.trimEnd())], [line.length - 1, reply]);
  assertEquals(['{"failure":{}}', "Loading...", ""].map(replyIn), [
    undefined,
    undefined,
    undefined,
  ]);
});

Deno.test("bench models: options are read, and wrong ones refused", () => {
  const parse = (line: string) =>
    parseModelsOptions(line.split(" ").filter(Boolean)) as ModelsOptions;
  const { models, works, peers } = parse("");
  assertEquals(models.map((model) => "name" in model && model.name), [
    "Gemma-3-270M",
    "StarCoder-1B",
  ]);
  assertEquals(works.map(({ sequences }) => sequences), [1, 16]);
  assertEquals([peers, parse("--no-peers").peers], [true, false]);
  assertEquals(parse("--model a.bin").models, [{ file: "a.bin" }]);
  assertEquals(parse("--sequences 2 --rounds 1 --tokens 2 --prompt 7").works, [
    { sequences: 2, promptTokens: 7, newTokens: 2, rounds: 1 },
  ]);
  assertThrows(() => parse("--model a.bin --layers 2"), RangeError, "leave out --layers");
  assertThrows(() => parse("--models GPT-2"), RangeError, "takes Gemma-3-270M, StarCoder-1B");
  assertThrows(() => parse("--tokens 1"), RangeError, "--tokens takes whole numbers from 2");
  assertStringIncludes(parseModelsOptions(["--help"]) as string, "bench models");
});

testRandomly(
  "bench models: this library in a process of its own, and a model that is not there",
  async (random) => {
    await withModel(random, async ({ folder, model }) => {
      const args = ["--no-peers", "--prompt", "5", "--tokens", "4", "--rounds", "1"];
      const [json, svg, html] = ["json", "svg", "html"].map((type) => `${folder}/rows.${type}`);
      const right = await run(
        runModels,
        "--model",
        model,
        ...["--sequences", "1,2"],
        ...args,
        ...["--json", json, "--svg", svg, "--html", html],
      );
      assertEquals([right.code, right.err], [0, ""]);
      assertMatch(right.out, /model\.bin: 2 sequences together[^]*\nOnehead /);
      const { schema, rows } = JSON.parse(await Deno.readTextFile(json));
      assertEquals(schema, 1);
      for (const { verdict, figures } of rows) {
        assertEquals([verdict, figures.rounds], ["right", 1]);
        assert(figures.firstTokenMs > 0 && figures.residentBytes > 0);
      }
      const missing = await run(runModels, "--model", `${folder}/none.bin`, ...args);
      assertEquals(missing.code, 2);
      assertStringIncludes(missing.err, "none.bin");

      const { promptWork, stepWork, kernels } = rows[0].figures as ModelFigures;
      assert(promptWork.submits > 0 && promptWork.waits > 0 && stepWork.dispatches > 0);
      assertMatch(right.out, /\n\nwhere the time goes [^]*\nOnehead /);
      assertStringIncludes(await Deno.readTextFile(svg), "prefill, tokens/s");
      assertStringIncludes(await Deno.readTextFile(html), "Where the time goes");
      // All that is dispatched is timed, where the device has timestamps.
      if (kernels === null) return assertMatch(right.out, /Onehead: no times of kernels/);
      const sum = (part: "prompt" | "step", of: "milliseconds" | "dispatches") =>
        kernels.reduce((sum, kernel) => sum + kernel[part][of], 0);
      assertAlmostEquals(sum("prompt", "dispatches"), promptWork.dispatches);
      assertAlmostEquals(sum("step", "dispatches"), stepWork.dispatches);
      assert(sum("prompt", "milliseconds") > 0);
      assert(kernels.some(({ name }) => name === "attend"), JSON.stringify(kernels));
    });
  },
);
