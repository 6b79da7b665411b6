/** What `bench models` reports, in the shape that `--json` writes. */
import type { AdapterInfo } from "../result.ts";
import type { GpuWork } from "./gpu_work.ts";
import type { KernelTime } from "./kernel_clock.ts";
import type { Failure } from "./message.ts";

/** A run of the command. */
export interface ModelsReport {
  schema: 1;
  adapter: Pick<AdapterInfo, "description" | "isSoftware">;
  rows: readonly ModelResult[];
}

/** One system with one model. */
export interface ModelResult {
  model: string;
  system: string;
  /** Sequences that were continued together. */
  sequences: number;
  /** Tokens of each prompt, and new tokens of each sequence. */
  promptTokens: number;
  newTokens: number;
  /** `"wrong"`: a token is not the likeliest by the float64 reference. */
  verdict: "right" | "wrong" | Failure["verdict"];
  /** The message of a system whose verdict is not right. */
  message?: string;
  /** The figures of one that is right. */
  figures?: ModelFigures;
}

/** Medians over rounds. */
export interface ModelFigures {
  /** Rounds. */
  rounds: number;
  /** Milliseconds from the start of the system to a model that is ready. */
  loadMs: number;
  /** Milliseconds from prompts to the first new token of each. */
  firstTokenMs: number;
  /** Milliseconds of one more token of each sequence; null where other work of the machine hides it. */
  stepMs: number | null;
  /** Tokens of all prompts over the time to the first new tokens. */
  prefillPerSecond: number;
  /** New tokens of all sequences, but for the first ones, over their time. */
  decodePerSecond: number | null;
  /** How many times longer than ours, in the same rounds; null where either has no figures. */
  prefillTimesOurs: number | null;
  decodeTimesOurs: number | null;
  /** Bytes of keys and values of all sequences. */
  cacheBytes: number | null;
  /** Memory of its process after the last round. */
  residentBytes: number;
  /** The work that its GPU was given for the prompts, their first new tokens included. */
  promptWork: GpuWork;
  /** The work for one more token of each sequence. */
  stepWork: GpuWork;
  /** The kernels of both; null where there are none, or the GPU gives no timestamps. */
  kernels: KernelFigures[] | null;
}

/** One kernel of a system, in runs of their own: with a pass for each dispatch all of it takes longer. */
export interface KernelFigures {
  name: string;
  /** Its work for the prompts and their first new tokens, and for one more token of each sequence. */
  prompt: Pick<KernelTime, "milliseconds" | "dispatches">;
  step: Pick<KernelTime, "milliseconds" | "dispatches">;
}
