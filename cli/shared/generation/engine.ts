/** The interface of an engine that generates tokens. */
import type { GeneratedToken } from "../../../src/model/batch_sequence.ts";
import type { Sampling } from "../../../src/model/sampling.ts";

export type { GeneratedToken };

/** A sequence to be generated. */
export interface SequenceRequest extends Sampling {
  /** The prompt. */
  tokens: readonly number[];
  /** Most new tokens. */
  maxTokens: number;
  /** Tokens that end the sequence. */
  endTokens: readonly number[];
  /** How many of the last tokens of the prompt were generated before, as penalties count them; absent where none were. */
  generated?: number;
  /** The number of likeliest tokens that come with each token; absent where no log-probability is asked for. */
  logprobs?: number;
}

/** A sequence that is being generated: its tokens as they come; the last is the end token where one came. */
export interface Generation extends AsyncIterable<readonly GeneratedToken[]> {
  /** Ends it: what it holds is free at the next step. */
  cancel(): void;
}

/** The work under way. */
export interface EngineStats {
  /** Most sequences that tokens are generated for at once. */
  places: number;
  /** Sequences that tokens are generated for. */
  running: number;
  /** Sequences that wait for room. */
  waiting: number;
  /** Pages of the cache in all, and those without holders; absent where the cache has none. */
  pages?: { total: number; available: number };
  /** Tokens of prompts, and generated tokens, since the start. */
  tokens: { prompt: number; generated: number };
  /** Seconds of work since the start. */
  seconds: number;
}

/** Generates tokens for many sequences. */
export interface Engine {
  /** Most tokens of a sequence, its prompt included. */
  readonly contextLen: number;
  /**
   * Takes a sequence.
   *
   * @throws {RangeError} If it can never fit.
   */
  submit(request: SequenceRequest): Generation;
  /** The work under way. */
  stats(): EngineStats;
  /** Frees everything. */
  destroy(): void;
}
