import { checkFunction, checkInteger, checkObject, checkString, sentence } from "../base/check.ts";
import type { Stats } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { checkpointError } from "./checkpoint_error.ts";
import { fileSystem } from "./file_system.ts";

/** Bytes that can be read in ranges: a file on disk, bytes in memory, or what else the caller has. */
export interface ByteSource {
  /** Its name in messages: the path of a file. */
  readonly name: string;
  /** The number of bytes. */
  readonly size: number;
  /**
   * Reads a range into memory of its own.
   *
   * @param offset First byte.
   * @param length How many bytes.
   * @returns As many bytes.
   * @throws {CheckpointError} If they are not all there, or cannot be read.
   */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Lets go of the file. */
  close(): Promise<void>;
}

/**
 * Bytes that are in memory already: fetched, or made by a program.
 *
 * @param name What messages call them.
 * @param bytes The bytes; kept, not copied.
 * @returns Where to read them.
 * @throws {TypeError} If the name is no string, or `bytes` no `Uint8Array`.
 *
 * @example
 * ```ts
 * import { bytesInMemory } from "@onehead/attention/checkpoints";
 *
 * const source = bytesInMemory("three bytes", new Uint8Array([1, 2, 3]));
 * console.log(await source.read(1, 2)); // Uint8Array [2, 3]
 * ```
 */
export function bytesInMemory(name: string, bytes: Uint8Array): ByteSource {
  checkString("read bytes in memory", "name", name);
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError(sentence("read bytes in memory", "bytes must be a Uint8Array", { bytes }));
  }
  return {
    name,
    size: bytes.length,
    read(offset, length) {
      const { length: size } = bytes;
      return offset + length <= size
        ? Promise.resolve(bytes.slice(offset, offset + length))
        : Promise.reject(endsEarly(name, { offset, length, size }));
    },
    close: () => Promise.resolve(),
  };
}

/**
 * The bytes of a `Blob`, read in ranges: a file that a visitor of a page chose or dropped there, which may be larger than memory.
 *
 * @param name What messages call them: the file's name.
 * @param blob The bytes.
 * @returns Where to read them.
 * @throws {TypeError} If the name is no string, or `blob` no `Blob`.
 *
 * @example
 * ```ts
 * import { bytesInBlob } from "@onehead/attention/checkpoints";
 *
 * const source = bytesInBlob("three bytes", new Blob([new Uint8Array([1, 2, 3])]));
 * console.log(await source.read(1, 2)); // Uint8Array [2, 3]
 * ```
 */
export function bytesInBlob(name: string, blob: Blob): ByteSource {
  checkString("read bytes in a Blob", "name", name);
  if (!(blob instanceof Blob)) {
    throw new TypeError(sentence("read bytes in a Blob", "blob must be a Blob", { blob }));
  }
  const { size } = blob;
  return {
    ...{ name, size },
    async read(offset, length) {
      if (offset + length > size) throw endsEarly(name, { offset, length, size });
      try {
        return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      } catch (cause) {
        // The file behind it has been changed or removed since it was chosen.
        throw unreadable(name, cause);
      }
    },
    close: () => Promise.resolve(),
  };
}

/** Throws a `TypeError` or a `RangeError` unless a value is a {@linkcode ByteSource}. */
export function checkSource(action: string, name: string, source: ByteSource): void {
  checkObject(action, name, source);
  checkString(action, `${name}.name`, source.name);
  checkInteger(action, `${name}.size`, source.size, 0);
  checkFunction(action, `${name}.read`, source.read);
  checkFunction(action, `${name}.close`, source.close);
}

/** Some systems read no more than 2^31 - 1 bytes at once. */
const LARGEST_READ = 2 ** 30;

/**
 * Opens a file for reading in ranges, so that one that is larger than memory can be read tensor by tensor. Files are there in
 * Deno, Node and Bun, and not in browsers.
 *
 * @param path Where the file is.
 * @returns Where to read it; close it when done.
 * @throws {CheckpointError} If there is no such file, it is a folder, a pipe or a device, it cannot be opened, or the runtime
 * has no files.
 *
 * @example
 * ```ts ignore
 * import { openFile } from "@onehead/attention/checkpoints";
 *
 * const file = await openFile("model.safetensors");
 * const header = await file.read(8, 100);
 * await file.close();
 * ```
 */
export async function openFile(path: string): Promise<ByteSource> {
  checkString("open a file", "path", path);
  // Asked before it is opened: a pipe would wait for someone who writes, and a device has no end.
  const { size } = await checkIsFile(path);
  try {
    return new OpenFile(path, size, await fileSystem(path).open(path, "r"));
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/**
 * Says what the system says of a file.
 *
 * @throws {CheckpointError} If there is none of that name, or it is something else.
 */
export async function checkIsFile(path: string): Promise<Stats> {
  const stats = await fileSystem(path).stat(path).catch((cause) => {
    throw unreadable(path, cause);
  });
  if (stats.isFile()) return stats;
  const kinds = {
    folder: stats.isDirectory(),
    pipe: stats.isFIFO(),
    device: stats.isCharacterDevice() || stats.isBlockDevice(),
    socket: stats.isSocket(),
  };
  const kind = Object.entries(kinds).find(([, isIt]) => isIt)?.[0];
  throw checkpointError(path, "it must be a file (give one, or copy into one what it gives)", {
    kind,
  });
}

/** Reads a range of any source: as many bytes, alone in their buffer. */
export async function readBuffer(
  source: ByteSource,
  offset: number,
  length: number,
): Promise<ArrayBufferLike> {
  const { name, size } = source;
  const bytes = await source.read(offset, length);
  if (!(bytes instanceof Uint8Array)) {
    throw checkpointError(name, "its source must give a Uint8Array", { bytes });
  }
  if (bytes.length !== length) throw endsEarly(name, { offset, length, size });
  return bytes.length === bytes.buffer.byteLength ? bytes.buffer : bytes.slice().buffer;
}

class OpenFile implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #file: FileHandle;

  constructor(name: string, size: number, file: FileHandle) {
    this.name = name;
    this.size = size;
    this.#file = file;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const { name, size } = this;
    if (offset + length > size) throw endsEarly(name, { offset, length, size });
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const wanted = Math.min(length - done, LARGEST_READ);
      const { bytesRead } = await this.#file.read(bytes, done, wanted, offset + done)
        .catch((cause) => {
          throw unreadable(name, cause);
        });
      // It has been cut short since it was opened.
      if (bytesRead === 0) throw endsEarly(name, { offset, length, size: offset + done });
      done += bytesRead;
    }
    return bytes;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

function endsEarly(name: string, values: Record<"offset" | "length" | "size", number>): Error {
  return checkpointError(name, "it ends before what is to be read (fetch it again)", values);
}

function unreadable(name: string, cause: unknown): Error {
  const { code, message } = cause as { code?: unknown; message?: unknown };
  return code === "ENOENT"
    ? checkpointError(name, "there is no such file (check its name, or fetch it)", { code }, cause)
    : checkpointError(name, "the system does not let it be read", { error: message }, cause);
}
