import type { DecoderSpec } from "../model/spec.ts";
import type { DecoderWeights } from "../model/weights.ts";

/** A decoder as its checkpoint has it. */
export interface Checkpoint {
  /** Its shape. */
  spec: DecoderSpec;
  /** Its weights, read when they are asked for. */
  weights: DecoderWeights;
  /** Lets go of the files. */
  close(): Promise<void>;
}
