import { sentence } from "../../src/base/check.ts";
import { isThere } from "../../src/checkpoints/file_system.ts";
import type { Files } from "./files.ts";

/** What a command keeps while it works, and how it speaks of it. */
export interface WorkFolderOptions<Options> {
  path: string;
  files: Files;
  /** The action of the command. */
  action: string;
  /** What the folder holds, in messages: "a training that was not finished". */
  holds: string;
  /** The options of the command line, and the names of those that must be the same where work goes on. */
  options: Options & { resume: boolean };
  fixed: readonly (keyof Options & string)[];
}

/** A folder that holds work until it is done, so that `--resume` goes on with it. */
export class WorkFolder<Options, Work extends object> {
  readonly path: string;
  readonly #options: WorkFolderOptions<Options>;

  constructor(options: WorkFolderOptions<Options>) {
    this.path = options.path;
    this.#options = options;
  }

  /** The file of the work. */
  get file(): string {
    return `${this.path}/run.json`;
  }

  /**
   * Throws where `--resume` and what is there do not fit.
   *
   * @param mark The file whose presence says that there is work to go on with.
   * @throws {RangeError} If there is work that is not asked for, or none that is.
   */
  async check(mark = this.file): Promise<void> {
    const { action, holds, options } = this.#options;
    const isHeld = await isThere(mark);
    if (isHeld === options.resume) return;
    throw new RangeError(
      isHeld
        ? `Cannot ${action} as ${this.path} holds ${holds} (give --resume, or remove it)`
        : `Cannot ${action} as ${this.path} holds no work to resume (leave --resume out)`,
    );
  }

  /**
   * Reads the work.
   *
   * @throws {RangeError} If it was begun with other options.
   */
  async read(): Promise<Work> {
    const { action, files, options: now, fixed } = this.#options;
    const { options: before, ...work } = JSON.parse(await files.readText(this.file));
    for (const name of fixed) {
      if (before[name] === now[name]) continue;
      const rule = `--resume needs the options of ${this.file}`;
      throw new RangeError(sentence(action, rule, { [name]: now[name], before: before[name] }));
    }
    return work;
  }

  /** Writes the work, in place of what was there. */
  async write(work: Work): Promise<void> {
    const { files, options } = this.#options;
    await files.makeFolder(this.path);
    await files.write(this.file, JSON.stringify({ options, ...work }));
  }

  /** Removes the folder. */
  async remove(): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}
