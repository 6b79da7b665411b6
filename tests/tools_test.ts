// What `tools/` does without a machine: command lines, the offline import map, and the stand-ins for `@std`.
// Where JSR is reached, `@std/...` below is the real thing, and the stand-ins are held against it.

import * as std from "@std/assert";
import { parseArgs as stdParseArgs } from "@std/cli/parse-args";
import config from "../deno.json" with { type: "json" };
import offline from "../tools/offline/import_map.json" with { type: "json" };
import * as standIn from "../tools/offline/assert.ts";
import { parseArgs } from "../tools/offline/parse_args.ts";
import { commandsOf, type Tasks, withImportMap } from "../tools/tasks.ts";

const { assertEquals, assertStringIncludes, assertThrows } = std;

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
  assertEquals(offlineEntries.filter(isNpm), entries.filter(isNpm));

  const jsr = entries.filter((entry) => !isNpm(entry)).map(([name]) => name);
  const standIns = offlineEntries.filter((entry) => !isNpm(entry)).map(([name]) => name);
  const serves = (standIn: string, name: string) => `${standIn}/`.startsWith(`${name}/`);
  assertEquals(jsr.filter((name) => !standIns.some((standIn) => serves(standIn, name))), []);
  assertEquals(standIns.filter((standIn) => !jsr.some((name) => serves(standIn, name))), []);
});

type Assertion = (...args: unknown[]) => unknown;
type Rows = Record<string, { passes: unknown[][]; fails: unknown[][] }>;

class Hidden {
  #value: number;
  constructor(value: number) {
    this.#value = value;
  }
  get value() {
    return this.#value;
  }
}
const circle = (value: number) => {
  const ring: Record<string, unknown> = { value };
  return Object.assign(ring, { ring });
};
const throwing = (error: unknown) => () => {
  throw error;
};
const rejecting = (error: unknown) => () => Promise.reject(error);
const abc = new TypeError("abc");

const UNEQUAL: unknown[][] = [
  [1, 2],
  [1, "1"],
  [null, undefined],
  [{}, []],
  [{}, { a: undefined }],
  [[1, 2], [1, 2, 3]],
  [[1, [2, { a: NaN }]], [1, [2, { a: 0 }]]],
  [new Hidden(1), new Hidden(2)],
  [new Hidden(1), { value: 1 }],
  [circle(1), circle(2)],
  [new Float32Array([1, NaN]), new Float32Array([1, 2])],
  [new Float32Array([1, 2]), new Float32Array([1])],
  [new Float32Array([1]), new Float64Array([1])],
  [new Uint8Array([1]).buffer, new Uint8Array([2]).buffer],
  [new Set([1, 2]), new Set([1, 3])],
  [new Set([{ a: 1 }]), new Set([{ a: 2 }])],
  [new Map([["a", [1]]]), new Map([["a", [2]]])],
  [new Date(0), new Date(1)],
  [/a/, /a/g],
  [new Error("a"), new Error("b")],
];
const EQUAL: unknown[][] = [
  [1, 1],
  [0, -0],
  [NaN, NaN],
  [{ a: 1, b: [NaN] }, { b: [NaN], a: 1 }],
  [Object.create(null), {}],
  [new Hidden(1), new Hidden(1)],
  [circle(1), circle(1)],
  [new Float32Array([0, NaN]), new Float32Array([-0, NaN])],
  [new Uint8Array([1]).buffer, new Uint8Array([1]).buffer],
  [new Set([{ a: 1 }, 2]), new Set([2, { a: 1 }])],
  [new Map([[{ a: 1 }, 2]]), new Map([[{ a: 1 }, 2]])],
  [new Date(NaN), new Date(NaN)],
];

