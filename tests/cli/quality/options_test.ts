import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { HELP, parseOptions } from "../../../cli/quality/options.ts";

function parse(line: string) {
  const options = parseOptions(line.split(" ").filter((word) => word !== ""));
  assert(typeof options !== "string");
  return options;
}

Deno.test("quality's options: a model is enough", () => {
  const { kvDtypes, windows, sinks, kvHeads, pools, seed, text } = parse("--model a.bin");
  assertEquals(kvDtypes, ["f32", "f16", "int8", "int4"]);
  assertEquals([windows, kvHeads, text], [undefined, undefined, undefined]);
  assertEquals([sinks, pools, seed], [[0, 4], ["mean", "first"], 0]);
  assertEquals(parse("--model a.bin --pool merged").calibration, 8192);
});

Deno.test("quality's options: all of them", () => {
  const line = "--model m --tokenizer t --text a.txt --tokens 99 --seed 7 --cache-dtype int8,f16 " +
    "--cache-transform rotated,none " +
    "--window 32,8 --sinks 2 --kv-heads 1,2 --pool first,merged --calibration 64 --json --svg out --layer 0 --heads 3,1";
  assertEquals(parse(line), {
    ...{
      model: "m",
      tokenizer: "t",
      text: "a.txt",
      tokens: 99,
      seed: 7,
      kvDtypes: ["int8", "f16"],
      transforms: ["rotated", "none"],
    },
    ...{
      windows: [32, 8],
      sinks: [2],
      kvHeads: [1, 2],
      pools: ["first", "merged"],
      calibration: 64,
      json: "",
      html: undefined,
      svg: "out",
    },
    ...{ layer: 0, heads: [3, 1], cluster: undefined },
  });
  assertEquals(parse("--model m --json a.json").json, "a.json");
});

Deno.test("quality's options: help names every one", () => {
  assertEquals([parseOptions(["--help"]), parseOptions(["-h"])], [HELP, HELP]);
  const names = ["model", "tokenizer", "text", "tokens", "seed", "cache-dtype", "cache-transform"];
  const more = [
    "window",
    "sinks",
    "kv-heads",
    "pool",
    "calibration",
    "json",
    "svg",
    "layer",
    "heads",
    "help",
  ];
  for (const name of [...names, ...more]) assertStringIncludes(HELP, `--${name}`);
});

const MISTAKES: [line: string, kind: typeof TypeError | typeof RangeError, says: string][] = [
  ["", TypeError, "without --model"],
  ["--model m --tokens 1", RangeError, "at least 2"],
  ["--model m --text", TypeError, "--text needs a value"],
  ["--model m --cache-dtype f64", RangeError, "f64"],
  ["--model m --cache-transform int4", RangeError, "none, rotated, calibrated"],
  ["--model m --window 0", RangeError, "at least 1"],
  ["--model m --pool all", RangeError, "mean, first, merged"],
  ["--model m --pool merged --calibration 1", RangeError, "at least 2"],
  ["--model m --calibration 64", RangeError, "--calibration needs --pool merged"],
  ["--model m --heads 1", RangeError, "--heads needs --svg"],
  ["--model m --layer 1", RangeError, "--layer needs --svg"],
];

for (const [line, kind, says] of MISTAKES) {
  Deno.test(`quality's options: refuses "${line}"`, () => {
    assertThrows(() => parse(line), kind, says);
  });
}

Deno.test("quality's options: workers, and how long they are waited for", () => {
  const { cluster } = parse("--model m --nats nats://h --nats-prefix mine --wait 2.5");
  assertEquals(cluster, { url: "nats://h", prefix: "mine", wait: 2500 });
  assertEquals(parse("--model m --nats nats://h").cluster?.wait, 60_000);
  assertThrows(() => parse("--model m --wait 3"), RangeError, "--wait needs --nats");
  assertThrows(() => parse("--model m --nats-prefix a"), RangeError, "--nats-prefix needs --nats");
  for (const name of ["nats", "nats-prefix", "wait"]) assertStringIncludes(HELP, `--${name}`);
});
