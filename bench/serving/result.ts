/** The figures of a serving run: what the table, the chart and the JSON show. */
import type { KvDtype } from "../../mod.ts";
import type { Variant } from "../../cli/shared/variant.ts";
import type { AdapterInfo } from "../result.ts";
import type { RequestDistribution } from "./requests.ts";

/** The median and the 99th percentile, in milliseconds. */
export interface Percentiles {
  p50: number;
  p99: number;
}

/**
 * Steps between two waits for the device, as a simulation of a server needs them: each figure is a mean over these steps, in
 * the order in which they ran.
 */
export interface StepTime {
  /** Steps of which this is the mean. */
  steps: number;
  /** Tokens that went through the model in a step. */
  tokens: number;
  /** Sequences that they are of. */
  sequences: number;
  /** Tokens that a sequence's newest one sees. */
  meanContext: number;
  /** Milliseconds of a step. */
  ms: number;
}

/** The state after a wait for the device. */
export interface Moment {
  /** Milliseconds since the first request. */
  ms: number;
  /** Sequences in a step, in the mean since the last moment. */
  sequences: number;
  /** Requests that wait for room. */
  waiting: number;
  /** Pages that sequences hold. */
  pages: number;
  /** Set-backs so far. */
  setBacks: number;
}

/** One version of the architecture under the budget. */
export interface ServingRow {
  variant: Variant;
  numKvHeads: number;
  /** Bytes of keys and values of a token. */
  bytesPerToken: number;
  /** Most sequences that run together. */
  maxSequences: number;
  /** Pages that the budget holds. */
  pages: number;
  /** Sequences that the planner's "What fits" says the budget holds. */
  predictedSequences: number;
  /** Sequences in a step, in the mean while pages were short; null where they never were. */
  sequences: number | null;
  setBacks: number;
  /** From the first request to the last token. */
  seconds: number;
  requestsPerSecond: number;
  /** Generated tokens per second. */
  tokensPerSecond: number;
  /** From a request to its first token. */
  firstTokenMs: Percentiles;
  /** Between tokens: the wait for tokens that come together is shared among them. */
  betweenTokensMs: Percentiles;
  /** Milliseconds of a request beyond its steps; absent where it was not measured. */
  overheadMs?: number;
  moments: readonly Moment[];
  stepTimes: readonly StepTime[];
}

/** Prompts that begin alike beside prompts that do not. */
export interface PrefixResult {
  /** KV heads of the model. */
  numKvHeads: number;
  /** Tokens that prompts share, and those that each has of its own. */
  sharedTokens: number;
  ownTokens: number;
  /** Pairs of a prompt that shares nothing and one that shares. */
  pairs: number;
  /** Medians of the time from a request to its first token. */
  freshMs: number;
  sharedMs: number;
  /** The median over pairs of shared over fresh. */
  ratio: number;
}

/** The sizes of the model. */
export interface Architecture {
  numLayers: number;
  numHeads: number;
  headDim: number;
  dim: number;
  hiddenDim: number;
  vocabSize: number;
}

/** A serving run. */
export interface ServingReport {
  schema: 1;
  adapter: Pick<AdapterInfo, "description" | "isSoftware">;
  architecture: Architecture;
  /** Element type of the weights. */
  weightDtype: KvDtype;
  /** Element type of keys and values. */
  kvDtype: KvDtype;
  /** Bytes of keys and values that each version has. */
  budgetBytes: number;
  pageSize: number;
  /** Most tokens of a step. */
  stepTokens: number;
  requests: RequestDistribution;
  rows: readonly ServingRow[];
  prefix: PrefixResult;
}
