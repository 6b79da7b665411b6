import { sentence } from "../../src/base/check.ts";
import type { LayerMergeReport } from "../../src/checkpoints/mod.ts";
import type { Files } from "../shared/files.ts";
import type { Score } from "../shared/score.ts";
import type { UptrainOptions } from "./options.ts";
import type { CurvePoint, Stage } from "./result.ts";
import type { Texts } from "./texts.ts";

/** All of a training beside the state of its trainer. */
export interface TrainingRun {
  texts: Texts;
  /** The original's score on the held-out texts. */
  original: Score;
  /** The stages so far. */
  stages: Stage[];
  /** The shares that merging kept of each layer. */
  merge?: readonly LayerMergeReport[];
  curve: CurvePoint[];
  /** Seconds that were spent before. */
  seconds: number;
}

/** The options that must be the same where a training goes on. */
const FIXED = [
  ...["model", "kvHeads", "init", "text", "selfDrawn", "heldOut", "seed", "tokens", "batch"],
  "teacher",
] as const;

/** The folder beside the one to be written, which holds a training until it is done. */
export class WorkFolder {
  readonly path: string;
  readonly #files: Files;
  readonly #options: UptrainOptions;

  constructor(files: Files, options: UptrainOptions) {
    this.path = `${options.out.replace(/[/\\]+$/, "")}.uptrain`;
    this.#files = files;
    this.#options = options;
  }

  /** The file of the trainer's state. */
  get state(): string {
    return `${this.path}/state`;
  }

  /**
   * Throws where `--resume` and what is there do not fit.
   *
   * @throws {RangeError} If there is a training that is not asked for, or none that is.
   */
  async check(): Promise<void> {
    const isThere = await Deno.stat(this.state).then(() => true, () => false);
    if (isThere === this.#options.resume) return;
    throw new RangeError(
      isThere
        ? `Cannot uptrain as ${this.path} holds a training that was not finished (give --resume, or remove it)`
        : `Cannot uptrain as ${this.path} holds no training to resume (leave --resume out)`,
    );
  }

  /**
   * Reads a training.
   *
   * @throws {RangeError} If it was begun with other options.
   */
  async read(): Promise<TrainingRun> {
    const { options, ...run } = JSON.parse(await this.#files.readText(this.#runFile));
    for (const name of FIXED) {
      if (options[name] === this.#options[name]) continue;
      throw new RangeError(
        sentence("uptrain", `--resume needs the options of ${this.#runFile}`, {
          [name]: this.#options[name],
          before: options[name],
        }),
      );
    }
    return run;
  }

  /** Writes a training, in place of what was there. */
  async write(run: TrainingRun): Promise<void> {
    await this.#files.makeFolder(this.path);
    await this.#files.write(this.#runFile, JSON.stringify({ options: this.#options, ...run }));
  }

  /** Removes it. */
  async remove(): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }

  get #runFile(): string {
    return `${this.path}/run.json`;
  }
}
