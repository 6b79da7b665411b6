// The short form of `deno run fuzz`.
import { assert } from "@std/assert";
import { fuzzCallers } from "./callers.ts";
import { fuzz } from "./fuzz.ts";
import { fuzzSequences } from "./sequences.ts";
import { sharedGpu } from "../support/gpu.ts";
import { testRandomly } from "../support/random.ts";

testRandomly(
  "fuzz: every call is right, or refused by a typed error before any work",
  async (random) => {
    const report = await fuzz(await sharedGpu(), random, { count: 200 });
    for (const kind of ["append", "truncate", "fork", "clear", "encode", "restore"]) {
      const { calls, refused } = report[kind];
      // A few calls may all have been spoiled.
      assert(calls > refused || calls < 20, `${kind}: ${JSON.stringify(report[kind])}`);
    }
  },
);

testRandomly(
  "fuzz: callers that change what they handed over, do not wait, drop encoders, and read strangers' snapshots",
  async (random) => {
    const report = await fuzzCallers(await sharedGpu(), random, { count: 80 });
    for (const kind of ["attend", "bindAppend", "Tensor.upload", "restore"]) {
      assert(report[kind].calls > 0, `${kind}: ${JSON.stringify(report)}`);
    }
    const { calls, refused } = report["RingKvCache.restore"];
    // Of a few, all may be right, or none.
    assert((refused > 0 && calls > refused) || calls < 20, JSON.stringify(report));
  },
);

testRandomly(
  "fuzz: sequences of batches and pages are what they are alone, and leave no page behind",
  async (random) => {
    const report = await fuzzSequences(await sharedGpu(), random, { count: 24 });
    for (const kind of ["Batch.add", "extend, wrong", "PagedKvCache.restore"]) {
      assert(report[kind].calls > 0, `${kind}: ${JSON.stringify(report)}`);
    }
  },
);
