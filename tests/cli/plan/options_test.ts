import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { GPUS } from "../../../cli/plan/gpus.ts";
import { MODELS } from "../../../cli/shared/presets.ts";
import { HELP, parseOptions } from "../../../cli/plan/options.ts";

function parse(line: string) {
  const options = parseOptions(line.split(" ").filter((word) => word !== ""));
  assert(typeof options !== "string");
  return options;
}

Deno.test("plan options: what nobody chooses has defaults", () => {
  const { model, gpu, contextLens, batches, kvHeads, dtypes, weightBits } = parse("");
  assertEquals([model, gpu], ["llama-2-7b", "a100-80gb"]);
  assertEquals(contextLens.map((length) => length / 1024), [4, 8, 16, 32, 64, 128]);
  assertEquals(batches, [1, 2, 4, 8, 16, 32, 64]);
  assertEquals(kvHeads, undefined);
  assertEquals(dtypes, ["f16"]);
  assertEquals(weightBits, 16);
});

Deno.test("plan options: lists of numbers, with k for 1024, rising and each once", () => {
  const options = parse("--context 128k,4K,1000,4096 --batch 8,1 --kv-heads 1,8,all,1");
  assertEquals(options.contextLens, [1000, 4096, 131072]);
  assertEquals(options.batches, [1, 8]);
  assertEquals(options.kvHeads, [1, 8, "all"]);
});

Deno.test("plan options: memory in decimal and in binary units", () => {
  const bytes = ["24GB", "24GiB", "1.5gb", "512MiB", "6 GB"].map((size) => {
    const options = parseOptions(["--memory", size]);
    return typeof options === "string" ? NaN : options.memoryBytes;
  });
  assertEquals(bytes, [24e9, 24 * 2 ** 30, 1.5e9, 2 ** 29, 6e9]);
});

Deno.test("plan options: JSON goes to a file or, without one, to the standard output", () => {
  assertEquals(parse("--json out.json").json, "out.json");
  assertEquals(parse("--json").json, "");
  assertEquals(parse("--json --dtype int8,int4").json, "");
  assertEquals(parse("").json, undefined);
});

Deno.test("plan options: the help names every option and every preset", () => {
  assertEquals(parseOptions(["--help"]), HELP);
  assertEquals(parseOptions(["-h"]), HELP);
  const names = [
    "model",
    "config",
    "assume",
    "gpu",
    "memory",
    "context",
    "batch",
    "kv-heads",
    "dtype",
  ];
  const more = ["weights", "json", "svg", "html", "check", "help"];
  for (const name of [...names, ...more]) assertStringIncludes(HELP, `--${name}`);
  for (const { name } of [...MODELS, ...GPUS]) assertStringIncludes(HELP, name.toLowerCase());
});

const MISTAKES: [line: string, kind: typeof TypeError | typeof RangeError, says: string][] = [
  ["--modle gpt-2", TypeError, "--modle"],
  ["gpt-2", TypeError, "gpt-2"],
  ["--model", TypeError, "--model needs a value"],
  ["--svg", TypeError, "--svg needs a value"],
  ["--context ,", TypeError, "--context needs a value"],
  ["--context 0", RangeError, "at least 1"],
  ["--context=-4096", RangeError, "-4096"],
  ["--context 1.5", RangeError, "1.5"],
  ["--context 0.3k", RangeError, "0.3k"],
  ["--context k", RangeError, "current value k"],
  ["--batch many", RangeError, "many"],
  ["--batch=-1", RangeError, "-1"],
  ["--kv-heads 2.5", RangeError, "2.5"],
  ["--kv-heads most", RangeError, "most"],
  ["--dtype f64", RangeError, "f64"],
  ["--weights int2", RangeError, "int2"],
  ["--memory 24", RangeError, "24GB or 24GiB: current value 24"],
  ["--memory=-1GB", RangeError, "-1GB"],
  ["--memory 1.2.3GB", RangeError, "1.2.3GB"],
  ["--model gpt-2 --config a.json", RangeError, "exclude"],
  ["--config a.json --assume sparse", RangeError, "--assume takes dense"],
  ["--assume dense", RangeError, "--assume goes with --config"],
  ["--check a.json --model gpt-2", RangeError, "--check goes alone"],
  ["--rate 5", RangeError, "--rate goes with --fleet"],
  ["--fleet --efficiency 0.5 --step-times a.json", RangeError, "--step-times exclude each other"],
  ["--fleet --rate 0", RangeError, "--rate takes numbers"],
  ["--fleet --answer 9-2", RangeError, "--answer takes tokens"],
  ["--fleet --efficiency 1.5", RangeError, "--efficiency takes numbers"],
  [
    "--fleet --sequences 64 --step-tokens 32",
    RangeError,
    "--step-tokens takes whole numbers of at least 64",
  ],
];

for (const [line, kind, says] of MISTAKES) {
  Deno.test(`plan options: refuses "${line}"`, () => {
    assertThrows(() => parse(line), kind, says);
  });
}
