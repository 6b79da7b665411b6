import { llama2cTokenizerFiles } from "../../model/tokenizer/llama2c_json.ts";
import { openFile } from "../byte_source.ts";
import { namesIn, pathIn } from "../file_system.ts";
import { readShort } from "../text_file.ts";
import { writeNewFile } from "./new_folder.ts";

const MAIN = "tokenizer.json";

/** Files beside it that belong to a tokenizer, in the folders of Hugging Face models. */
const BESIDE = [
  ...["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"],
  ...["tokenizer.model", "vocab.json", "merges.txt", "chat_template.jinja"],
];

/**
 * Writes a tokenizer: the file itself, and those of its folder that belong to it. One of llama2.c becomes one of Hugging Face.
 *
 * @param path A folder, a file of JSON, or a tokenizer of llama2.c.
 * @param folder Where to.
 * @param vocabSize Tokens of the model.
 * @throws {CheckpointError} If a file is damaged, or cannot be read or written.
 */
export async function writeTokenizer(
  path: string,
  folder: string,
  vocabSize: number,
): Promise<void> {
  const isFolder = await namesIn(path) !== undefined;
  const file = isFolder ? pathIn(path, MAIN) : path;
  if (!file.endsWith(".json")) {
    const files = llama2cTokenizerFiles(await readFile(file), { file, vocabSize });
    for (const [name, text] of Object.entries(files)) {
      await writeBytes(pathIn(folder, name), new TextEncoder().encode(text));
    }
    return;
  }
  const parent = file.replace(/[^/\\]*$/, "") || ".";
  const names = await namesIn(parent) ?? [];
  await writeBytes(pathIn(folder, MAIN), await readFile(file));
  for (const name of BESIDE.filter((name) => names.includes(name))) {
    await writeBytes(pathIn(folder, name), await readFile(pathIn(parent, name)));
  }
}

async function readFile(path: string): Promise<Uint8Array> {
  const source = await openFile(path);
  try {
    return await readShort(source);
  } finally {
    await source.close();
  }
}

async function writeBytes(path: string, bytes: Uint8Array): Promise<void> {
  await writeNewFile(path, (file) => file.write(bytes));
}
