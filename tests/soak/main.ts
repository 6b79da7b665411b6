/** `deno run soak`: the command line around the soak. */
import { Gpu } from "../../mod.ts";
import { TOLERANCE } from "../support/compare.ts";
import { runLong } from "../support/long_run.ts";
import { Random } from "../support/random.ts";
import { type Checkpoint, faultsOf, soak } from "./soak.ts";

const HEADS = ["tokens", "appends", "max error", "MiB"];

function row(cells: readonly (string | number)[]): string {
  return cells.map((cell) => `${cell}`.padStart(12)).join("");
}

function line({ tokens, appends, error, rss }: Checkpoint): string {
  return row([tokens, appends, error.toExponential(1), (rss / 2 ** 20).toFixed(0)]);
}

if (import.meta.main) {
  await runLong({
    summary:
      "Appends to a small ring for a long time, with rollbacks, snapshots and attention on the way.",
    task: "soak",
    counted: "tokens",
    counts: "tokens to append to each sequence",
    count: 200_000,
  }, async ({ count, seed }) => {
    const gpu = await Gpu.open();
    console.log(row(HEADS));
    const checkpoints = await soak(gpu, new Random(seed), {
      tokens: count,
      checkpoints: 20,
      onCheckpoint: (checkpoint) => console.log(line(checkpoint)),
    });
    await gpu.settled();
    gpu.destroy();
    const faults = faultsOf(checkpoints, TOLERANCE.f32);
    if (faults.length === 0) console.log("memory flat, error flat");
    return { checkpoints, faults };
  });
}
