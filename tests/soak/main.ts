/** `deno run soak`: the command line around the soak. */
import { Gpu } from "../../mod.ts";
import { TOLERANCE } from "../support/compare.ts";
import { exitBy, longRun, row } from "../support/long_run.ts";
import { type Checkpoint, faultsOf, soak } from "./soak.ts";

const WIDTH = 12;

function line({ tokens, appends, error, rss }: Checkpoint): string {
  return row([tokens, appends, error.toExponential(1), (rss / 2 ** 20).toFixed(0)], WIDTH);
}

export const runCommand = longRun({
  summary:
    "Appends to a small ring for a long time, with rollbacks, snapshots and attention on the way.",
  task: "soak",
  counted: "tokens",
  counts: "tokens to append to each sequence",
  count: 200_000,
}, async ({ count, random, log }) => {
  const gpu = await Gpu.open();
  log(row(["tokens", "appends", "max error", "MiB"], WIDTH));
  const checkpoints = await soak(gpu, random, {
    tokens: count,
    checkpoints: 20,
    onCheckpoint: (checkpoint) => log(line(checkpoint)),
  });
  await gpu.settled();
  gpu.destroy();
  const faults = faultsOf(checkpoints, TOLERANCE.f32);
  if (faults.length === 0) log("memory flat, error flat");
  return { checkpoints, faults };
});

if (import.meta.main) await exitBy(runCommand);
