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
    ...{ tokens: 0, teacher: "own", batch: 16, rate: 0.001, resume: false },
  });
});

Deno.test("uptrain's options: all of them", () => {
  const line = `${LEAST} --tokenizer t --init first --text a.txt --held-out 64 --seed 7 --json ` +
    "--tokens 9 --teacher none --batch 2 --rate 1e-4 --resume";
  assertEquals(parse(line), {
    ...{ model: "a.bin", tokenizer: "t", kvHeads: 1, init: "first", out: "dir" },
    ...{ text: "a.txt", selfDrawn: 32768, heldOut: 64, seed: 7, json: "" },
    ...{ tokens: 9, teacher: "none", batch: 2, rate: 1e-4, resume: true },
  });
  assertEquals(parse(`${LEAST} --self-drawn 99 --json a.json`).selfDrawn, 99);
  assertEquals(parse(`${LEAST} --tokens 99999`).selfDrawn, 99999);
  assertEquals(parse(`${LEAST} --tokens 999999`).selfDrawn, 262144);
});

Deno.test("uptrain's options: help names every one", () => {
  assertEquals([parseOptions(["--help"]), parseOptions(["-h"])], [HELP, HELP]);
  const names = ["model", "tokenizer", "kv-heads", "init", "out", "text", "self-drawn"];
  for (
    const name of [
      ...[...names, "held-out", "seed", "tokens", "teacher", "batch", "rate", "resume"],
      ...["json", "help"],
    ]
  ) {
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
  [`${LEAST} --tokens=-1`, RangeError, "at least 0"],
  [`${LEAST} --tokens 9 --teacher all`, RangeError, "own, none"],
  [`${LEAST} --tokens 9 --rate 0`, RangeError, "--rate"],
  [`${LEAST} --tokens 9 --batch 0`, RangeError, "at least 1"],
  [`${LEAST} --batch 2`, RangeError, "--batch needs --tokens above 0"],
  [`${LEAST} --tokens 0 --resume`, RangeError, "--resume needs --tokens above 0"],
  [`${LEAST} --speed`, TypeError, "--speed is unknown"],
];

for (const [line, kind, says] of MISTAKES) {
  Deno.test(`uptrain's options: refuses "${line}"`, () => {
    assertThrows(() => parse(line), kind, says);
  });
}
