/** `deno run fuzz`: the command line around the fuzz. */
import { sharedGpu } from "../support/gpu.ts";
import { exitBy, longRun } from "../support/long_run.ts";
import { Random } from "../support/random.ts";
import { fuzzCallers } from "./callers.ts";
import { fuzzFiles } from "./files.ts";
import { fuzz } from "./fuzz.ts";
import { fuzzSequences } from "./sequences.ts";

/** A file or a refusal that takes longer is as bad as one that is never done. */
const LONGEST_MS = 2000;

export const runCommand = longRun({
  summary:
    "Calls the library and reads files at random, right and wrong ones, until one is neither right nor refused.",
  task: "fuzz",
  counted: "calls",
  counts: "calls to make, and files to read",
  count: 10_000,
}, async ({ count, seed, log }) => {
  const gpu = await sharedGpu();
  // Each kind begins with the seed, so that none depends on the calls of another.
  const random = () => new Random(seed);
  const counted = (what: string) => (done: number) => {
    if (done % 1000 === 0) log(`${done} ${what}`);
  };
  const calls = await fuzz(gpu, random(), { count, onCall: counted("calls") });
  console.table(calls);
  const careless = { count, onCall: counted("careless calls") };
  const callers = await fuzzCallers(gpu, random(), careless);
  console.table(callers);
  const together = { count, onCall: counted("calls for many sequences") };
  const sequences = await fuzzSequences(gpu, random(), together);
  console.table(sequences);
  gpu.destroy();
  const files = await fuzzFiles(random(), { count, onFile: counted("files") });
  console.table(files);
  const slow = Object.entries({ ...calls, ...callers, ...sequences, ...files })
    .filter(([, { longestMs }]) => longestMs > LONGEST_MS);
  return {
    ...{ calls, callers, sequences, files },
    faults: slow.map(([kind, { longestMs }]) => `${kind}: ${longestMs} ms`),
  };
});

if (import.meta.main) await exitBy(runCommand);
