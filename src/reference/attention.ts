import {
  checkFunction,
  checkGiven,
  checkInteger,
  checkNumbers,
  checkObject,
  checkObjects,
  copyShape,
  sentence,
} from "../base/check.ts";
import { sizesOf } from "../plan/sizes.ts";
import { type Alignment, fillInScores, leadingAxes, type ScoreSpec } from "../score/score_spec.ts";
import type { AttentionSpec } from "../plan/spec.ts";
import { checkHostTensor, type HostMask, type HostTensor } from "../tensor/tensor.ts";

const ACTION = "compute a reference";

/** The place of a score: positions in the sequence, as a `ScoreAt` has them in WGSL. */
export interface ScoreAt {
  /** Sequence within the batch. */
  batch: number;
  /** Query head. */
  head: number;
  /** Position of the query, which may lie before or after all tokens. */
  query: number;
  /** Position of the key. */
  key: number;
}

/** The inputs of attention. */
export interface ReferenceInputs {
  /** Queries [B, S, N, H] (or [B, N, S, H] in layout `"BNSH"`). */
  q: HostTensor;
  /** Keys [B, C, numKvHeads, H] (or [B, numKvHeads, C, H]). */
  k: HostTensor;
  /** Values [B, C, numKvHeads, valueDim] (or [B, numKvHeads, C, valueDim]). */
  v: HostTensor;
  /** Keys that each sequence has, from its first [B]. The default is all C. */
  lengths?: HostTensor;
  /** Numbers that are added to the scores [B, N, S, K], or as {@linkcode ScoreSpec.bias} says. The default is none. */
  bias?: HostTensor;
  /** The mask [B, N, S, K], or as {@linkcode ScoreSpec.mask} says. The default is none. */
  mask?: HostMask;
  /** The function of {@linkcode ScoreSpec.scoreMod}, in JavaScript. The default is none. */
  scoreMod?: (score: number, at: ScoreAt) => number;
  /** The function of {@linkcode ScoreSpec.maskMod}, in JavaScript. The default is none. */
  maskMod?: (at: ScoreAt) => boolean;
}

/** Options of {@linkcode referenceAttention}, as of the attention it checks. */
export type ReferenceOptions =
  & Omit<ScoreSpec, "bias" | "mask" | "scoreMod" | "maskMod">
  & Pick<AttentionSpec, "layout" | "sinks">;

/** A query row: its sequence, query head and new token. */
export interface QueryRow {
  /** Sequence within the batch. */
  batch: number;
  /** Query head. */
  head: number;
  /** New token. */
  token: number;
}

/** Everything about one query row, over the C tokens of the context. */
export interface ReferenceRow {
  /** `scale * q . k` [C], of every key; -Infinity past the end of the sequence. */
  products: Float64Array;
  /** After the softcap [C]. */
  softcapped: Float64Array;
  /** After bias and masks [C]; -Infinity where the query must not see the key. */
  scores: Float64Array;
  /** Softmax of the scores [C]; all zero for a row that sees nothing. */
  weights: Float64Array;
  /** Values averaged by the weights [valueDim]; all zero for a row that sees nothing. */
  o: Float64Array;
  /** Natural logarithm of the sum of the scores' exponentials; -Infinity for a row that sees nothing. */
  lse: number;
}

/** Everything about all rows. */
export interface ReferenceResult {
  /** [B, N, S, C] */
  products: Float64Array;
  /** [B, N, S, C] */
  softcapped: Float64Array;
  /** [B, N, S, C] */
  scores: Float64Array;
  /** [B, N, S, C] */
  weights: Float64Array;
  /** Shaped as q, with `valueDim` for H. */
  o: Float64Array;
  /** Shaped as o without its last axis. */
  lse: Float64Array;
}

/** The lowest f32: a bias of it masks, as one of -Infinity does. */
const LOWEST_F32 = -3.4028234663852886e38;