const ASSERTIONS: Rows = {
  fail: { passes: [], fails: [[], ["why"]] },
  assert: { passes: [[true], [1], [{}]], fails: [[false], [0], [NaN], [""], [null]] },
  assertFalse: { passes: [[false], [0], [NaN], [null]], fails: [[true], [1], ["a"]] },
  assertExists: { passes: [[0], [""], [false], [NaN]], fails: [[null], [undefined]] },
  assertStrictEquals: {
    passes: [[1, 1], [NaN, NaN], [abc, abc]],
    fails: [[1, 2], [0, -0], [{}, {}], [NaN, 1]],
  },
  assertEquals: { passes: EQUAL, fails: UNEQUAL },
  assertNotEquals: { passes: UNEQUAL, fails: EQUAL },
  assertAlmostEquals: {
    passes: [
      [1, 1],
      [1, 1 + 1e-8],
      [0.1, 0.2, 0.11],
      [NaN, NaN],
      [Infinity, Infinity],
      [1, 3, Infinity],
    ],
    fails: [
      [NaN, 1],
      [1, NaN],
      [1, 1 + 1e-6],
      [0, 1e-8],
      [0.1, 0.2, 0.05],
      [1, 1.1, NaN],
      [NaN, 1, Infinity],
      [Infinity, -Infinity],
      [1e300, Infinity],
    ],
  },
  assertGreater: { passes: [[2, 1], [2n, 1n]], fails: [[1, 1], [1, 2], [NaN, 1], [1, NaN]] },
  assertGreaterOrEqual: { passes: [[2, 1], [1, 1]], fails: [[1, 2], [NaN, 1], [NaN, NaN]] },
  assertLess: { passes: [[1, 2], [1n, 2n]], fails: [[1, 1], [2, 1], [NaN, 1], [1, NaN]] },
  assertLessOrEqual: { passes: [[1, 2], [1, 1]], fails: [[2, 1], [NaN, 1], [NaN, NaN]] },
  assertStringIncludes: { passes: [["abc", "b"], ["abc", ""]], fails: [["abc", "d"], ["", "a"]] },
  assertMatch: { passes: [["abc", /b/]], fails: [["abc", /d/]] },
  assertInstanceOf: { passes: [[abc, TypeError], [abc, Error]], fails: [[abc, Date], [1, Number]] },
  assertIsError: {
    passes: [[abc], [abc, TypeError, "b"], [abc, Error, /c$/]],
    fails: [["abc"], [abc, RangeError], [abc, TypeError, "d"], [abc, Error, /d/]],
  },
  assertThrows: {
    passes: [
      [throwing(abc)],
      [throwing(1), "why"],
      [throwing(undefined)],
      [throwing(abc), Error],
      [throwing(abc), TypeError, "bc"],
    ],
    fails: [
      [() => abc],
      [() => abc, "why"],
      [() => abc, Error],
      [throwing(abc), RangeError],
      [throwing(abc), TypeError, "d"],
      [throwing("abc"), Error],
    ],
  },
  assertRejects: {
    passes: [
      [rejecting(abc)],
      [rejecting(1), "why"],
      [rejecting(undefined)],
      [rejecting(abc), Error],
      [rejecting(abc), TypeError, "bc"],
    ],
    fails: [
      [() => Promise.resolve(abc)],
      [() => Promise.resolve(abc), Error],
      [() => undefined],
      [throwing(abc)],
      [throwing(abc), TypeError],
      [rejecting(abc), RangeError],
      [rejecting(abc), TypeError, "d"],
      [rejecting("abc"), Error],
    ],
  },
};

/** Throws by itself: an assertion that is on trial cannot be its own judge. */
async function judge(assertions: Record<string, unknown>, Failure: typeof standIn.AssertionError) {
  const wrong: string[] = [];
  for (const [name, { passes, fails }] of Object.entries(ASSERTIONS)) {
    const rows = [...passes.map((args) => [args, true]), ...fails.map((args) => [args, false])];
    for (const [args, shouldPass] of rows as [unknown[], boolean][]) {
      let error: unknown;
      let passed = true;
      try {
        await (assertions[name] as Assertion)(...args);
      } catch (thrown) {
        [error, passed] = [thrown, false];
      }
      const asItMust = passed === shouldPass && (passed || error instanceof Failure);
      if (!asItMust) wrong.push(`${name}(${args.map((arg) => Deno.inspect(arg)).join(", ")})`);
    }
  }
  if (wrong.length > 0) throw new Error(`Wrong verdict:\n${wrong.join("\n")}`);
}

Deno.test("assert stand-ins: every one passes and fails as it must", async () => {
  await judge(standIn, standIn.AssertionError);
});

Deno.test("assert stand-ins: the module that @std/assert resolves to gives the same verdicts", async () => {
  await judge(std, std.AssertionError);
});

Deno.test("assert stand-ins: none is left untried, and each has the type of its original", () => {
  const originals: Pick<typeof std, keyof typeof standIn> = standIn;
  const functions = Object.keys(originals).filter((name) =>
    !["AssertionError", "equal"].includes(name)
  );
  if (functions.toSorted().join() !== Object.keys(ASSERTIONS).toSorted().join()) {
    throw new Error(`Tried: ${Object.keys(ASSERTIONS)}; there are: ${functions}`);
  }
});

Deno.test("assert stand-ins: equal agrees with assertEquals", () => {
  const wrong = [
    ...EQUAL.filter(([a, b]) => standIn.equal(a, b) !== true),
    ...UNEQUAL.filter(([a, b]) => standIn.equal(a, b) !== false),
  ];
  if (wrong.length > 0) throw new Error(Deno.inspect(wrong));
});

Deno.test("assert stand-ins: what was thrown is returned, with its type", async () => {
  const thrown: TypeError = standIn.assertThrows(throwing(abc), TypeError, "abc");
  const rejected: TypeError = await standIn.assertRejects(rejecting(abc), TypeError, "abc");
  if (thrown !== abc || rejected !== abc) throw new Error("another error was returned");
});

Deno.test("assert stand-ins: the message tells where values differ", () => {
  const error = standIn.assertThrows(
    () => standIn.assertEquals({ a: [1, { b: 2 }] }, { a: [1, { b: 3 }] }, "why"),
    Error,
  );
  assertStringIncludes(error.message, "at .a[1].b: why");
});

