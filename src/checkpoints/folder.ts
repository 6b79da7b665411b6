/** The files of a model, in a folder of this machine or wherever the caller has them. */
import { sentence } from "../base/check.ts";
import { type ByteSource, checkSource, openFile } from "./byte_source.ts";
import { checkpointError } from "./checkpoint_error.ts";
import { isThere, namesIn } from "./file_system.ts";
import { type NamedText, readWholeText } from "./text_file.ts";

/** Files that lie beside each other. */
export interface Folder {
  /** Its files' names; undefined where the system does not list them. */
  names(): Promise<string[] | undefined>;
  /** Opens the file of a name; a {@linkcode CheckpointError} where there is none. */
  open(name: string): Promise<ByteSource>;
  /** Whether there is a file of a name. */
  has(name: string): Promise<boolean>;
}

/** A folder of this machine, by its path up to the names of its files: with a slash at its end, or empty. */
export function folderAt(path: string): Folder {
  return {
    names: () => namesIn(path || "."),
    open: (name) => openFile(path + name),
    has: (name) => isThere(path + name),
  };
}

/** A file among others. */
export interface FileIn {
  folder: Folder;
  file: string;
}

/** The file of a path. */
export function fileAt(path: string): FileIn {
  const [file] = path.match(/[^/\\]*$/)!;
  return { folder: folderAt(path.slice(0, path.length - file.length)), file };
}

/** Throws unless files are given by the path of one or of their folder, or as a list of them. */
export function checkFiles(
  action: string,
  name: string,
  files: string | readonly ByteSource[],
): void {
  if (typeof files === "string") return;
  if (!Array.isArray(files)) {
    throw new TypeError(
      sentence(action, `${name} must be a path, or a list of files`, { [name]: files }),
    );
  }
  files.forEach((file, i) => checkSource(action, `${name}[${i}]`, file));
}

/** Files that the caller has, by their names. */
export function folderOf(files: readonly ByteSource[]): Folder {
  const find = (wanted: string) => files.find(({ name }) => name === wanted);
  return {
    names: () => Promise.resolve(files.map(({ name }) => name)),
    open(name) {
      const file = find(name);
      if (file) return Promise.resolve(file);
      const names = files.map(({ name }) => name);
      return Promise.reject(checkpointError(name, "it must be among the files", { names }));
    },
    has: (name) => Promise.resolve(find(name) !== undefined),
  };
}

/** Reads a whole file of a folder that must be text. */
export async function readTextIn(folder: Folder, name: string): Promise<NamedText> {
  return await readWholeText(await folder.open(name));
}

/** Reads a whole file of a folder that must be text, where there is one. */
export async function findTextIn(folder: Folder, name: string): Promise<NamedText | undefined> {
  return await folder.has(name) ? await readTextIn(folder, name) : undefined;
}
