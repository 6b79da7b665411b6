/** `deno run load`: the command line around a server under load. */
import { runLong } from "../support/long_run.ts";
import { Random } from "../support/random.ts";
import { withTextModel } from "../support/text_model.ts";
import { load, type LoadCheckpoint, type LoadResult } from "./load.ts";

const HEADS = ["requests", "answered", "gone", "MiB"];

function row(cells: readonly (string | number)[]): string {
  return cells.map((cell) => `${cell}`.padStart(10)).join("");
}

function line({ requests, answered, gone, rss }: LoadCheckpoint): string {
  return row([requests, answered, gone, rss === null ? "-" : (rss / 2 ** 20).toFixed(0)]);
}

if (import.meta.main) {
  await runLong({
    summary: "Sends a server short requests from 64 clients, a fifth of which go away.",
    task: "load",
    counted: "requests",
    counts: "requests",
    count: 20_000,
  }, async ({ count, seed }) => {
    const random = new Random(seed);
    let result: LoadResult | undefined;
    console.log(row(HEADS));
    await withTextModel(random, async (files) => {
      result = await load(random, files, {
        ...{ requests: count, clients: 64, checkpoints: 20 },
        onCheckpoint: (checkpoint) => console.log(line(checkpoint)),
      });
    });
    const { seconds, tokens, faults } = result!;
    console.log(
      `${seconds.toFixed(0)} s, ${(count / seconds).toFixed(1)} requests/s, ${tokens} tokens read`,
    );
    if (faults.length === 0) console.log("every request answered, every page back, memory flat");
    return result!;
  });
}