/**
 * Attention of one query row in float64: the textbook definition, as an oracle for the kernels.
 *
 * `softmax(scale q K^T) V` (Vaswani et al. 2017, arXiv 1706.03762), with query head h reading KV head `h / groupSize`
 * (Shazeer 2019, arXiv 1911.02150; Ainslie et al. 2023, arXiv 2305.13245), and between product and softmax, in this order:
 * softcap, ALiBi, bias, `scoreMod`, masks.
 *
 * @param inputs Queries, keys, values and what masks them.
 * @param row Which row.
 * @param options What a query sees, and layout.
 * @returns Every stage of the row, its output and its log-sum-exp.
 * @throws {TypeError} If a shape has the wrong number of axes, or the options have a function in WGSL and the inputs none in
 * JavaScript.
 * @throws {RangeError} If the shapes do not agree, or heads do not divide.
 *
 * @example
 * ```ts
 * import { referenceRow } from "@onehead/attention";
 *
 * const inputs = {
 *   q: { data: [1, 0], shape: [1, 1, 1, 2] },
 *   k: { data: [1, 0, 1, 0], shape: [1, 2, 1, 2] },
 *   v: { data: [2, 4, 6, 8], shape: [1, 2, 1, 2] },
 * };
 * const { weights, o, lse } = referenceRow(inputs, { batch: 0, head: 0, token: 0 }, { scale: 1 });
 * console.log(weights, o, lse); // [0.5, 0.5] [4, 6] 1.693...: 1 + log(2)
 * ```
 */
export function referenceRow(
  inputs: ReferenceInputs,
  row: QueryRow,
  options: ReferenceOptions = {},
): ReferenceRow {
  checkObjects(ACTION, { inputs, row, options });
  checkInputs(inputs, options);
  const { batch, numHeads, seqLen } = sizesOf(inputs, options.layout);
  for (const [name, count] of Object.entries({ batch, head: numHeads, token: seqLen })) {
    const index = row[name as keyof QueryRow];
    checkInteger(ACTION, `row.${name}`, index, 0);
    if (index < count) continue;
    throw new RangeError(sentence(ACTION, `row.${name} must be below ${count}`, { [name]: index }));
  }
  return rowOf(inputs, row, options);
}

/** Throws unless the inputs of a reference are tensors of numbers, and its functions functions. */
export function checkInputs(inputs: ReferenceInputs, { sinks = 0 }: ReferenceOptions): void {
  const { q, k, v, bias, mask, lengths, scoreMod, maskMod } = inputs;
  checkGiven(ACTION, { bias, mask, lengths });
  checkInteger(ACTION, "sinks", sinks, 0);
  const numbers = mask && { ...mask, data: maskNumbers(mask.data) };
  for (const [name, tensor] of Object.entries({ q, k, v, bias, lengths, mask: numbers })) {
    if (tensor === undefined) continue;
    checkObject(ACTION, name, tensor);
    checkHostTensor(ACTION, name, tensor, copyShape(ACTION, `${name}.shape`, tensor.shape));
  }
  for (const [name, mod] of Object.entries({ scoreMod, maskMod })) {
    if (mod !== undefined) checkFunction(ACTION, name, mod);
  }
}

/** The elements of a mask as numbers; what is neither true nor false is left as it is. */
function maskNumbers(data: HostMask["data"]): ArrayLike<number> {
  if (!Array.isArray(data)) return data as ArrayLike<number>;
  return data.map((element) => typeof element === "boolean" ? Number(element) : element);
}

