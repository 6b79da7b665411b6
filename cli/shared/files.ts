import { readTextFile } from "../../src/checkpoints/text_file.ts";
import { replaceFile } from "../../src/checkpoints/writer/replace_file.ts";
import { checkFolder, checkWritable } from "./output_file.ts";

/** Files of command lines: what cannot be read or written is a `RangeError` that names the file. */
export class Files {
  readonly #action: string;

  /** @param action What cannot be done without them: "plan". */
  constructor(action: string) {
    this.#action = action;
  }

  /** Reads a file of text, whatever byte order mark it begins with. */
  async readText(file: string): Promise<string> {
    try {
      return (await readTextFile(file)).text;
    } catch (cause) {
      throw new RangeError((cause as Error).message, { cause });
    }
  }

  /** Throws now if a file could not be written after minutes of measuring. A name that is missing or empty is no file. */
  async checkWritable(...files: readonly (string | undefined)[]): Promise<void> {
    for (const file of files) {
      if (file) await this.#attempt(`${file} cannot be written`, () => checkWritable(file));
    }
  }

  /** Throws now if a folder could not be made, or take files. */
  async checkFolder(folder: string): Promise<void> {
    await this.#attempt(`${folder} cannot be made`, () => checkFolder(folder));
  }

  /** Writes a file as a whole: where that fails, the old one stays as it is. */
  async write(file: string, text: string): Promise<void> {
    await this.#attempt(
      `${file} cannot be written`,
      () => replaceFile(file, new TextEncoder().encode(text)),
    );
  }

  async makeFolder(folder: string): Promise<void> {
    await this.#attempt(
      `${folder} cannot be made`,
      () => Deno.mkdir(folder, { recursive: true }),
    );
  }

  async #attempt<Value>(failure: string, run: () => Promise<Value>): Promise<Value> {
    try {
      return await run();
    } catch (error) {
      // The library's errors name the path as well: their causes are what the system said.
      const { message } = (error as Error).cause as Error | undefined ?? error as Error;
      throw new RangeError(`Cannot ${this.#action} as ${failure}: ${message}`);
    }
  }
}
