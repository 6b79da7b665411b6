import type { LayerMergeReport } from "../../src/checkpoints/mod.ts";
import type { Score } from "../shared/score.ts";
import type { Variant } from "./variants.ts";

/** The costs and the savings of a change. */
export interface Row extends Variant {
  /** Bytes of the KV cache for the text. */
  cacheBytes: number;
  /** Mean negative log-likelihood of a token, in nats. */
  nll: number;
  /** `exp(nll)`: among how many equally likely tokens the model would be as unsure. */
  perplexity: number;
  /** Share of the tokens for which the likeliest one is that of the model without a change. */
  agreement: number;
  /** The shares that merging kept of each layer. */
  merge?: readonly LayerMergeReport[];
}

/** All that was measured. */
export interface Report {
  schema: 1;
  model: string;
  adapter: { description: string; isSoftware: boolean };
  /** Where the text is from, and its tokens that were predicted. */
  text: { source: string; tokens: number };
  rows: Row[];
}

/** One variant's score against that of the model without a change. */
export function rowOf(variant: Variant, cacheBytes: number, score: Score, unchanged: Score): Row {
  const tokens = score.nlls.length;
  const nll = score.nlls.reduce((sum, value) => sum + value, 0) / tokens;
  const same = score.likeliest.filter((token, i) => token === unchanged.likeliest[i]).length;
  return { ...variant, cacheBytes, nll, perplexity: Math.exp(nll), agreement: same / tokens };
}
