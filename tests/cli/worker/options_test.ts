import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { HELP, parseOptions, type WorkerOptions } from "../../../cli/worker/options.ts";

Deno.test("worker's options: what is left out, and what is said", () => {
  const sizes = "--max-queue 3 --patience 4 --sequences 2";
  const line = `--model m --nats tls://h:1 --nats-prefix mine ${sizes}`;
  assertEquals(parseOptions(line.split(" ")), {
    ...{ model: "m", tokenizer: undefined, kvDtype: "f32", weightDtype: "f32", context: undefined },
    calibrate: undefined,
    ...{ sequences: 2, cacheMib: undefined },
    ...{ cluster: { url: "tls://h:1", prefix: "mine" }, maxQueue: 3, patience: 4 },
    ...{ quality: false, shard: undefined },
  });
  assertEquals(parseOptions(["-h"]), HELP);
  for (const name of ["model", "cache-mib", "nats", "nats-prefix", "max-queue", "patience"]) {
    assertStringIncludes(HELP, `--${name}`);
  }
  for (const variable of ["NATS_CREDS", "NATS_TOKEN", "NATS_CA"]) {
    assertStringIncludes(HELP, variable);
  }
  assertThrows(() => parseOptions(["--model", "m"]), TypeError, "without --nats");
  const floats = ["--model", "m", "--nats", "nats://h", "--calibrate", "t.txt"];
  assertThrows(
    () => parseOptions(floats),
    RangeError,
    "Cannot start a worker as --calibrate needs",
  );
  const none = ["--model", "m", "--nats", "nats://h", "--max-queue", "0"];
  assertThrows(() => parseOptions(none), RangeError, "at least 1");
});

Deno.test("worker's options: a shard, and what contradicts one", () => {
  const parse = (line: string) => parseOptions(`--model m --nats nats://h ${line}`.split(" "));
  const { shard } = parse("--shard 1 --shards 3") as WorkerOptions;
  assertEquals(shard, { shard: 1, shards: 3, copy: 0 });
  for (const name of ["shard", "shards", "copy"]) assertStringIncludes(HELP, `--${name}`);
  const mistakes = [
    ["--shard 1", "need each other"],
    ["--shards 2", "need each other"],
    ["--copy 1", "--copy needs"],
    ["--shard 2 --shards 2", "shard=2, shards=2"],
    ["--shard 0 --shards 2 --sequences 4", "--sequences goes without --shard"],
    [
      "--shard 0 --shards 2 --cache-dtype int8 --calibrate t.txt",
      "--calibrate goes without --shard",
    ],
  ];
  for (const [line, says] of mistakes) assertThrows(() => parse(line), RangeError, says);
});

Deno.test("worker's options: rows of quality, and what has no use there", () => {
  const parse = (line: string) => parseOptions(`--model m --nats nats://h ${line}`.split(" "));
  const { quality, patience } = parse("--quality --patience 9") as WorkerOptions;
  assertEquals([quality, patience], [true, 9]);
  assertStringIncludes(HELP, "--quality");
  for (const wrong of ["sequences", "context", "shard", "max-queue"]) {
    const says = `--${wrong} goes without --quality`;
    assertThrows(() => parse(`--quality --${wrong} 1`), RangeError, says);
  }
});

Deno.test("worker's options: an adapter is measured without a model", () => {
  const parse = (line: string) => parseOptions(`--nats nats://h --bench ${line}`.trim().split(" "));
  const cluster = { url: "nats://h", prefix: "mine" };
  assertEquals(parse("--nats-prefix mine"), { bench: true, cluster });
  assertStringIncludes(HELP, "--bench");
  for (const wrong of ["--model m", "--patience 3", "--quality", "--shard 0"]) {
    assertThrows(() => parse(wrong), RangeError, `${wrong.split(" ")[0]} goes without --bench`);
  }
});
