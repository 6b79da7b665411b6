import { checkpointError } from "./checkpoint_error.ts";

/** The functions of `node:fs/promises`, in Deno, Node and Bun alike. */
type FileSystem = typeof import("node:fs/promises");

/**
 * The files of this machine. Asked of the runtime and not imported: bundlers for browsers refuse an import of `node:fs`,
 * though a page that reads bytes in memory never gets to it.
 *
 * @param path What is to be opened, for the message.
 * @throws {CheckpointError} If the runtime has no files, as in a browser.
 */
export function fileSystem(path: string): FileSystem {
  const files = globalThis.process?.getBuiltinModule?.("node:fs/promises");
  if (files) return files;
  throw checkpointError(
    path,
    "there must be files, in Deno, Node or Bun; elsewhere bytesInMemory takes what was fetched",
    { process: typeof globalThis.process },
  );
}

/** Whether the system finds something at a path. */
export async function isThere(path: string): Promise<boolean> {
  return await fileSystem(path).stat(path).then(() => true, () => false);
}

/** The names in a folder; undefined if the path is none. A path that cannot be asked about fails when it is opened. */
export async function namesIn(path: string): Promise<string[] | undefined> {
  const { readdir, stat } = fileSystem(path);
  const isFolder = await stat(path).then((stats) => stats.isDirectory(), () => false);
  return isFolder ? await readdir(path) : undefined;
}

/** The path of a file in a folder. */
export function pathIn(folder: string, name: string): string {
  return `${folder.replace(/[/\\]$/, "")}/${name}`;
}
