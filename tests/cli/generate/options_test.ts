import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { HELP, parseOptions } from "../../../cli/generate/options.ts";

function parse(line: string) {
  const options = parseOptions(line.split(" ").filter((word) => word !== ""));
  assert(typeof options !== "string");
  return options;
}

Deno.test("generate's options: a model is enough", () => {
  assertEquals(parse("--model a.bin"), {
    ...{ model: "a.bin", tokenizer: undefined, kvHeads: undefined, pool: "mean" },
    ...{ prompts: undefined, cluster: undefined, shards: undefined, out: undefined },
    ...{ prompt: "", tokens: 128, sampling: { temperature: 0, topP: 1, seed: 0 } },
    ...{ kvDtype: "f32", calibrate: undefined, weightDtype: "f32", speculate: undefined },
    ...{ window: undefined, sinks: undefined },
  });
});

Deno.test("generate's options: all of them", () => {
  const line = "--model m --tokenizer t --prompt Once --tokens 9 --kv-heads 1 --pool first " +
    "--cache-dtype int4 --calibrate a.txt --weight-dtype int8 --window 32 --sinks 4 --temperature 0.8 --top-p 0.95 --seed 7" +
    " --speculate lookup";
  assertEquals(parse(line), {
    ...{ model: "m", tokenizer: "t", kvHeads: 1, pool: "first", prompt: "Once", tokens: 9 },
    ...{ prompts: undefined, cluster: undefined, shards: undefined, out: undefined },
    ...{ sampling: { temperature: 0.8, topP: 0.95, seed: 7 }, speculate: "lookup" },
    ...{ kvDtype: "int4", calibrate: "a.txt", weightDtype: "int8", window: 32, sinks: 4 },
  });
  assertEquals(parse("--model m --prompt=").prompt, "");
  const { shards } = parse("--model m --nats nats://h --shards 3 --copies 2 --weight-dtype f16");
  assertEquals(shards, { shards: 3, copies: 2 });
});

Deno.test("generate's options: help names every one", () => {
  assertEquals([parseOptions(["--help"]), parseOptions(["-h"])], [HELP, HELP]);
  const names = [
    "model",
    "tokenizer",
    "kv-heads",
    "pool",
    "prompt",
    "prompts",
    "out",
    "tokens",
    "temperature",
    "top-p",
  ];
  const more = [
    "seed",
    "cache-dtype",
    "calibrate",
    "weight-dtype",
    "window",
    "sinks",
    "nats",
    "nats-prefix",
    "shards",
    "copies",
    "help",
  ];
  for (const name of [...names, ...more]) assertStringIncludes(HELP, `--${name}`);
});

const MISTAKES: [line: string, kind: typeof TypeError | typeof RangeError, says: string][] = [
  ["", TypeError, "without --model"],
  ["--model m --tokens 0", RangeError, "at least 1"],
  ["--model m --temperature=-1", RangeError, "at least 0"],
  ["--model m --top-p 0", RangeError, "--top-p"],
  ["--model m --top-p 1.5", RangeError, "1.5"],
  ["--model m --seed 4294967296", RangeError, "--seed"],
  ["--model m --cache-dtype f64", RangeError, "f32, f16, int8, int4"],
  ["--model m --weight-dtype int4", RangeError, "f32, f16, int8: current value int4"],
  ["--model m --pool median --kv-heads 1", RangeError, "mean, first"],
  ["--model m --prompts p", RangeError, "--prompts and --out need each other"],
  ["--model m --pool mean", RangeError, "needs --kv-heads"],
  ["--model m --sinks 4", RangeError, "needs --window"],
  ["--model m --calibrate a.txt --cache-dtype f16", RangeError, "--calibrate needs --cache-dtype"],
  ["--model m --nats nats://h", RangeError, "needs --prompts"],
  ["--model m --shards 2", RangeError, "--shards needs --nats"],
  ["--model m --copies 2 --nats nats://h --prompts p --out o", RangeError, "needs --shards"],
  ["--model m --shards 2 --nats nats://h --prompts p --out o", RangeError, "without --prompts"],
  ["--model m --shards 2 --nats nats://h --cache-dtype f16", RangeError, "goes without --nats"],
  ["--model m --shard 2 --nats nats://h", TypeError, "did you mean --shards?"],
  ["--model m --prompts p --out o --nats nats://h --window 4", RangeError, "goes without --nats"],
  ["--model m --prompts p --out o --nats nats://a:b@h", RangeError, "from the environment"],
  ["--model m --speed", TypeError, "--speed is unknown"],
];

for (const [line, kind, says] of MISTAKES) {
  Deno.test(`generate's options: refuses "${line}"`, () => {
    assertThrows(() => parse(line), kind, says);
  });
}
