import { fileSystem } from "./file_system.ts";

/**
 * Writes a file whole or not at all: beside its place first, then onto the disk, then into its place. A process that is killed
 * in between leaves the file that was there before.
 *
 * @param path The file's path.
 * @param bytes All that it is to hold.
 * @throws {Error} What the file system throws: no space, no permission, no such folder.
 */
export async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const { open, rename, rm } = fileSystem(path);
  const part = `${path}.part`;
  try {
    const file = await open(part, "w");
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}
