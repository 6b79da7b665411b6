/** `deno run fuzz`: the command line around the fuzz. */
import { sharedGpu } from "../support/gpu.ts";
import { runLong } from "../support/long_run.ts";
import { Random } from "../support/random.ts";
import { fuzz } from "./fuzz.ts";

if (import.meta.main) {
  await runLong({
    summary:
      "Calls the library at random, rightly and wrongly, until a call is neither right nor refused.",
    task: "fuzz",
    counted: "calls",
    counts: "calls to make",
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
    gpu.destroy();
    return { calls, faults: [] };
  });
}
