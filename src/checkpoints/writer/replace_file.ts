import { fileSystem } from "../file_system.ts";
import { unwritable, writeNewFile } from "./new_folder.ts";

/**
 * Writes a file whole or not at all: beside its place first, onto the disk, and then into its place, with the rights of the file
 * that was there. A process that is killed in between leaves that file; a link goes on leading to the new one.
 *
 * @param path The file's path.
 * @param bytes All that it is to hold.
 * @throws {CheckpointError} If the system does not let it be written, or something that is no file has its name.
 */
export async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const { chmod, rename, rm } = fileSystem(path);
  const { target, mode } = await targetOf(path);
  const beside = `${target}.${crypto.randomUUID()}.tmp`;
  try {
    await writeNewFile(beside, (file) => file.write(bytes));
    await (async () => {
      if (mode !== undefined) await chmod(beside, mode);
      await rename(beside, target);
    })().catch((cause) => {
      throw unwritable(path, cause);
    });
  } catch (error) {
    await rm(beside, { force: true }).catch(() => {});
    throw error;
  }
}

/**
 * The file that a path leads to, through links, and its rights where it is there.
 *
 * @throws {CheckpointError} If it may not be written, or something that is no file has its name.
 */
export async function targetOf(path: string): Promise<{ target: string; mode?: number }> {
  const { open, realpath, stat } = fileSystem(path);
  try {
    const stats = await stat(path);
    if (!stats.isFile()) throw new Error("it is no file (choose another path)");
    const target = await realpath(path);
    await (await open(target, "r+")).close();
    return { target, mode: stats.mode & 0o7777 };
  } catch (cause) {
    if ((cause as { code?: string }).code === "ENOENT") return { target: path };
    throw unwritable(path, cause as Error);
  }
}
