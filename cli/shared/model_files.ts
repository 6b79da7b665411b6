import { type Checkpoint, openCheckpoint } from "../../src/checkpoints/mod.ts";
import { Files } from "./files.ts";
import { parseTokenizer } from "../../src/model/tokenizer/parse.ts";
import type { Tokenizer } from "../../src/model/tokenizer/tokenizer.ts";
import type { ModelOptions } from "./model_options.ts";

/** A checkpoint and its tokenizer. */
export interface Model {
  checkpoint: Checkpoint;
  tokenizer: Tokenizer;
}

const JSON_NAME = "tokenizer.json";
const CONFIG_NAME = "tokenizer_config.json";

/** Runs `use` over a model, and closes the model. */
export async function withModel(
  action: string,
  options: ModelOptions,
  use: (model: Model) => Promise<void>,
): Promise<void> {
  const model = await openModel(action, options);
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
 * @throws {RangeError} If the tokenizer cannot be read, or none is named and there is none beside the model.
 */
async function openModel(action: string, options: ModelOptions): Promise<Model> {
  const checkpoint = await openCheckpoint(options.model);
  try {
    const file = options.tokenizer ?? `${await folderOf(options.model)}/${JSON_NAME}`;
    const bytes = await new Files(action).readBytes(file);
    const { vocabSize } = checkpoint.spec;
    const config = await readIfThere(file.replace(/[^/]*$/, CONFIG_NAME));
    return { checkpoint, tokenizer: await parseTokenizer(bytes, { file, vocabSize, config }) };
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

async function folderOf(path: string): Promise<string> {
  const { isDirectory } = await Deno.stat(path);
  return isDirectory ? path : path.replace(/[^/]*$/, ".");
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
