/** `deno run shards`: the command line around contexts over shards. */
import { runLong } from "../support/long_run.ts";
import { Random } from "../support/random.ts";
import { withTextModel } from "../support/text_model.ts";
import { attend, continueText, type TextResult } from "./shards.ts";

/** What attention may be off float64 by. */
const TOLERANCE = 2e-5;
/** Most tokens of the text. */
const TEXT = 256;

if (import.meta.main) {
  await runLong({
    summary: "Attends over a context on three shards, and continues a text over them.",
    task: "shards",
    counted: "tokens",
    counts: "tokens that each shard has",
    count: 100_000,
  }, async ({ count, seed }) => {
    const random = new Random(seed);
    let text: TextResult = { shards: [], alone: [] };
    await withTextModel(random, async ({ model }) => {
      text = await continueText(model, TEXT);
    });
    const { alone, shards } = text;
    const wrong = alone.findIndex((token, i) => token !== shards[i]);
    const faults = [];
    if (wrong >= 0) {
      faults.push(`token ${wrong} of the text is ${shards[wrong]}, alone ${alone[wrong]}`);
    } else console.log(`${alone.length} tokens of a text, all as on one machine`);
    const attention = await attend(random, count);
    const { context, error, largest, rounds } = attention;
    console.log(
      `${context} tokens of 32 x 128 over 1: error ${error.toExponential(1)} of ${
        largest.toExponential(1)
      }, rounds ${rounds.map((ms) => ms.toFixed(0)).join(", ")} ms`,
    );
    if (!(error <= TOLERANCE)) faults.push(`attention is off float64 by ${error}`);
    return { text, attention, faults };
  });
}
