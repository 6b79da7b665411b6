import {
  type Checkpoint,
  openCheckpoint,
  openTokenizer,
  type Tokenizer,
} from "../../src/checkpoints/mod.ts";
import { closeOnError } from "../../src/checkpoints/close_on_error.ts";
import { isThere } from "../../src/checkpoints/text_file.ts";
import type { ModelOptions } from "./model_options.ts";
import type { Out } from "./run.ts";

/** A checkpoint and its tokenizer. */
export interface Model {
  checkpoint: Checkpoint;
  tokenizer: Tokenizer;
}

const JSON_NAME = "tokenizer.json";

/** Runs `use` over a model, and closes the model. What is odd about its files is printed. */
export async function withModel(
  action: string,
  options: ModelOptions,
  out: Pick<Out, "error">,
  use: (model: Model) => Promise<void>,
): Promise<void> {
  const model = await openModel(action, options, (sentence) => out.error(sentence));
  try {
    await use(model);
  } finally {
    await model.checkpoint.close();
  }
}

/**
 * Opens a model: both of its files, or none.
 *
 * @throws {CheckpointError} If a file is damaged, or the tokenizer is of another vocabulary.
 * @throws {RangeError} If no tokenizer is named, and there is none beside the model.
 */
async function openModel(
  action: string,
  options: ModelOptions,
  warn: (sentence: string) => void,
): Promise<Model> {
  const checkpoint = await openCheckpoint(options.model, { warn });
  return await closeOnError(checkpoint, async () => {
    const beside = `${await folderOf(options.model)}/${JSON_NAME}`;
    if (options.tokenizer === undefined && !await isThere(beside)) {
      throw new RangeError(
        `Cannot ${action} as there is no ${beside}: name the model's tokenizer by --tokenizer`,
      );
    }
    const tokenizer = await openTokenizer(options.tokenizer ?? beside, checkpoint, { warn });
    return { checkpoint, tokenizer };
  });
}

async function folderOf(path: string): Promise<string> {
  const { isDirectory } = await Deno.stat(path);
  return isDirectory ? path.replace(/[/\\]$/, "") : path.replace(/[^/\\]*$/, ".");
}
