/** `deno run chaos`: the command line around workers that are killed. */
import { runLong } from "../support/long_run.ts";
import { Random } from "../support/random.ts";
import { withTextModel } from "../support/text_model.ts";
import { chaos, type ChaosResult } from "./chaos.ts";

/** Seconds between two kills. */
const KILL_EVERY = 10;

if (import.meta.main) {
  await runLong({
    summary: "Continues prompts by three workers, one of which is killed every ten seconds.",
    task: "chaos",
    counted: "prompts",
    counts: "prompts, each from a file and by a stream",
    count: 1000,
  }, async ({ count, seed }) => {
    const random = new Random(seed);
    let result: ChaosResult | undefined;
    await withTextModel(random, async ({ model, tokenizer }, tokens) => {
      result = await chaos(random, {
        ...{ model, tokenizer, tokens, prompts: count, workers: 3, clients: 64 },
        killEvery: KILL_EVERY,
      });
    });
    const { kills, seconds, faults } = result!;
    for (const [name, time] of Object.entries(seconds)) {
      const killed = name in kills ? `, ${kills[name as keyof typeof kills]} workers killed` : "";
      console.log(`${name.padEnd(8)} ${count} prompts in ${time.toFixed(1)} s${killed}`);
    }
    if (faults.length === 0) console.log("nothing lost, nothing double, all as it is alone");
    return { kills, seconds, faults };
  });
}
