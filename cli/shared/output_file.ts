/** Files that commands write are known to be writable before the work that fills them. */
import { dirname, resolve } from "node:path";
import { targetOf } from "../../src/checkpoints/writer/replace_file.ts";

/** Throws unless a file can be written; nothing is changed. */
export async function checkWritable(path: string): Promise<void> {
  await checkTakesFiles(dirname(resolve((await targetOf(path)).target)));
}

/** Throws unless a folder is there, or can be made, and files can be written into it; nothing is changed. */
export async function checkFolder(path: string): Promise<void> {
  let folder = resolve(path);
  while (await statOf(folder) === undefined) folder = dirname(folder);
  await checkTakesFiles(folder);
}

async function checkTakesFiles(folder: string): Promise<void> {
  const trial = besideOf(`${folder}/trial`);
  (await Deno.open(trial, { write: true, createNew: true })).close();
  await Deno.remove(trial);
}

function besideOf(path: string): string {
  return `${path}.${crypto.randomUUID()}.tmp`;
}

async function statOf(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
