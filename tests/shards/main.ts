/** `deno run shards`: the command line around contexts over shards. */
import { exitBy, longRun } from "../support/long_run.ts";
import { withTextModel } from "../support/text_model.ts";
import { attend, continueText, TOLERANCE } from "./shards.ts";

/** Processes that a context is divided among. */
const SHARDS = 3;
/** The heads of attention over a long context. */
const HEADS = { numHeads: 32, numKvHeads: 1, headDim: 128 };
/** Most tokens of the text. */
const TEXT = 256;

export const runCommand = longRun({
  summary: "Attends over a context on three shards, and continues a text over them.",
  task: "shards",
  counted: "tokens",
  counts: "tokens that each shard has",
  count: 100_000,
}, async ({ count: tokens, random, log }) => {
  const text = await withTextModel(
    random,
    ({ model }) => continueText(model, { shards: SHARDS, most: TEXT }),
  );
  const { alone, shards } = text;
  const wrong = alone.findIndex((token, i) => token !== shards[i]);
  const faults = [];
  if (wrong >= 0) {
    faults.push(`token ${wrong} of the text is ${shards[wrong]}, alone ${alone[wrong]}`);
  } else log(`${alone.length} tokens of a text, all as on one machine`);
  const attention = await attend(random, { shards: SHARDS, tokens, heads: HEADS });
  const { context, error, largest, rounds } = attention;
  const { numHeads, numKvHeads, headDim } = HEADS;
  log(
    `${context} tokens of ${numHeads} x ${headDim} over ${numKvHeads}: error ${
      error.toExponential(1)
    } of ${largest.toExponential(1)}, rounds ${rounds.map((ms) => ms.toFixed(0)).join(", ")} ms`,
  );
  if (!(error <= TOLERANCE)) faults.push(`attention is off float64 by ${error}`);
  return { text, attention, faults };
});

if (import.meta.main) await exitBy(runCommand);
