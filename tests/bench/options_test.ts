import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { HELP, OTHER_COMMANDS, parseOptions } from "../../bench/options.ts";
import { casesByRows } from "../../bench/tune.ts";

function parse(line: string) {
  const options = parseOptions(line.split(" ").filter((word) => word !== ""));
  assert(typeof options !== "string");
  return options;
}

Deno.test("parseOptions() measures every model as MHA and MQA, in both phases, unless told otherwise", () => {
  const { groups } = parse("");
  const models = Map.groupBy(groups.flat(), ({ name }) => name);
  assertEquals(models.size, 10);
  for (const cases of models.values()) {
    for (const phase of ["decode", "prefill"]) {
      const variants = cases.filter((case_) => case_.phase === phase).map(({ variant }) => variant);
      assert(variants.includes("mha") && variants.includes("mqa"));
    }
  }
});

Deno.test("parseOptions() quickly still compares MHA, GQA and MQA of six models in both phases", () => {
  const cases = parse("--quick").groups.flat();
  for (const phase of ["decode", "prefill"]) {
    const models = Map.groupBy(cases.filter((case_) => case_.phase === phase), ({ name }) => name);
    const whole = models.values().filter((cases) =>
      new Set(cases.map(({ variant }) => variant)).size === 3
    );
    assert([...whole].length >= 6);
  }
});

Deno.test("parseOptions() cuts contexts to what a model was trained for", () => {
  const { groups } = parse("--models gpt-2 --phase decode");
  assertEquals(groups.map(([{ contextLen }]) => contextLen), [512, 1024]);
});

Deno.test("parseOptions() measures latent attention with values within keys and apart", () => {
  const [group] = parse(
    "--models deepseek-v3 --phase decode --context 4096 --impl fused",
  ).groups;
  const sizes = { numHeads: 128, numKvHeads: 1, headDim: 576, valueDim: 512, contextLen: 4096 };
  assertEquals(
    group.map(({ variant, valuesAre }) => [variant, valuesAre]),
    [["mqa", undefined], ["mla", "keys"]],
  );
  for (const case_ of group) assertEquals({ ...case_, ...sizes }, case_);
});

Deno.test("parseOptions() takes a shape of one's own, with lists", () => {
  const { groups } = parse(
    "--heads 8 --kv-heads 1,8,2 --head-dim 64 --context 100,200 --batch 1,3 --impl fused",
  );
  assertEquals(groups.length, 8);
  const [decode] = groups;
  assertEquals(decode.map(({ variant }) => variant), ["mha", "gqa", "mqa"]);
  assertEquals(decode[0], {
    name: "8x64",
    phase: "decode",
    variant: "mha",
    impl: "fused",
    dtype: "f32",
    batch: 1,
    numHeads: 8,
    numKvHeads: 8,
    headDim: 64,
    seqLen: 1,
    contextLen: 100,
  });
});

Deno.test("parseOptions() takes numbers of new tokens", () => {
  const { groups } = parse("--heads 4 --context 64 --seq 1,16");
  assertEquals(groups.map(([{ phase, seqLen }]) => `${phase} ${seqLen}`), [
    "decode 1",
    "prefill 16",
  ]);
});

Deno.test("parseOptions() takes files, dtypes and phases", () => {
  const options = parse("--json a.json --svg=b.svg --dtype f16,f32 --phase decode --quick");
  assertEquals([options.json, options.svg], ["a.json", "b.svg"]);
  assertEquals(options.dtypes, ["f16", "f32"]);
  assertEquals(options.phases, ["decode"]);
});

Deno.test("parseOptions() compares storages of keys and values in one group", () => {
  const line = "--heads 8 --kv-heads 2 --phase decode --context 64 --impl fused --dtype f16";
  const [group, ...others] = parse(`${line} --kv-dtype f16,int8,int4`).groups;
  assertEquals(others, []);
  assertEquals(group.map(({ dtype, kvDtype }) => [dtype, kvDtype]), [
    ["f16", undefined],
    ["f16", "int8"],
    ["f16", "int4"],
  ]);
});

Deno.test("parseOptions() tunes the fused kernels, and says where to", () => {
  const { tune, json, groups } = parse("tune --models gpt-2,llama-2-7b --phase decode");
  assertEquals(json, "tuning.json");
  assert(groups.flat().every(({ impl }) => impl === "fused"));
  const byRows = casesByRows(groups.flat(), tune!.shapes);
  // MHA of both, groups of 3, of 4, and all 12 and 32 heads.
  assertEquals([...byRows.keys()], [1, 2, 4, 8, 32]);
  assertEquals(parse("tune --json mine.json").json, "mine.json");
  assert(parse("tune --quick").tune!.totalMs < tune!.totalMs);
  assertEquals([parse("").tune, parse("").json], [undefined, undefined]);
});

