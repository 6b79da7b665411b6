import type { DecoderSpec } from "./spec.ts";
import type { DecoderWeights } from "./weights.ts";

/** A decoder's shape and weights. */
export interface DecoderSource {
  /** Its shape. */
  spec: DecoderSpec;
  /** Its weights by their uniform names. */
  weights: DecoderWeights;
}
