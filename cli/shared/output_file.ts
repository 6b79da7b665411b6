/** Files that commands write: replaced as a whole or not at all, and known to be writable before the work that fills them. */
import { dirname, resolve } from "node:path";

/** Throws unless a file can be written; nothing is changed. */
export async function checkWritable(path: string): Promise<void> {
  await checkTakesFiles(dirname(await targetOf(path)));
}

/** Throws unless a folder is there, or can be made, and files can be written into it; nothing is changed. */
export async function checkFolder(path: string): Promise<void> {
  let folder = resolve(path);
  while (await statOf(folder) === undefined) folder = dirname(folder);
  await checkTakesFiles(folder);
}

/** Writes a text to a file beside the old one, and then puts it in the place of that. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const target = await targetOf(path);
  const mode = (await statOf(target))?.mode ?? null;
  const beside = besideOf(target);
  try {
    await writeNew(beside, new TextEncoder().encode(text));
    if (mode !== null) await Deno.chmod(beside, mode);
    await Deno.rename(beside, target);
  } catch (error) {
    await Deno.remove(beside).catch(() => {});
    throw error;
  }
}

async function writeNew(path: string, bytes: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true });
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
  // A disk that is full may say so no earlier.
  await file.sync();
}

/** The file that a path leads to, through links. Throws if something is there that is no file, or that may not be written. */
async function targetOf(path: string): Promise<string> {
  const info = await statOf(path);
  if (!info) return resolve(path);
  if (!info.isFile) throw new TypeError("it is no file (choose another path)");
  const target = await Deno.realPath(path);
  (await Deno.open(target, { write: true })).close();
  return target;
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
