/** Folders that are there as a whole, or not at all. */
import { CheckpointError } from "../../base/errors.ts";
import { sentence } from "../../base/check.ts";
import { fileSystem, isThere, namesIn } from "../file_system.ts";

/** A file that is being written. */
export interface NewFile {
  /** Writes bytes behind those that are there. */
  write(bytes: Uint8Array): Promise<void>;
}

/**
 * Throws unless a folder is absent or empty.
 *
 * @throws {CheckpointError} If something else has its name.
 */
export async function checkNewFolder(folder: string): Promise<void> {
  const names = await namesIn(folder);
  if (names ? names.length === 0 : !await isThere(folder)) return;
  throw new CheckpointError(
    sentence(`write ${folder}`, "it must be a new folder, or an empty one (name another)", {
      names: names ?? "a file",
    }),
  );
}

/**
 * Fills a folder beside the one that is meant, and then gives it its name: where that fails, nothing is left.
 *
 * @param fill Writes the files into the folder that it is given.
 * @throws {CheckpointError} If the folder holds something, or cannot be made.
 */
export async function writeNewFolder(
  folder: string,
  fill: (folder: string) => Promise<void>,
): Promise<void> {
  await checkNewFolder(folder);
  const { mkdir, rename, rm, rmdir } = fileSystem(folder);
  const beside = `${folder.replace(/[/\\]+$/, "")}.${crypto.randomUUID()}.tmp`;
  try {
    await mkdir(beside, { recursive: true }).catch((cause) => {
      throw unwritable(folder, cause);
    });
    await fill(beside);
    // An empty folder makes room; one that has been filled meanwhile does not.
    await rmdir(folder).catch((cause) => {
      if (cause.code !== "ENOENT") throw unwritable(folder, cause);
    });
    await rename(beside, folder).catch((cause) => {
      throw unwritable(folder, cause);
    });
  } catch (error) {
    await rm(beside, { recursive: true, force: true }).catch(() => {});
    throw error;
  }
}

/** Writes a file that is not there yet, and waits until the disk has it. */
export async function writeNewFile(
  path: string,
  fill: (file: NewFile) => Promise<void>,
): Promise<void> {
  const file = await fileSystem(path).open(path, "wx").catch((cause) => {
    throw unwritable(path, cause);
  });
  try {
    await fill({
      async write(bytes) {
        for (let done = 0; done < bytes.length;) {
          const { bytesWritten } = await file.write(bytes, done).catch((cause) => {
            throw unwritable(path, cause);
          });
          done += bytesWritten;
        }
      },
    });
    // A disk that is full may say so no earlier.
    await file.sync().catch((cause) => {
      throw unwritable(path, cause);
    });
  } finally {
    await file.close();
  }
}

/** The error of a path that cannot be written. */
export function unwritable(path: string, cause: { message?: string }): CheckpointError {
  return new CheckpointError(
    sentence(`write ${path}`, "the system does not let it be written", { error: cause.message }),
    { cause },
  );
}
