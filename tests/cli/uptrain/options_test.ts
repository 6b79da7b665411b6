import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { HELP, parseOptions } from "../../../cli/uptrain/options.ts";

function parse(line: string) {
  const options = parseOptions(line.split(" ").filter((word) => word !== ""));
  assert(typeof options !== "string");
  return options;
}

const LEAST = "--model a.bin --kv-heads 1 --out dir";

Deno.test("uptrain's options: a model, heads and a folder are enough", () => {
  assertEquals(parse(LEAST), {
    ...{ model: "a.bin", tokenizer: undefined, kvHeads: 1, init: "merged", out: "dir" },
    ...{ text: undefined, selfDrawn: 32768, heldOut: 8192, seed: 0, json: undefined },
  });
});

Deno.test("uptrain's options: all of them", () => {
  const line = `${LEAST} --tokenizer t --init first --text a.txt --held-out 64 --seed 7 --json`;
  assertEquals(parse(line), {
    ...{ model: "a.bin", tokenizer: "t", kvHeads: 1, init: "first", out: "dir" },
    ...{ text: "a.txt", selfDrawn: 32768, heldOut: 64, seed: 7, json: "" },
  });
  assertEquals(parse(`${LEAST} --self-drawn 99 --json a.json`).selfDrawn, 99);
});

Deno.test("uptrain's options: help names every one", () => {
  assertEquals([parseOptions(["--help"]), parseOptions(["-h"])], [HELP, HELP]);
  const names = ["model", "tokenizer", "kv-heads", "init", "out", "text", "self-drawn"];
  for (const name of [...names, "held-out", "seed", "json", "help"]) {
    assertStringIncludes(HELP, `--${name}`);
  }
});

const MISTAKES: [line: string, kind: typeof TypeError | typeof RangeError, says: string][] = [
  ["--kv-heads 1 --out dir", TypeError, "without --model"],
  ["--model m --out dir", TypeError, "without --kv-heads"],
  ["--model m --kv-heads 1", TypeError, "without --out"],
  [`${LEAST} --kv-heads 0`, RangeError, "at least 1"],
  [`${LEAST} --init all`, RangeError, "mean, first, merged"],
  [`${LEAST} --text a.txt --self-drawn 9`, RangeError, "--text goes without --self-drawn"],
  [`${LEAST} --self-drawn 1`, RangeError, "at least 2"],
  [`${LEAST} --held-out 1`, RangeError, "at least 2"],
  [`${LEAST} --seed 4294967296`, RangeError, "--seed"],
  [`${LEAST} --speed`, TypeError, "--speed is unknown"],
];

for (const [line, kind, says] of MISTAKES) {
  Deno.test(`uptrain's options: refuses "${line}"`, () => {
    assertThrows(() => parse(line), kind, says);
  });
}
