/** `deno run load`: the command line around a server under load. */
import { exitBy, longRun, row } from "../support/long_run.ts";
import { withTextModel } from "../support/text_model.ts";
import { load, type LoadCheckpoint } from "./load.ts";

const WIDTH = 10;

function line({ requests, answered, gone, rss }: LoadCheckpoint): string {
  return row([requests, answered, gone, rss === null ? "-" : (rss / 2 ** 20).toFixed(0)], WIDTH);
}

export const runCommand = longRun({
  summary: "Sends a server short requests from 64 clients, a fifth of which go away.",
  task: "load",
  counted: "requests",
  counts: "requests",
  count: 20_000,
}, async ({ count, random, log }) => {
  log(row(["requests", "answered", "gone", "MiB"], WIDTH));
  const result = await withTextModel(random, (files) =>
    load(random, files, {
      ...{ requests: count, clients: 64, checkpoints: 20 },
      onCheckpoint: (checkpoint) => log(line(checkpoint)),
    }));
  const { seconds, tokens, faults } = result;
  log(`${seconds.toFixed(0)} s, ${(count / seconds).toFixed(1)} requests/s, ${tokens} tokens read`);
  if (faults.length === 0) log("every request answered, every page back, memory flat");
  return result;
});

if (import.meta.main) await exitBy(runCommand);
