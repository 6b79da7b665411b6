import {
  type Checkpoint,
  openCheckpoint,
  openTokenizer,
  type Tokenizer,
} from "../../src/checkpoints/mod.ts";
import { closeOnError } from "../../src/checkpoints/close_on_error.ts";
import type { ModelOptions } from "./model_options.ts";
import type { Out } from "./run.ts";

/** A checkpoint and its tokenizer. */
export interface Model {
  checkpoint: Checkpoint;
  tokenizer: Tokenizer;
}

/** Runs `use` over a model, and closes the model. What is odd about its files is printed. */
export async function withModel(
  options: ModelOptions,
  out: Pick<Out, "error">,
  use: (model: Model) => Promise<void>,
): Promise<void> {
  const model = await openModel(options, (sentence) => out.error(sentence));
  try {
    await use(model);
  } finally {
    await model.checkpoint.close();
  }
}

/**
 * Opens a model: both of its files, or none.
 *
 * @throws {CheckpointError} If a file is missing or damaged, or the tokenizer is of another vocabulary.
 */
async function openModel(
  options: ModelOptions,
  warn: (sentence: string) => void,
): Promise<Model> {
  const checkpoint = await openCheckpoint(options.model, { warn });
  return await closeOnError(checkpoint, async () => ({
    checkpoint,
    tokenizer: await openTokenizer(await tokenizerPath(options), checkpoint, { warn }),
  }));
}

/** The tokenizer that is named, or else the folder of the model. */
export async function tokenizerPath({ model, tokenizer }: ModelOptions): Promise<string> {
  if (tokenizer !== undefined) return tokenizer;
  const { isDirectory } = await Deno.stat(model);
  return isDirectory ? model : model.replace(/[^/\\]*$/, ".");
}
