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
 * Copies a tokenizer: the file itself, and those of its folder that belong to it.
 *
 * @param path A folder, a file of JSON, or a tokenizer of llama2.c, which has no other files.
 * @throws {CheckpointError} If a file cannot be read or written.
 */
export async function copyTokenizer(path: string, folder: string): Promise<void> {
  const isFolder = await namesIn(path) !== undefined;
  const file = isFolder ? pathIn(path, MAIN) : path;
  const [, parent, name] = file.match(/^(.*?)([^/\\]*)$/)!;
  const isJson = name.endsWith(".json");
  await copy(file, pathIn(folder, isJson ? MAIN : name));
  if (!isJson) return;
  const names = await namesIn(parent || ".") ?? [];
  for (const other of BESIDE.filter((other) => names.includes(other))) {
    await copy(pathIn(parent || ".", other), pathIn(folder, other));
  }
}

async function copy(from: string, to: string): Promise<void> {
  const source = await openFile(from);
  try {
    const bytes = await readShort(source);
    await writeNewFile(to, (file) => file.write(bytes));
  } finally {
    await source.close();
  }
}
