import { readTextFile } from "../../src/checkpoints/text_file.ts";

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

  async write(file: string, text: string): Promise<void> {
    await this.#attempt(`${file} cannot be written`, () => Deno.writeTextFile(file, text));
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
      throw new RangeError(`Cannot ${this.#action} as ${failure}: ${(error as Error).message}`);
    }
  }
}
