/** The interface of every system that runs whole models beside ours. */
import type { DecoderSource } from "../../src/model/decoder_source.ts";

/** The sequences that a system shall continue together. */
export interface Sequences {
  /** Their number. */
  sequences: number;
  /** Tokens of the longest of them, its prompt included. */
  maxTokens: number;
}

/** A model with its caches, ready to continue prompts. */
export interface PreparedModel {
  /** Bytes of keys and values of all sequences; null where the system does not say. */
  cacheBytes: number | null;
  /**
   * Continues prompts together from empty caches, each by the likeliest token.
   *
   * @param prompts Token ids [sequences][tokens], as many of each.
   * @param tokens New tokens of each.
   * @returns Token ids [sequences][tokens].
   */
  generate(prompts: readonly (readonly number[])[], tokens: number): Promise<number[][]>;
}

/**
 * Prepares a model.
 *
 * @throws {AbsentError} If the system has no option for what is asked.
 */
export type Prepare = (source: DecoderSource, sequences: Sequences) => Promise<PreparedModel>;

/** A system that runs models: nothing of it is touched before it is loaded. */
export interface ModelSystem {
  /** Name and version: "wllama 3.13.0". */
  name: string;
  /** The package of npm that it is, and the version that is loaded; ours has none. */
  npm?: { name: string; version: string };
  load(): Promise<Prepare>;
}
