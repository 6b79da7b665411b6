import type { LayerMergeReport } from "../../src/checkpoints/mod.ts";
import type { Files } from "../shared/files.ts";
import type { Score } from "../shared/score.ts";
import type { CurvePoint } from "../shared/training/learn.ts";
import type { Texts } from "../shared/training/texts.ts";
import { WorkFolder } from "../shared/work_folder.ts";
import { ACTION, type UptrainOptions } from "./options.ts";
import type { Stage } from "./result.ts";

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
const FIXED: readonly (keyof UptrainOptions)[] = [
  ...["model", "kvHeads", "init", "text", "selfDrawn", "heldOut", "seed"] as const,
  ...["tokens", "batch", "teacher"] as const,
];

/** The folder beside the one to be written, which holds a training until it is done. */
export class TrainingFolder extends WorkFolder<UptrainOptions, TrainingRun> {
  constructor(files: Files, options: UptrainOptions) {
    super({
      path: `${options.out.replace(/[/\\]+$/, "")}.uptrain`,
      ...{ files, action: ACTION, options, fixed: FIXED },
      holds: "a training that was not finished",
    });
  }

  /** The file of the trainer's state, which is written last. */
  get state(): string {
    return `${this.path}/state`;
  }
}
