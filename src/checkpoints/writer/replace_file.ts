import { fileSystem } from "../file_system.ts";
import { unwritable, writeNewFile } from "./new_folder.ts";

/**
 * Writes a file whole or not at all: beside its place first, onto the disk, and then into its place. A process that is killed in
 * between leaves the file that was there before.
 *
 * @param path The file's path.
 * @param bytes All that it is to hold.
 * @throws {CheckpointError} If the system does not let it be written.
 */
export async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const { rename, rm } = fileSystem(path);
  const beside = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    await writeNewFile(beside, (file) => file.write(bytes));
    await rename(beside, path).catch((cause) => {
      throw unwritable(path, cause);
    });
  } catch (error) {
    await rm(beside, { force: true }).catch(() => {});
    throw error;
  }
}
