/** The steps of a batch, as whoever measures them sees them. */

/** The work of one step of a {@linkcode Batch}. */
export interface BatchStep {
  /** Tokens that went through the model. */
  tokens: number;
  /** Sequences that they are of. */
  sequences: number;
  /** Tokens that the newest one of a sequence sees without a window, itself included: the mean over these sequences. */
  meanContext: number;
}

/** Steps of a {@linkcode Batch} between two waits for the device. */
export interface BatchSteps {
  /** At least one. */
  steps: readonly BatchStep[];
  /** The time of all of them together, up to their tokens being on the host. */
  milliseconds: number;
}
