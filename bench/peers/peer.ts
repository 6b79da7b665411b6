/** What the bench asks of every system that it measures or checks beside ours. */
import type { ScoreSpec } from "../../mod.ts";
import type { Shape } from "../result.ts";

/** Causal attention of the last `seqLen` tokens of a context, and what else is asked of it. */
export interface Asked extends Shape, Pick<ScoreSpec, "window" | "softcap" | "sinkLogits"> {
  /** Whether numbers are added to the scores. */
  hasBias?: boolean;
  /** Whether the cache has room for the window alone, and so wraps. */
  ring?: boolean;
}

/** What it is computed from, row-major; in f16 every element is one. */
export interface Inputs {
  /** [batch, seqLen, numHeads, headDim] */
  q: Float32Array;
  /** [batch, numKvHeads, contextLen, headDim] */
  k: Float32Array;
  /** [batch, numKvHeads, contextLen, headDim] */
  v: Float32Array;
  /** [numHeads, seqLen, contextLen] */
  bias?: Float32Array;
}

/** Attention of one shape, ready to run as often as one likes. */
export interface Prepared {
  /** Computes so many times, and waits once until all of them are done. */
  run(calls: number): Promise<void>;
  /** What the latest call computed [batch, seqLen, numHeads, headDim]. */
  output(): Promise<ArrayLike<number>>;
  /** Frees what it holds; others of the same system go on. */
  destroy(): void | Promise<void>;
}

/** A system that has been loaded. */
export interface Peer {
  /** Name and version: "jax-js 0.1.25". */
  name: string;
  /**
   * Prepares attention over these inputs.
   *
   * @throws {AbsentError} If the system has no option for what is asked.
   */
  prepare(asked: Asked, inputs: Inputs): Promise<Prepared>;
}

/** A system that can be loaded: nothing of it is touched before. */
export interface PeerPackage {
  /** Name and version, known without loading. */
  name: string;
  load(): Promise<Omit<Peer, "name">>;
}

/** A system's interface has no such option: nobody promised it. */
export class AbsentError extends Error {
  override name = "AbsentError";

  constructor(option: string) {
    super(`not supported: ${option}`);
  }
}

/** A system cannot be loaded here: it could not even be asked. */
export class LoadError extends Error {
  override name = "LoadError";

  constructor(cause: unknown) {
    super(`cannot load: ${cause instanceof Error ? cause.message : cause}`);
  }
}

/** Throws where one of these is asked for. */
export function refuse(asked: Asked, options: readonly (keyof Asked)[]): void {
  for (const option of options) {
    if (asked[option] !== undefined) throw new AbsentError(option);
  }
}
