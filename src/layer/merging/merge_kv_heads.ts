import { checkFinite, checkInteger, checkObjects, sentence } from "../../base/check.ts";
import { fillInRope } from "../../cache/rope_kernel.ts";
import type { RopeOptions } from "../../cache/rope.ts";
import { checkHostAxes, checkHostTensor, type HostTensor } from "../../tensor/tensor.ts";
import type { AttentionWeights, Projection } from "../attention_weights.ts";
import { checkFewerHeads } from "../pool_kv_heads.ts";
import { projectionsOf } from "../projections.ts";
import { affineOf, projectionOf } from "./affine.ts";
import { LayerInputs } from "./layer_inputs.ts";
import { outputsOf, productsOf } from "./layer_pass.ts";
import { type Layer, mergeHeads } from "./merge_heads.ts";
import { errorOf, refit, type Target } from "./refit.ts";
import { SampledAttention } from "./sampled_attention.ts";
import { sampledTokens } from "./sampled_tokens.ts";
import type { Energy } from "./shared_subspace.ts";

/** Options of {@linkcode mergeKvHeads}: the layer, and how much work is done. */
export interface MergeKvHeadsOptions {
  /** Query heads, a multiple of `from`. */
  numHeads: number;
  /** Key/value heads that the weights are for. */
  from: number;
  /** Key/value heads to have: a divisor of `from`; 1 gives multi-query attention. */
  to: number;
  /** Elements of a query, a key and a value. The default is `dim / numHeads`. */
  headDim?: number;
  /** Rotary positions, the first token's being 0. The default is none. */
  rope?: RopeOptions;
  /** Factor on the scores. The default is `1 / sqrt(headDim)`. */
  scale?: number;
  /** Tokens that a query sees, its own included. The default is all. */
  window?: number;
  /** Slope of each query head by the distance of a key (ALiBi). The default is none. */
  alibiSlopes?: readonly number[];
  /** The number that keeps the variance of a query or a key from 0, where they are normalised. The default is 1e-6. */
  normEps?: number;
  /** The merged layer's inputs instead of `x` [B, S, dim], where layers before it have changed. The default is `x`. */
  seen?: HostTensor;
  /** An addend that its output shall have besides [B, S, dim], where layers before it have changed. The default is none. */
  missing?: HostTensor;
  /** How often weights are refitted at most: 0 leaves them as they are merged in closed form. The default is 8. */
  rounds?: number;
}

/** The shares that merging one layer kept, and the error that is left. */
export interface MergeReport {
  /**
   * Share of the keys that is kept, each weighted by the queries that read it. It is missing where queries or keys are
   * normalised: no factor passes through a norm, and keys are averaged.
   */
  keys?: number;
  /** Share of the values that is kept, each weighted by what W_O makes of it. */
  values: number;
  /**
   * Square of what the output is off by over the square of what it should be, of tokens that nothing was refitted to: as
   * merged in closed form, and as refitted.
   */
  error: { merged: number; refitted: number };
  /** Rounds of refitting: fewer than asked for where the next one would have gained nothing. */
  rounds: number;
}

/** A layer with fewer key/value heads. */
export interface MergedKvHeads {
  /** Its projections, and the norms that it had. */
  weights: Record<"q" | "k" | "v" | "o", Projection> & Pick<AttentionWeights, "qNorm" | "kNorm">;
  /** What it kept. */
  report: MergeReport;
}

const ACTION = "merge KV heads";

/**
 * Gives an attention layer fewer key/value heads, by what it does with inputs of yours: W_Q and W_O are never shared, so that
 * they can take up most of what sharing keys and values takes away. No training is needed; it costs linear algebra on the
 * host, in float64.
 *
 * 1. In closed form: of each group of neighbours the principal components of values, weighted by W_O, which then reads them by
 *    a map of each head; and those of keys, weighted by their queries. Without rotary positions any linear map of keys can
 *    move into W_Q; in a rotary pair it must be a complex factor, as only these commute with rotations.
 * 2. By least squares, in `rounds`: W_Q and W_K so that scores are what they were, W_V and W_O so that the output is.
 *
 * @param weights The projections as they are; norms of queries and keys stay.
 * @param x What the layer reads [B, S, dim]: normalised where the model normalises. A few thousand tokens do.
 * @param options The layer's heads, positions and what queries see; what the merged layer reads.
 * @returns The merged projections, in float64, and what they keep.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If heads do not divide, shapes do not agree, or an input is not finite.
 *
 * @example Two heads whose keys and values are multiples of each other become one, and nothing is lost
 * ```ts
 * import { mergeKvHeads } from "@onehead/attention";
 *
 * const q = { weight: { data: [1, 0, 0, 1], shape: [2, 2] } }; // 2 heads of size 1
 * const kv = { weight: { data: [1, 2, 3, 6], shape: [2, 2] } };
 * const x = { data: [1, 2, 3, 4, 4, 1], shape: [1, 3, 2] };
 * const { weights, report } = mergeKvHeads({ q, k: kv, v: kv, o: q }, x, { numHeads: 2, from: 2, to: 1 });
 * console.log(weights.k.weight.shape, report.values, report.error.refitted < 1e-20); // [1, 2] 1 true
 * ```
 */