const PARSES: { args: string; options?: Parameters<typeof parseArgs>[1]; is: unknown }[] = [
  { args: "", is: { _: [] } },
  { args: "a 1 -x --y=2 --z 0x10", is: { _: ["a", 1], x: true, y: 2, z: 16 } },
  { args: "--s 007 --t", options: { string: ["s", "t"] }, is: { _: [], s: "007", t: "" } },
  { args: "--s -5", options: { string: ["s"] }, is: { _: [], s: "", 5: true } },
  { args: "--s=-5 7", options: { string: ["s", "_"] }, is: { _: ["7"], s: "-5" } },
  { args: "--b a", options: { boolean: ["b", "c"] }, is: { _: ["a"], b: true, c: false } },
  {
    args: "--b false --c=true",
    options: { boolean: ["b", "c"] },
    is: { _: [], b: false, c: true },
  },
  { args: "--c 1 --c=x", options: { collect: ["c"] }, is: { _: [], c: [1, "x"] } },
  { args: "--c 1", options: { collect: ["c"], string: ["c", "d"] }, is: { _: [], c: ["1"] } },
  { args: "", options: { collect: ["c"], string: ["c"] }, is: { _: [], c: [] } },
  { args: "--n 2", options: { default: { n: 1, m: 3 } }, is: { _: [], n: 2, m: 3 } },
  {
    args: "-o x",
    options: { string: ["out"], alias: { out: "o" } },
    is: { _: [], o: "x", out: "x" },
  },
  {
    args: "--out x",
    options: { alias: { o: ["out", "to"] } },
    is: { _: [], o: "x", out: "x", to: "x" },
  },
  {
    args: "-h",
    options: { boolean: "help", alias: { h: "help" } },
    is: { _: [], h: true, help: true },
  },
  { args: "--no-b", options: { boolean: ["b"], negatable: ["b"] }, is: { _: [], b: false } },
  { args: "--no-b", is: { _: [], "no-b": true } },
  { args: "-abc x -n5 -m=6", is: { _: [], a: true, b: true, c: "x", n: 5, m: 6 } },
  { args: "--a x -- --b y", is: { _: ["--b", "y"], a: "x" } },
  { args: "x -- --b y", options: { "--": true }, is: { _: ["x"], "--": ["--b", "y"] } },
];

Deno.test("parseArgs stand-in: parses like @std/cli", () => {
  for (const { args, options, is } of PARSES) {
    const list = args.split(" ").filter(Boolean);
    assertEquals<unknown>(parseArgs(list, options), is, args);
    assertEquals<unknown>(stdParseArgs(list, options), is, `@std/cli: ${args}`);
  }
});

Deno.test("parseArgs stand-in: unknown sees what is not declared, and can drop it", () => {
  for (const parse of [parseArgs, stdParseArgs as typeof parseArgs]) {
    const seen: unknown[] = [];
    const unknown = (...undeclared: unknown[]) => {
      seen.push(undeclared);
      return false;
    };
    const args = ["--known", "1", "--typo", "2", "-x", "file"];
    assertEquals<unknown>(parse(args, { string: ["known"], unknown }), { known: "1", _: [] });
    assertEquals(seen, [["--typo", "typo", "2"], ["-x", "x", "file"]]);
  }
});

Deno.test("parseArgs stand-in: an argument cannot reach a prototype", () => {
  parseArgs(["--__proto__", "x", "--constructor=y", "--__proto__.polluted=z"]);
  assertEquals("polluted" in {}, false);
});

Deno.test("parseArgs stand-in: the result has the types of @std/cli", () => {
  const options = [
    { string: ["out", "size"], boolean: ["help", "quick"], collect: ["size"] },
    { string: ["out"], boolean: ["color"], negatable: ["color", "out"] },
    { string: ["out"], boolean: ["help"], default: { out: "a.json", more: 1 } },
    { boolean: ["help"], alias: { help: "h", h: "help" } },
    { collect: ["case"], "--": true },
  ] as const;
  same(parseArgs([], options[0]), stdParseArgs([], options[0]));
  same(parseArgs([], options[1]), stdParseArgs([], options[1]));
  same(parseArgs([], options[2]), stdParseArgs([], options[2]));
  same(parseArgs([], options[3]), stdParseArgs([], options[3]));
  same(parseArgs([], options[4]), stdParseArgs([], options[4]));
  same(parseArgs([]), stdParseArgs([]));
  same(
    parseArgs([], { boolean: "help", alias: { help: ["h", "?"] } }),
    stdParseArgs([], { boolean: "help", alias: { help: ["h", "?"] } }),
  );
});

/** Both arguments are equal, and so are their types; if those are not, a third argument is missing. */
function same<A, B>(a: A, b: B, ..._: Agree<Flat<A>, Flat<B>> extends true ? [] : ["types"]) {
  assertEquals<unknown>(a, b);
}
type Flat<T> = { [K in keyof T]: T[K] };
type Agree<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;
