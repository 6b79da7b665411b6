// What `tools/` does without a machine: command lines, import maps, and the stand-ins for `@std`. Where JSR is reached,
// `@std/...` below is the real thing, and the stand-ins are held against it.

import * as std from "@std/assert";
import { parseArgs } from "@std/cli/parse-args";
import config from "../../deno.json" with { type: "json" };
import offline from "../../tools/offline/import_map.json" with { type: "json" };
import * as standIn from "../../tools/offline/assert.ts";
import { parseArgs as parseArgsStandIn } from "../../tools/offline/parse_args.ts";
import { jsrSpecifiers } from "../../tools/jsr.ts";
import { commandsOf, type Tasks, withImportMap } from "../../tools/tasks.ts";

const { assertEquals, assertThrows } = std;

const TASKS: Tasks = {
  bench: { description: "", command: "deno run --allow-read bench/main.ts" },
  check: { description: "", command: "deno check ." },
  ok: { description: "", command: "deno fmt --check && deno task check && deno publish --dry-run" },
  piped: { description: "", command: "deno run a.ts | head" },
  node: { description: "", command: "deno check && node a.js" },
};

Deno.test("commandsOf: the user's options go to the end, as they are", () => {
  assertEquals(commandsOf("bench", TASKS, ["--out", "a b.json"]), [
    ["run", "--allow-read", "bench/main.ts", "--out", "a b.json"],
  ]);
});

Deno.test("commandsOf: a chain is taken apart, and the tasks in it", () => {
  assertEquals(commandsOf("ok", TASKS), [
    ["fmt", "--check"],
    ["check", "."],
    ["publish", "--dry-run"],
  ]);
});

Deno.test("commandsOf: refuses what it cannot run, and says why", () => {
  assertThrows(() => commandsOf("speed", TASKS), RangeError, "the tasks are bench, check, ok");
  assertThrows(() => commandsOf("toString", TASKS), RangeError, "the tasks are");
  assertThrows(() => commandsOf("piped", TASKS), RangeError, "needs a shell");
  assertThrows(() => commandsOf("node", TASKS), RangeError, '"node" is not deno');
});

Deno.test("commandsOf: serves every task of deno.json", () => {
  for (const name of Object.keys(config.tasks)) commandsOf(name, config.tasks);
});

Deno.test("withImportMap: goes right after the subcommands that resolve imports, and nowhere else", () => {
  const map = (args: string[]) => withImportMap(args, "m.json");
  assertEquals(map(["run", "-A", "a.ts"]), ["run", "--import-map=m.json", "-A", "a.ts"]);
  assertEquals(map(["test"]), ["test", "--import-map=m.json"]);
  assertEquals(map(["check", "."]), ["check", "--import-map=m.json", "."]);
  assertEquals(map(["fmt", "--check"]), ["fmt", "--check"]);
  assertEquals(map(["publish", "--dry-run"]), ["publish", "--dry-run"]);
});

Deno.test("import_map.json: same npm entries as deno.json, a stand-in for every JSR entry, no more", () => {
  const isNpm = ([, target]: [string, string]) => target.startsWith("npm:");
  const entries: [string, string][] = Object.entries(config.imports);
  const offlineEntries: [string, string][] = Object.entries(offline.imports);
  // Paths inside a package are part of an entry of deno.json, and entries of their own in an import map.
  const isInside = ([name]: [string, string]) => name.endsWith("/");
  const npm = offlineEntries.filter(isNpm);
  assertEquals(npm.filter((entry) => !isInside(entry)), entries.filter(isNpm));
  for (const [name, target] of npm.filter(isInside)) {
    const whole = config.imports[name.slice(0, -1) as keyof typeof config.imports];
    assertEquals(target, `${whole.replace("npm:", "npm:/")}/`);
  }

  const jsr = entries.filter((entry) => !isNpm(entry)).map(([name]) => name);
  const standIns = offlineEntries.filter((entry) => !isNpm(entry)).map(([name]) => name);
  const serves = (standIn: string, name: string) => `${standIn}/`.startsWith(`${name}/`);
  assertEquals(jsr.filter((name) => !standIns.some((standIn) => serves(standIn, name))), []);
  assertEquals(standIns.filter((standIn) => !jsr.some((name) => serves(standIn, name))), []);
});