/** {@linkcode referenceRow} of inputs that are checked. */
export function rowOf(
  inputs: ReferenceInputs,
  row: QueryRow,
  options: ReferenceOptions,
): ReferenceRow {
  const { q, k, v, bias, mask, scoreMod, maskMod } = inputs;
  const { layout = "BSNH", sinks = 0 } = options;
  const sizes = sizesOf(inputs, layout);
  const { numHeads, numKvHeads, headDim, valueDim, seqLen, contextLen } = sizes;
  const spec = fillInScores(
    ACTION,
    { ...withoutMods(inputs, options), bias: bias?.shape, mask: mask?.shape },
    { ...sizes, capacity: contextLen },
  );
  const kvHead = Math.floor(row.head / (numHeads / numKvHeads));
  const offset = (head: number, token: number, heads: number, tokens: number, size: number) =>
    layout === "BSNH"
      ? ((row.batch * tokens + token) * heads + head) * size
      : ((row.batch * heads + head) * tokens + token) * size;

  const length = inputs.lengths?.data[row.batch] ?? contextLen;
  const position = positionOf(row, { length, seqLen, alignment: spec.alignment });
  const { window = Infinity, windowRight = Infinity } = spec;
  const isInWindow = (key: number) =>
    (key > position - window || key < sinks) && key <= position + (spec.causal ? 0 : windowRight);

  const slope = spec.alibiSlopes?.[row.head] ?? 0;
  const biasAt = (key: number) => {
    if (!bias) return 0;
    return key < bias.shape.at(-1)! ? bias.data[broadcastIndex(bias.shape, row, key)] : -Infinity;
  };
  const isUnmasked = (key: number) => {
    if (!mask) return true;
    const numKeys = mask.shape.at(-1)!;
    const element = spec.maskKeys === "first" ? key : key - (length - numKeys);
    if (element < 0) return true;
    return element < numKeys && Boolean(mask.data[broadcastIndex(mask.shape, row, element)]);
  };

  const { batch, head } = row;
  const products = new Float64Array(contextLen).fill(-Infinity);
  const softcapped = products.slice();
  const scores = products.slice();
  const qOffset = offset(row.head, row.token, numHeads, seqLen, headDim);
  for (let key = 0; key < length; key++) {
    const kOffset = offset(kvHead, key, numKvHeads, contextLen, headDim);
    let dot = 0;
    for (let h = 0; h < headDim; h++) dot += q.data[qOffset + h] * k.data[kOffset + h];
    products[key] = spec.scale * dot;
    softcapped[key] = spec.softcap === undefined
      ? products[key]
      : spec.softcap * Math.tanh(products[key] / spec.softcap);
    const added = biasAt(key);
    if (!isInWindow(key) || !isUnmasked(key) || added <= LOWEST_F32) continue;
    const score = softcapped[key] - slope * Math.abs(position - key) + added;
    const at = { batch, head, query: position, key };
    const modified = scoreMod ? scoreMod(score, at) : score;
    const isLowest = (bias || scoreMod) && modified <= LOWEST_F32;
    if (isLowest || (maskMod && !maskMod(at))) continue;
    scores[key] = modified;
  }

  const stages = { products, softcapped, scores };
  const o = new Float64Array(valueDim);
  const weights = new Float64Array(contextLen);
  const sink = spec.sinkLogits?.[row.head] ?? -Infinity;
  const max = scores.reduce((a, b) => Math.max(a, b), sink);
  if (max === -Infinity) return { ...stages, weights, o, lse: -Infinity };
  const denominator = scores.reduce(
    (sum, score) => sum + Math.exp(score - max),
    Math.exp(sink - max),
  );
  for (let key = 0; key < contextLen; key++) {
    if (scores[key] === -Infinity) continue;
    weights[key] = Math.exp(scores[key] - max) / denominator;
    const vOffset = offset(kvHead, key, numKvHeads, contextLen, valueDim);
    for (let h = 0; h < valueDim; h++) o[h] += weights[key] * v.data[vOffset + h];
  }
  return { ...stages, weights, o, lse: max + Math.log(denominator) };
}

/** Options without functions in WGSL, for each of which there must be one in JavaScript. */
function withoutMods(inputs: ReferenceInputs, options: ReferenceOptions): ReferenceOptions {
  const { scoreMod, maskMod, ...others }: ScoreSpec = options;
  for (const [name, mod] of Object.entries({ scoreMod, maskMod })) {
    if (mod === undefined || name in inputs) continue;
    const rule = `${name} must be a function in JavaScript, among the inputs`;
    throw new TypeError(sentence(ACTION, rule, { [name]: mod }));
  }
  return others;
}

/** The position of a query in its sequence of `length` tokens. */
export function positionOf(
  { token }: QueryRow,
  { length, seqLen, alignment }: { length: number; seqLen: number; alignment: Alignment | number },
): number {
  const first = { "bottom-right": length - seqLen, "top-left": 0 };
  return token + (typeof alignment === "number" ? alignment : first[alignment]);
}

/** Where the element of a row and a key lies in a tensor that is broadcast to [B, N, S, K]. */
export function broadcastIndex(shape: readonly number[], row: QueryRow, key: number): number {
  const [batches, heads, tokens] = leadingAxes(shape);
  const [batch, head, token] = [row.batch % batches, row.head % heads, row.token % tokens];
  return ((batch * heads + head) * tokens + token) * shape.at(-1)! + key;
}

