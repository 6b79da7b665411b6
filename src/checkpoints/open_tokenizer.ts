import { parseTokenizer } from "../model/tokenizer/parse.ts";
import type { Tokenizer } from "../model/tokenizer/tokenizer.ts";
import { openFile } from "./byte_source.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { OpenOptions } from "./open.ts";
import { findTextFile, readShort } from "./text_file.ts";

/**
 * Opens the tokenizer of a checkpoint, with what the files beside it say: `tokenizer_config.json` and `special_tokens_map.json`
 * name the tokens before and after a text, the checkpoint those that end one.
 *
 * @param path A `tokenizer.json`, or the tokenizer file of a llama2.c model.
 * @param checkpoint The model that it is for: how many tokens it knows, and which end a text.
 * @param options Who is told of what is odd.
 * @returns The tokenizer.
 * @throws {CheckpointError} If a file is missing or damaged, or of another vocabulary.
 *
 * @example
 * ```ts ignore
 * import { openCheckpoint, openTokenizer } from "@onehead/attention/checkpoints";
 *
 * const checkpoint = await openCheckpoint("gemma-3-1b-it");
 * const tokenizer = await openTokenizer("gemma-3-1b-it/tokenizer.json", checkpoint);
 * console.log(tokenizer.endOfText); // [1, 106]
 * await checkpoint.close();
 * ```
 */
export async function openTokenizer(
  path: string,
  { spec: { vocabSize }, endOfText }: Pick<Checkpoint, "spec" | "endOfText">,
  { warn }: OpenOptions = {},
): Promise<Tokenizer> {
  const source = await openFile(path);
  try {
    const folder = path.replace(/[^/\\]*$/, "");
    const beside = async (name: string) =>
      path.endsWith(".json") ? (await findTextFile(folder + name))?.text : undefined;
    return await parseTokenizer(await readShort(source), {
      ...{ file: path, vocabSize, endOfText, warn },
      config: await beside("tokenizer_config.json"),
      specialTokensMap: await beside("special_tokens_map.json"),
    });
  } finally {
    await source.close();
  }
}