Deno.test("jsrSpecifiers: every JSR package of deno.json, with the path that is imported", () => {
  const imports = {
    "@std/a": "jsr:@std/a@^1.0.0",
    "@std/ab": "jsr:@std/ab@1",
    "n": "npm:n@^1.0.0",
  };
  const standIns = { "@std/a": "./a.ts", "@std/ab/c-d": "./c_d.ts", "n": "npm:n@^1.0.0" };
  assertEquals(jsrSpecifiers(imports, standIns), ["jsr:@std/a@^1.0.0", "jsr:@std/ab@1/c-d"]);
});

const abc = new TypeError("abc");
const throwing = (error: unknown) => () => {
  throw error;
};
const rejecting = (error: unknown) => () => Promise.reject(error);

const EQUAL = [
  [1, 1],
  [NaN, NaN],
  [{ a: 1, b: [NaN] }, { b: [NaN], a: 1 }],
  [new Float32Array([0, NaN]), new Float32Array([0, NaN])],
  [new Map([["a", { b: 1 }]]), new Map([["a", { b: 1 }]])],
];
const UNEQUAL = [
  [1, 2],
  [1, "1"],
  [null, undefined],
  [{}, []],
  [{}, { a: undefined }],
  [[1, [2, { a: NaN }]], [1, [2, { a: 0 }]]],
  [new Float32Array([1, NaN]), new Float32Array([1, 2])],
  [new Float32Array([1]), new Float64Array([1])],
  [new Map([["a", { b: 1 }]]), new Map([["a", { b: 2 }]])],
  [abc, new TypeError("b")],
];
const NAN_PAIRS = [[NaN, 1], [1, NaN]];

/** Arguments with which each assertion passes, and with which it fails. */
const ASSERTIONS: Record<string, { passes: unknown[][]; fails: unknown[][] }> = {
  assert: { passes: [[true], [1], [{}]], fails: [[false], [0], [NaN], [""], [null]] },
  assertExists: { passes: [[0], [""], [false]], fails: [[null], [undefined]] },
  assertStrictEquals: {
    passes: [[1, 1], [NaN, NaN], [abc, abc]],
    fails: [[1, 2], [0, -0], [{}, {}], [NaN, 1]],
  },
  assertEquals: { passes: EQUAL, fails: UNEQUAL },
  assertNotEquals: { passes: UNEQUAL, fails: EQUAL },
  assertAlmostEquals: {
    passes: [[1, 1], [1, 1 + 1e-8], [0.1, 0.2, 0.11], [Infinity, Infinity]],
    fails: [
      ...NAN_PAIRS,
      [1, 1 + 1e-6],
      [0.1, 0.2, 0.05],
      [1, 1.1, NaN],
      [NaN, 1, Infinity],
      [Infinity, -Infinity],
      [1e300, Infinity],
    ],
  },
  assertGreater: { passes: [[2, 1]], fails: [[1, 1], [1, 2], ...NAN_PAIRS] },
  assertGreaterOrEqual: { passes: [[2, 1], [1, 1]], fails: [[1, 2], [NaN, NaN], ...NAN_PAIRS] },
  assertLess: { passes: [[1, 2]], fails: [[1, 1], [2, 1], ...NAN_PAIRS] },
  assertLessOrEqual: { passes: [[1, 2], [1, 1]], fails: [[2, 1], [NaN, NaN], ...NAN_PAIRS] },
  assertStringIncludes: { passes: [["abc", "b"], ["abc", ""]], fails: [["abc", "d"], ["", "a"]] },
  assertMatch: { passes: [["abc", /b/]], fails: [["abc", /d/]] },
  assertInstanceOf: { passes: [[abc, TypeError], [abc, Error]], fails: [[abc, Date], [1, Number]] },
  assertThrows: {
    passes: [[throwing(1)], [throwing(abc), Error], [throwing(abc), TypeError, "bc"]],
    fails: [
      [() => abc],
      [() => abc, Error],
      [throwing(abc), RangeError],
      [throwing(abc), TypeError, "d"],
      [throwing("abc"), Error],
    ],
  },
  assertRejects: {
    passes: [[rejecting(1)], [rejecting(abc), Error], [rejecting(abc), TypeError, "bc"]],
    fails: [
      [() => Promise.resolve(abc)],
      [() => Promise.resolve(abc), Error],
      [() => abc],
      [rejecting(abc), RangeError],
      [rejecting(abc), TypeError, "d"],
      [rejecting("abc"), Error],
    ],
  },
};

