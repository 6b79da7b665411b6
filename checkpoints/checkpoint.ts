import type { DecoderSpec } from "../decoder/spec.ts";
import type { DecoderWeights } from "../decoder/weights.ts";

/** A decoder as its checkpoint has it. */
export interface Checkpoint {
  /** Its shape. */
  spec: DecoderSpec;
  /** Its weights, read when they are asked for. */
  weights: DecoderWeights;
  /** Lets go of the files. */
  close(): Promise<void>;
}
