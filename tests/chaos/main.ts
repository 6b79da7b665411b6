/** `deno run chaos`: the command line around workers that are killed. */
import { delay } from "../../src/cluster/delay.ts";
import { exitBy, longRun } from "../support/long_run.ts";
import { withTextModel } from "../support/text_model.ts";
import { chaos } from "./chaos.ts";

/** Milliseconds between two kills. */
const KILL_EVERY = 10_000;
/** Milliseconds after which the work hangs: a day. */
const HANGS = 24 * 60 * 60 * 1000;

export const runCommand = longRun({
  summary: "Continues prompts by three workers, one of which is killed every ten seconds.",
  task: "chaos",
  counted: "prompts",
  counts: "prompts, each from a file and by a stream",
  count: 1000,
}, async ({ count, random, log }) => {
  const result = await withTextModel(
    random,
    ({ model, tokenizer }, tokens) =>
      chaos(random, {
        ...{ model, tokenizer, tokens, prompts: count, workers: 3, clients: 64, patience: 10 },
        ...{ hangs: HANGS, killAt: () => delay(KILL_EVERY) },
      }),
  );
  const { kills, seconds, faults } = result;
  for (const [name, time] of Object.entries(seconds)) {
    const killed = name in kills ? `, ${kills[name as keyof typeof kills]} workers killed` : "";
    log(`${name.padEnd(8)} ${count} prompts in ${time.toFixed(1)} s${killed}`);
  }
  if (faults.length === 0) log("nothing lost, nothing double, all as it is alone");
  return result;
});

if (import.meta.main) await exitBy(runCommand);
