import type { LayerMergeReport } from "../../src/checkpoints/mod.ts";
import type { Adapter } from "../shared/quality/measurer.ts";
import type { Comparison } from "../shared/score.ts";
import type { Variant } from "../shared/quality/variant.ts";

/** The costs and the savings of a change, beside the model without one. */
export interface Row extends Variant, Comparison {
  /** Bytes of the KV cache for the text. */
  cacheBytes: number;
  /** The shares that merging kept of each layer. */
  merge?: readonly LayerMergeReport[];
}

/** All that was measured. */
export interface Report {
  schema: 1;
  model: string;
  adapter: Adapter;
  /** Where the text is from, and its tokens that were predicted. */
  text: { source: string; tokens: number };
  rows: Row[];
}
