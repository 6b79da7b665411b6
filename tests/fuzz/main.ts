/** `deno run fuzz`: the command line around the fuzz. */
import { sharedGpu } from "../support/gpu.ts";
import { runLong } from "../support/long_run.ts";
import { Random } from "../support/random.ts";
import { fuzzCallers } from "./callers.ts";
import { fuzzFiles } from "./files.ts";
import { fuzz } from "./fuzz.ts";
import { fuzzSequences } from "./sequences.ts";

/** A file or a refusal that takes longer is as bad as one that is never done. */
const LONGEST_MS = 2000;

if (import.meta.main) {
  await runLong({
    summary:
      "Calls the library and reads files at random, right and wrong ones, until one is neither right nor refused.",
    task: "fuzz",
    counted: "calls",
    counts: "calls to make, and files to read",
    count: 10_000,
  }, async ({ count, seed }) => {
    const gpu = await sharedGpu();
    const calls = await fuzz(gpu, new Random(seed), {
      count,
      onCall: (done) => {
        if (done % 1000 === 0) console.log(`${done} calls`);
      },
    });
    console.table(calls);
    const callers = await fuzzCallers(gpu, new Random(seed), {
      count,
      onCall: (done) => {
        if (done % 1000 === 0) console.log(`${done} careless calls`);
      },
    });
    console.table(callers);
    const sequences = await fuzzSequences(gpu, new Random(seed), {
      count,
      onCall: (done) => {
        if (done % 1000 === 0) console.log(`${done} calls for many sequences`);
      },
    });
    console.table(sequences);
    gpu.destroy();
    const files = await fuzzFiles(new Random(seed), {
      count,
      onFile: (done) => {
        if (done % 1000 === 0) console.log(`${done} files`);
      },
    });
    console.table(files);
    const slow = Object.entries({ ...calls, ...callers, ...sequences, ...files })
      .filter(([, { longestMs }]) => longestMs > LONGEST_MS);
    return {
      ...{ calls, callers, sequences, files },
      faults: slow.map(([kind, { longestMs }]) => `${kind}: ${longestMs} ms`),
    };
  });
}