/**
 * Attention in float64, all rows: see {@linkcode referenceRow}.
 *
 * @param inputs Queries, keys, values and what masks them.
 * @param options What a query sees, and layout.
 * @returns Every stage, outputs and log-sum-exps.
 * @throws {TypeError} If a shape has the wrong number of axes, or the options have a function in WGSL and the inputs none in
 * JavaScript.
 * @throws {RangeError} If the shapes do not agree, or heads do not divide.
 *
 * @example
 * ```ts
 * import { referenceAttention } from "@onehead/attention";
 *
 * const { o } = referenceAttention({
 *   q: { data: [1, 0], shape: [1, 1, 1, 2] },
 *   k: { data: [1, 0, 1, 0], shape: [1, 2, 1, 2] },
 *   v: { data: [2, 4, 6, 8], shape: [1, 2, 1, 2] },
 * });
 * console.log(o); // Float64Array [4, 6]: both keys match equally well
 * ```
 */
export function referenceAttention(
  inputs: ReferenceInputs,
  options: ReferenceOptions = {},
): ReferenceResult {
  checkObjects(ACTION, { inputs, options });
  checkInputs(inputs, options);
  const { layout = "BSNH" } = options;
  const sizes = sizesOf(inputs, layout);
  const { batch: batches, numHeads, seqLen, contextLen, valueDim } = sizes;
  const rows = batches * numHeads * seqLen;
  const matrix = () => new Float64Array(rows * contextLen);
  const stages = {
    products: matrix(),
    softcapped: matrix(),
    scores: matrix(),
    weights: matrix(),
  };
  const o = new Float64Array(rows * valueDim);
  const lse = new Float64Array(rows);
  for (let index = 0; index < rows; index++) {
    const token = index % seqLen;
    const head = Math.floor(index / seqLen) % numHeads;
    const batch = Math.floor(index / (seqLen * numHeads));
    const row = rowOf(inputs, { batch, head, token }, options);
    for (const stage of ["products", "softcapped", "scores", "weights"] as const) {
      stages[stage].set(row[stage], index * contextLen);
    }
    const oRow = layout === "BSNH" ? (batch * seqLen + token) * numHeads + head : index;
    o.set(row.o, oRow * valueDim);
    lse[oRow] = row.lse;
  }
  return { ...stages, o, lse };
}

/**
 * Merges attention over the shards of a context into attention over the whole, in float64: an oracle for `MergeStates`.
 *
 * @param states Outputs [rows, valueDim] and log-sum-exps [rows]; -Infinity, or the lowest f32, for a row that sees nothing.
 * @returns Outputs and log-sum-exps over the whole.
 * @throws {TypeError} If a state is no arrays of numbers.
 * @throws {RangeError} If states have not as many.
 *
 * @example
 * ```ts
 * import { referenceMergeStates } from "@onehead/attention";
 *
 * const { o, lse } = referenceMergeStates([{ o: [4], lse: [0] }, { o: [8], lse: [Math.log(3)] }]);
 * console.log(o, lse); // [7] [1.386...]: log(4)
 * ```
 */
export function referenceMergeStates(
  states: readonly { o: ArrayLike<number>; lse: ArrayLike<number> }[],
): { o: Float64Array; lse: Float64Array } {
  if (!Array.isArray(states) || states.length === 0) {
    throw new TypeError(sentence(ACTION, "there must be an array of states", { states }));
  }
  checkStates(states);
  const o = new Float64Array(states[0].o.length);
  const lse = new Float64Array(states[0].lse.length);
  const valueDim = o.length / lse.length;
  for (let row = 0; row < lse.length; row++) {
    const seen = states.filter((state) => !(state.lse[row] <= LOWEST_F32));
    const max = Math.max(...seen.map((state) => state.lse[row]));
    const sum = seen.reduce((sum, state) => sum + Math.exp(state.lse[row] - max), 0);
    lse[row] = max + Math.log(sum);
    for (const state of seen) {
      const share = Math.exp(state.lse[row] - lse[row]);
      for (let h = row * valueDim; h < (row + 1) * valueDim; h++) o[h] += share * state.o[h];
    }
  }
  return { o, lse };
}

/** Throws unless all states have as many numbers. */
function checkStates(states: readonly { o: ArrayLike<number>; lse: ArrayLike<number> }[]): void {
  states.forEach((state, i) => {
    checkObject(ACTION, `states[${i}]`, state);
    for (const name of ["o", "lse"] as const) {
      checkNumbers(ACTION, `states[${i}].${name}`, state[name]);
      const [elements, first] = [state[name].length, states[0][name].length];
      if (elements === first) continue;
      const rule = `${name} of all states must have as many elements`;
      throw new RangeError(sentence(ACTION, rule, { elements, first }));
    }
  });
}
