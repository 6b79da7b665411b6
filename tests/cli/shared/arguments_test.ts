import { assertEquals, assertThrows } from "@std/assert";
import { Arguments } from "../../../cli/shared/arguments.ts";

const NAMES = ["file", "count", "share", "kinds", "json"] as const;

function given(line: string): Arguments<typeof NAMES[number]> {
  const args = line.split(" ").filter((word) => word !== "");
  return new Arguments("sing", args, { names: NAMES, bare: ["json"] });
}

Deno.test("Arguments: texts, numbers, choices and lists of them", () => {
  const options = given("--file a.txt --count 3 --share=0.5 --kinds b,a,b, --json");
  assertEquals([options.text("file"), options.required("file")], ["a.txt", "a.txt"]);
  assertEquals(options.number("count", { min: 1 }), 3);
  assertEquals(options.number("share", { min: 0, max: 1, isFraction: true }), 0.5);
  assertEquals(options.choices("kinds", ["a", "b"]), ["b", "a"]);
  assertEquals(options.list("kinds", (item) => item + item), ["bb", "aa"]);
  assertEquals([options.text("json"), options.isHelp], ["", false]);
  assertEquals(given("--count 1,2").numbers("count", { min: 1 }), [1, 2]);
  assertEquals(given("--kinds a").choice("kinds", ["a", "b"]), "a");
});

Deno.test("Arguments: nothing where nothing is given", () => {
  const none = given("");
  const values = [none.text("file"), none.number("count", { min: 1 }), none.list("kinds", String)];
  assertEquals([...values, none.choice("kinds", ["a"])], [
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

Deno.test("Arguments: help is asked for, whatever else is wrong with the values", () => {
  assertEquals([given("--help").isHelp, given("-h --file").isHelp], [true, true]);
});

const MISTAKES: [line: string, read: (options: ReturnType<typeof given>) => void, says: string][] =
  [
    [
      "--fiel a",
      () => {},
      "Cannot sing as --fiel is unknown (did you mean --file?): --help lists the options",
    ],
    ["--cuont=2", () => {}, "as --cuont=2 is unknown (did you mean --count?): --help"],
    ["--hlp", () => {}, "as --hlp is unknown (did you mean --help?): --help"],
    ["a.txt", () => {}, "Cannot sing as a.txt is unknown: --help lists the options"],
    ["--file", () => {}, "Cannot sing as --file needs a value"],
    ["", (options) => options.required("file"), "Cannot sing without --file"],
    ["--kinds ,", (options) => options.choices("kinds", ["a"]), "--kinds needs a value"],
    ["--kinds c", (options) => options.choice("kinds", ["a", "b"]), "takes a, b: current value c"],
    [
      "--count 0",
      (options) => options.number("count", { min: 1 }),
      "whole numbers of at least 1: current value 0",
    ],
    ["--count 1.5", (options) => options.number("count", { min: 1 }), "current value 1.5"],
    ["--count 1,x", (options) => options.numbers("count", { min: 1 }), "current value x"],
    [
      "--share NaN",
      (options) => options.number("share", { min: 0, isFraction: true }),
      "takes numbers",
    ],
    [
      "--share 2",
      (options) => options.number("share", { min: 0, max: 1, isFraction: true }),
      "from 0 to 1",
    ],
    [
      "--share=Infinity",
      (options) => options.number("share", { min: 0, isFraction: true }),
      "Infinity",
    ],
  ];

for (const [line, read, says] of MISTAKES) {
  Deno.test(`Arguments: refuses "${line}"`, () => {
    assertThrows(() => read(given(line)), Error, says);
  });
}