/** Throws by itself: an assertion that is on trial cannot be its own judge. */
async function judge(assertions: object, Failure: new (message: string) => Error) {
  for (const [name, { passes, fails }] of Object.entries(ASSERTIONS)) {
    for (const args of [...passes, ...fails]) {
      const error = await failureOf(() => Reflect.get(assertions, name)(...args));
      if (passes.includes(args) ? error === undefined : error instanceof Failure) continue;
      throw new Error(`Wrong verdict: ${name}(${args.map((arg) => Deno.inspect(arg)).join(", ")})`);
    }
  }
}

async function failureOf(fn: () => unknown): Promise<unknown> {
  try {
    await fn();
  } catch (error) {
    return error;
  }
}

Deno.test("assert stand-ins: every one passes and fails as it must", async () => {
  await judge(standIn, standIn.AssertionError);
  const { AssertionError: _, ...functions } = standIn;
  assertEquals(Object.keys(ASSERTIONS).toSorted(), Object.keys(functions).toSorted());
});

Deno.test("assert stand-ins: the originals give the same verdicts", async () => {
  await judge(std, std.AssertionError);
});

Deno.test("assert stand-ins: NaN is not close to NaN", () => {
  const compare = () => standIn.assertAlmostEquals(NaN, NaN);
  assertThrows(compare, standIn.AssertionError, "NaN is not within");
});

Deno.test("assert stand-ins: what was thrown is returned, with its type", async () => {
  const thrown: TypeError = standIn.assertThrows(throwing(abc), TypeError, "abc");
  const rejected: TypeError = await standIn.assertRejects(rejecting(abc), TypeError, "abc");
  if (thrown !== abc || rejected !== abc) throw new Error("another error was returned");
});

/** Parses with the options as the bench declares them. */
function parse(parseArgs: typeof parseArgsStandIn, args: string[]) {
  const undeclared: string[] = [];
  const { out, size, quick, help } = parseArgs(args, {
    string: ["out", "size"],
    boolean: ["quick", "help"],
    alias: { help: "h" },
    unknown: (arg) => undeclared.push(arg),
  });
  const values: [string | undefined, string | undefined, boolean, boolean] = [
    out,
    size,
    quick,
    help,
  ];
  return [...values, undeclared];
}

Deno.test("parseArgs stand-in: parses like @std/cli", () => {
  const rows: [args: string, ...is: ReturnType<typeof parse>][] = [
    ["", undefined, undefined, false, false, []],
    ["--out a --size 007", "a", "007", false, false, []],
    ["--out=a=b --size=-5", "a=b", "-5", false, false, []],
    ["--out a --out b", "b", undefined, false, false, []],
    ["--quick --help", undefined, undefined, true, true, []],
    ["--quick=false -h", undefined, undefined, false, true, []],
    ["--out", "", undefined, false, false, []],
    ["--out= --size", "", "", false, false, []],
    ["--out --quick", "", undefined, true, false, []],
    ["--out --size --size", "", "", false, false, []],
    ["--size xxout --quick", undefined, "xxout", true, false, []],
    ["--out -5", "", undefined, false, false, ["-5"]],
    ["--out -- --size", "", undefined, false, false, []],
    ["--out a b --quick c", "a", undefined, true, false, ["b", "c"]],
    ["--typo=1 --no-quick -x --__proto__", undefined, undefined, false, false, [
      "--typo=1",
      "--no-quick",
      "-x",
      "--__proto__",
    ]],
  ];
  for (const [args, ...is] of rows) {
    const list = args.split(" ").filter(Boolean);
    assertEquals(parse(parseArgsStandIn, list), is, args);
    assertEquals(parse(parseArgs as typeof parseArgsStandIn, list), is, `@std/cli: ${args}`);
  }
});