export function mergeKvHeads(
  weights: AttentionWeights,
  x: HostTensor,
  options: MergeKvHeadsOptions,
): MergedKvHeads {
  checkObjects(ACTION, { x, options });
  const { from, to, seen = x, missing } = options;
  const { batch, seqLen, numHeads, headDim, rules, rounds } = fillIn(x, options);
  const { q, k, v, o } = projectionsOf(ACTION, weights, {
    ...{ dim: x.shape[2], numHeads, numKvHeads: from, headDim },
  });
  const { qNorm, kNorm } = weights;
  const norms = { qNorm, kNorm, eps: options.normEps ?? 1e-6 };
  const layer: Layer = { q: affineOf(q), k: affineOf(k), v: affineOf(v), o: affineOf(o) };
  const read = inputsOf("x", x);
  const inputs = seen === x ? read : inputsOf("seen", seen);
  const targetOf = (tokens: readonly number[]): Target => {
    const attention = new SampledAttention({ batch, seqLen, numHeads, headDim }, rules, tokens);
    const products = productsOf(layer, read, attention, norms);
    const scores = { products, weights: attention.weights(products.slice()) };
    const { outputs } = outputsOf(layer, read, attention, scores.weights);
    const missed = missing && attention.sampled(Float64Array.from(missing.data));
    missed?.forEach((value, i) => outputs[i] += value);
    return { inputs, attention, norms, scores, outputs };
  };
  const tokens = sampledTokens(batch, seqLen);
  const heldOut = targetOf(tokens.heldOut);

  const heads = { numHeads, headDim, from, to };
  const hasNorms = Boolean(qNorm || kNorm);
  const merge = mergeHeads(layer, inputs.moment, heads, { rope: rules.rope, hasNorms });
  const best = refit(merge.layer, targetOf(tokens.fitted), heldOut, rounds);
  return {
    weights: {
      q: projectionOf(best.layer.q),
      k: projectionOf(best.layer.k),
      v: projectionOf(best.layer.v),
      o: projectionOf(best.layer.o),
      ...(qNorm && { qNorm }),
      ...(kNorm && { kNorm }),
    },
    report: {
      ...(merge.keys && { keys: shareOf(merge.keys) }),
      values: shareOf(merge.values),
      error: { merged: errorOf(merge.layer, heldOut), refitted: best.error },
      rounds: best.rounds,
    },
  };
}

/** Sizes and rules with their defaults; throws where options or inputs are wrong. */
function fillIn(x: HostTensor, options: MergeKvHeadsOptions) {
  const [batch, seqLen, dim] = checkHostAxes(ACTION, "x", x, "[B, S, dim]");
  const { numHeads, from, to, seen, missing, rounds = 8, window, alibiSlopes } = options;
  checkInteger(ACTION, "numHeads", numHeads);
  const { headDim = dim / numHeads } = options;
  for (const [name, tensor] of Object.entries({ seen, missing })) {
    if (tensor !== undefined) checkHostTensor(ACTION, name, tensor, x.shape);
  }
  checkInteger(ACTION, "headDim", headDim);
  const { scale = 1 / Math.sqrt(headDim) } = options;
  checkFewerHeads(ACTION, { from, to });
  checkInteger(ACTION, "rounds", rounds, 0);
  if (window !== undefined) checkInteger(ACTION, "window", window);
  checkFinite(ACTION, "scale", scale);
  if (alibiSlopes && alibiSlopes.length !== numHeads) {
    throw new RangeError(
      sentence(ACTION, "there must be a slope for each head", { alibiSlopes, numHeads }),
    );
  }
  const rope = options.rope && fillInRope(ACTION, options.rope, headDim);
  return { batch, seqLen, numHeads, headDim, rounds, rules: { scale, rope, window, alibiSlopes } };
}

/** Share of the energy that is kept: all of it where there is none. */
function shareOf({ kept, total }: Energy): number {
  return total > 0 ? kept / total : 1;
}

function inputsOf(name: string, x: HostTensor): LayerInputs {
  const inputs = new LayerInputs(x);
  if (inputs.moment.every(Number.isFinite)) return inputs;
  throw new RangeError(`Cannot ${ACTION} as ${name} must be finite`);
}
