import type { LayerMergeReport } from "../../src/checkpoints/mod.ts";
import type { PoolMethod } from "../shared/model_options.ts";
import type { Comparison } from "../shared/score.ts";
import type { CurvePoint } from "../shared/training/learn.ts";
import type { UptrainOptions } from "./options.ts";

/** A model at one stage, measured on the held-out texts. */
export interface Stage extends Comparison {
  /** The model as it was, how it was given fewer KV heads, or after training. */
  stage: "original" | PoolMethod | "trained";
  numKvHeads: number;
  /** Bytes of the KV cache for the model's context. */
  cacheBytes: number;
}

/** A training. */
export interface TrainingReport {
  /** What it was: tokens to learn from, the sizes of a step, and the teacher. */
  options: Pick<UptrainOptions, "tokens" | "batch" | "rate" | "teacher">;
  curve: CurvePoint[];
  /** Seconds that it took, held-out texts included. */
  seconds: number;
}

/** All that was done and measured. */
export interface Report {
  schema: 1;
  model: string;
  out: string;
  adapter: { description: string; isSoftware: boolean };
  /** Where the texts are from, and their tokens. */
  text: { source: string; learned: number; heldOut: number };
  /** Tokens of the context that the KV caches are for. */
  contextLen: number;
  stages: Stage[];
  /** The shares that merging kept of each layer. */
  merge?: readonly LayerMergeReport[];
  /** The training, where there was one. */
  training?: TrainingReport;
}