Deno.test("parseOptions() measures beside peers, quickly at one model, and tries features", () => {
  assertEquals([parse("").peers, parse("--peers").peers, parse("--peers").matrix], [
    ...[false, true, false],
  ]);
  const names = parse("--peers --quick").groups.flat().map(({ name }) => name);
  assertEquals(new Set(names).size, 1);
  const { groups } = parse("--peers --quick --heads 32 --kv-heads 32,8,1 --context 4096 --seq 1");
  assertEquals(groups.flat().map(({ numKvHeads }) => numKvHeads), [32, 8, 1]);
  assertEquals([parse("matrix").matrix, parse("matrix --json a.json").json], [true, "a.json"]);
});

Deno.test("parseOptions() explains plans, or kernels", () => {
  const explained = ["", "explain", "explain --wgsl --models gpt-2"].map((line) =>
    parse(line).explain
  );
  assertEquals(explained, [undefined, "plan", "wgsl"]);
});

Deno.test("parseOptions() helps, and the help names every option", () => {
  assertEquals(parseOptions(["--help"]), HELP);
  assertEquals(parseOptions(["-h"]), HELP);
  const names = [
    "models",
    "phase",
    "dtype",
    "kv-dtype",
    "impl",
    "context",
    "batch",
    "quick",
    "heads",
  ];
  const more = ["kv-heads", "head-dim", "seq", "input", "json", "svg", "wgsl", "peers", "help"];
  for (const name of [...names, ...more]) assertStringIncludes(HELP, `--${name}`);
});

const MISTAKES: [line: string, kind: typeof TypeError | typeof RangeError, says: string][] = [
  ["--modles gpt-2", TypeError, "--modles"],
  ["gpt-2", TypeError, "gpt-2"],
  ["--models gpt-9", RangeError, "gpt-9"],
  ["--models", TypeError, "--models needs a value"],
  ["--json", TypeError, "--json needs a value"],
  ["--phase sleep", RangeError, "decode, prefill"],
  ["--dtype f64", RangeError, "f64"],
  ["--kv-dtype f64", RangeError, "f32, f16, int8, int4"],
  ["--kv-dtype int4 --peers", RangeError, "leave out --kv-dtype"],
  ["--input a.safetensors --kv-dtype int4", RangeError, "leave out --kv-dtype"],
  ["tune --kv-dtype int4", RangeError, "--kv-dtype is of no use there"],
  ["--impl magic", RangeError, "magic"],
  ["--context 0", RangeError, "at least 1"],
  ["--context 1.5", RangeError, "1.5"],
  ["--context NaN", RangeError, "NaN"],
  ["--batch many", RangeError, "many"],
  ["--heads 7 --kv-heads 2", RangeError, "heads=7, kv-heads=2"],
  ["--heads 8 --models gpt-2", RangeError, "exclude"],
  ["--kv-heads 2", RangeError, "needs --heads"],
  ["--heads 8 --context 16 --seq 17", RangeError, "seq=17, context=16"],
  ["--input a.safetensors --heads 8", RangeError, "leave out --heads"],
  ["tune --impl staged", RangeError, "--impl is of no use there"],
  ["tune --svg a.svg", RangeError, "--svg is of no use there"],
  ["tune --peers", RangeError, "--peers is of no use there"],
  ["matrix --peers", RangeError, "--peers is of no use there"],
  ["matrix --quick", RangeError, "--quick is of no use there"],
  ["matrix --heads 8", RangeError, "--heads is of no use there"],
  ["explain --peers", RangeError, "--peers is of no use there"],
  ["explain --json a.json", RangeError, "--json is of no use there"],
  ["--wgsl", RangeError, "--wgsl is of no use there"],
  ["tune --wgsl", RangeError, "--wgsl is of no use there"],
  ["--input a.safetensors --peers", RangeError, "leave out --peers"],
  ["--quick tune", TypeError, "tune is unknown (a command stands first)"],
  ["explian", TypeError, "explian is unknown (did you mean explain?)"],
  ["explain --input a.safetensors", RangeError, "--input is of no use there"],
];

for (const [line, kind, says] of MISTAKES) {
  Deno.test(`parseOptions() refuses "${line}"`, () => {
    assertThrows(() => parse(line), kind, says);
  });
}

Deno.test("parseOptions() knows the commands that the help lists", () => {
  const listed = [...HELP.matchAll(/^ +deno run bench ([a-z]+)/gm)].map(([, name]) => name);
  for (const name of OTHER_COMMANDS) assert(listed.includes(name), name);
  for (const name of listed) {
    const says = `${name} is unknown (a command stands first)`;
    assertThrows(() => parse(`--quick ${name}`), TypeError, says);
  }
  assertThrows(() => parse("trian"), TypeError, "trian is unknown (did you mean train?)");
});
