/** The interface of every system that is measured or checked beside ours. */
import type { Asked, Inputs } from "../asked.ts";
import type { PrepareGradient } from "../gradient/system.ts";

/** Attention of one shape, ready to run as often as one likes. */
export interface Prepared {
  /** Computes `calls` times, and waits once until all of them are done. */
  run(calls: number): Promise<void>;
  /** The output of the latest call [batch, seqLen, numHeads, headDim]. */
  output(): Promise<ArrayLike<number>>;
  /** Frees what it holds; others of the same system go on. */
  destroy(): void | Promise<void>;
  /** The largest error that its own rounding leaves room for, where it rounds more than what was asked does. */
  tolerance?: number;
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
  /**
   * Prepares attention over these inputs, and its gradients.
   *
   * @throws {AbsentError} If the system has no gradients.
   */
  prepareGradient: PrepareGradient;
}

/** A system that can be loaded: nothing of it is touched before. */
export interface PeerPackage {
  /** Name and version, known without loading. */
  name: string;
  /** The package of npm that it is, and the version that is loaded. */
  npm: { name: string; version: string };
  load(): Promise<Omit<Peer, "name">>;
}

/** A system's interface has no such option: nobody promised it. */
export class AbsentError extends Error {
  override name = "AbsentError";
  /** The page that says what there is. */
  readonly source?: string;

  constructor(option: string, source?: string) {
    super(`not supported: ${option}`);
    this.source = source;
  }
}

/** A system cannot be loaded here: it could not even be asked. */
export class LoadError extends Error {
  override name = "LoadError";

  constructor(cause: unknown) {
    super(`cannot load: ${cause instanceof Error ? cause.message : cause}`);
  }
}

/** Throws where one of these is asked for; `source` is the page that says what there is. */
export function refuse(asked: Asked, options: readonly (keyof Asked)[], source: string): void {
  for (const option of options) {
    if (asked[option] !== undefined) throw new AbsentError(option, source);
  }
}
