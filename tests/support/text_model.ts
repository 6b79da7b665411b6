// The files of a model that continues texts, for processes that are to have the same one.
import { withModel } from "./commands.ts";
import type { Random } from "./random.ts";
import { hasStories, STORIES } from "./stories.ts";

/** The trained model where it is there, else a small one of random weights; and the most tokens of an answer to ask it for. */
export async function withTextModel<Value>(
  random: Random,
  test: (files: { model: string; tokenizer: string }, tokens: number) => Promise<Value>,
): Promise<Value> {
  if (hasStories) return await test(STORIES, 60);
  return await withModel(random, (files) => test(files, 40));
}
