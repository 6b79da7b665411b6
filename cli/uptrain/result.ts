import type { LayerMergeReport } from "../../src/checkpoints/mod.ts";
import type { PoolMethod } from "../shared/model_options.ts";
import type { Comparison } from "../shared/score.ts";

/** A model at one stage, measured on the held-out texts. */
export interface Stage extends Comparison {
  /** The model as it was, or how it was given fewer KV heads. */
  stage: "original" | PoolMethod;
  numKvHeads: number;
  /** Bytes of the KV cache for the model's context. */
  cacheBytes: number;
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
  /** Seconds from the first text to the last figure. */
  seconds: number;
}
