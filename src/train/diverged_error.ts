/**
 * The loss or the gradient of a training step is not a finite number. The message names the step; the weights and the
 * optimizer are as they were before it.
 *
 * @example
 * ```ts
 * import { TrainingDivergedError } from "@onehead/attention/train";
 *
 * const error = new TrainingDivergedError("Cannot train as the loss must be finite: current values step=7, loss=NaN");
 * console.log(error.name, error instanceof Error); // TrainingDivergedError true
 * ```
 */
export class TrainingDivergedError extends Error {
  /** The class's name, for programs that see the error from afar. */
  override readonly name = "TrainingDivergedError";
}
