import { checkObject, checkObjects } from "../base/check.ts";
import { parseTokenizer } from "../model/tokenizer/parse.ts";
import type { Tokenizer } from "../model/tokenizer/tokenizer.ts";
import type { ByteSource } from "./byte_source.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { checkpointError } from "./checkpoint_error.ts";
import { namesIn, pathIn } from "./file_system.ts";
import { checkFiles, fileAt, type FileIn, findTextIn, folderAt, folderOf } from "./folder.ts";
import type { OpenOptions } from "./open.ts";
import { readShort } from "./text_file.ts";

const ACTION = "open a tokenizer";

/** The tokenizer of a folder. */
const USUAL = "tokenizer.json";

/**
 * Opens the tokenizer of a checkpoint, with what the files beside it say: `tokenizer_config.json` and `special_tokens_map.json`
 * name the tokens before and after a text, the checkpoint those that end one.
 *
 * @param tokenizer A `tokenizer.json`, the folder that holds it, or the tokenizer file of a llama2.c model, by its path; or files
 * by their names, `tokenizer.json` among them or one of llama2.c alone.
 * @param checkpoint The model that it is for: how many tokens it knows, and which end a text.
 * @param options Who is told of what is odd.
 * @returns The tokenizer.
 * @throws {TypeError} If `tokenizer` is neither a path nor an array of files, the checkpoint has no `spec`, or a value is of the
 * wrong kind.
 * @throws {RangeError} If the size of a file, or `vocabSize`, is out of range.
 * @throws {CheckpointError} If a file is missing or damaged, or of another vocabulary.
 *
 * @example
 * ```ts ignore
 * import { openCheckpoint, openTokenizer } from "@onehead/attention/checkpoints";
 *
 * const checkpoint = await openCheckpoint("gemma-3-1b-it");
 * const tokenizer = await openTokenizer("gemma-3-1b-it", checkpoint);
 * console.log(tokenizer.endOfText); // [1, 106]
 * await checkpoint.close();
 * ```
 */
export async function openTokenizer(
  tokenizer: string | readonly ByteSource[],
  checkpoint: Pick<Checkpoint, "spec" | "endOfText" | "classEndOfText">,
  options: OpenOptions = {},
): Promise<Tokenizer> {
  checkObjects(ACTION, { checkpoint, options });
  checkObject(ACTION, "checkpoint.spec", checkpoint.spec);
  const { spec: { vocabSize }, endOfText, classEndOfText } = checkpoint;
  const { warn } = options;
  checkFiles(ACTION, "tokenizer", tokenizer);
  const { folder, file } = typeof tokenizer === "string"
    ? await findFile(tokenizer)
    : findAmong(tokenizer);
  const source = await folder.open(file);
  try {
    const beside = async (name: string) =>
      file.endsWith(".json") ? (await findTextIn(folder, name))?.text : undefined;
    return await parseTokenizer(await readShort(source), {
      ...{ file: source.name, vocabSize, endOfText, classEndOfText, warn },
      config: await beside("tokenizer_config.json"),
      specialTokensMap: await beside("special_tokens_map.json"),
    });
  } finally {
    await source.close();
  }
}

/** The file of a path, or that of a folder. */
async function findFile(path: string): Promise<FileIn> {
  const names = await namesIn(path);
  if (names) return { folder: folderAt(pathIn(path, "")), file: chooseTokenizer(path, names) };
  return fileAt(path);
}

function findAmong(files: readonly ByteSource[]): FileIn {
  const names = files.map(({ name }) => name);
  const file = names.length === 1 ? names[0] : chooseTokenizer("a tokenizer", names);
  return { folder: folderOf(files), file };
}

/** The name of the tokenizer among those of a folder. */
function chooseTokenizer(path: string, names: readonly string[]): string {
  if (names.includes(USUAL)) return USUAL;
  const cure = names.includes("tokenizer.model")
    ? "save it from tokenizer.model by AutoTokenizer of transformers"
    : "fetch it, or name the tokenizer's file";
  throw checkpointError(path, `it must hold ${USUAL} (${cure})`, { names });
}
