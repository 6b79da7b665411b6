/** A decoder-only transformer in float64: the textbook definition, as an oracle for the GPU. */
import { referenceRow } from "../reference/attention.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import { checkInteger, checkObject, sentence } from "../base/check.ts";
import { activations } from "../reference/activations.ts";
import { ropedRow } from "../reference/rope.ts";
import { checkSpec, checkWeights } from "./check_spec.ts";
import { checkTokens } from "./check_tokens.ts";
import { readWeight } from "./read_weight.ts";
import type { DecoderSpec } from "./spec.ts";
import { weightShapes } from "./weight_shapes.ts";
import type { DecoderWeights, WeightData } from "./weights.ts";

/** Options of {@linkcode ReferenceDecoder.forward}. */
export interface ReferenceForwardOptions {
  /** Tokens that a query sees, its own included, where a layer's own window is not smaller. The default is its own. */
  window?: number;
  /** First tokens that stay visible past the window. The default is 0. */
  sinks?: number;
  /** Index of the layer whose attention weights are wanted. The default is none. */
  attentionOf?: number;
}

/** The results of {@linkcode ReferenceDecoder.forward}. */
export interface ReferenceForward {
  /** Logits after each token [tokens, vocabSize]. */
  logits: Float64Array;
  /** Attention weights [numHeads, tokens, tokens], if asked for; each row sums to 1. */
  attention?: Float64Array;
}

const CREATE = "create ReferenceDecoder";
const RUN = "run ReferenceDecoder";

/** One row of numbers for each token. */
type Rows = Float64Array[];

/**
 * A decoder-only transformer in float64, computed as it is written in textbooks: every token anew, without a cache.
 *
 * @example A model of random weights
 * ```ts
 * import { type DecoderSpec, randomWeights, ReferenceDecoder } from "@onehead/attention/decoder";
 *
 * const spec: DecoderSpec = {
 *   ...{ vocabSize: 100, dim: 32, hiddenDim: 64, numHeads: 4, numKvHeads: 1, headDim: 8, contextLen: 64 },
 *   layers: [{ rope: {} }, { rope: {} }],
 *   norm: { kind: "rms", eps: 1e-5 },
 *   ...{ activation: "silu", isGated: true, isParallel: false },
 * };
 * const decoder = await ReferenceDecoder.create(spec, randomWeights(spec));
 * const { logits, attention } = decoder.forward([1, 2, 3], { attentionOf: 0 });
 * console.log(logits.length, attention?.length); // 300 36: [3, 100] and [4, 3, 3]
 * ```
 */
export class ReferenceDecoder {
  /** The model's shape. */
  readonly spec: DecoderSpec;
  readonly #weights: ReadonlyMap<string, WeightData>;

  private constructor(spec: DecoderSpec, weights: ReadonlyMap<string, WeightData>) {
    this.spec = spec;
    this.#weights = weights;
  }

  /**
   * Reads all weights.
   *
   * @param spec The model's shape.
   * @param weights Where its weights are read from.
   * @returns The decoder.
   * @throws {TypeError} If a value is of the wrong kind.
   * @throws {RangeError} If a size is out of range, or a weight has another shape than the spec says.
   * @throws What `weights` throws, if one lacks or cannot be read.
   */
  static async create(spec: DecoderSpec, weights: DecoderWeights): Promise<ReferenceDecoder> {
    checkSpec(CREATE, spec);
    checkWeights(CREATE, weights);
    const read = new Map<string, WeightData>();
    for (const { name, shape, isOptional } of weightShapes(spec)) {
      if (isOptional && !weights.has(name)) continue;
      read.set(name, await readWeight(CREATE, weights, { name, shape }));
    }
    return new ReferenceDecoder(spec, read);
  }

  /**
   * Feeds a whole sequence.
   *
   * @param tokens The sequence, from its start.
   * @param options The window of queries, and the layer whose attention weights are returned.
   * @returns The logits after each token, and the attention weights of a layer if asked for.
   * @throws {TypeError} If a token is no number.
   * @throws {RangeError} If a token is not of the vocabulary, there are more tokens than positions, or there is no
   * such layer.
   */
  forward(tokens: readonly number[], options: ReferenceForwardOptions = {}): ReferenceForward {
    const { layers, vocabSize } = this.spec;
    checkObject(RUN, "options", options);
    const { attentionOf, window, sinks } = options;
    if (window !== undefined) checkInteger(RUN, "window", window);
    if (sinks !== undefined) checkInteger(RUN, "sinks", sinks, 0);
    if (attentionOf !== undefined) checkInteger(RUN, "attentionOf", attentionOf, 0);
    if (attentionOf !== undefined && attentionOf >= layers.length) {
      throw new RangeError(
        sentence(RUN, "attentionOf must be the index of a layer", {
          attentionOf,
          layers: layers.length,
        }),
      );
    }

    let attention: Float64Array | undefined;
    let x = this.#embed(tokens);
    for (let layer = 0; layer < layers.length; layer++) {
      const { sum, weights } = this.#layer(layer, x, options);
      x = sum;
      attention ??= weights;
    }
    const normed = this.#norm("finalNorm", x);
    const classifier = this.#weights.has("classifier.weight") ? "classifier" : "embedding";
    const logits = new Float64Array(tokens.length * vocabSize);
    this.#linear(classifier, normed).forEach((row, token) => logits.set(row, token * vocabSize));
    return { logits, attention };
  }

  #embed(tokens: readonly number[]): Rows {
    const { dim, vocabSize, contextLen, positionsEnd, embeddingScale = 1 } = this.spec;
    const embedding = this.#weights.get("embedding.weight")!.data;
    const positions = this.#weights.get("positions.weight")?.data;
    checkTokens(RUN, tokens, vocabSize);
    if ((positions || positionsEnd) && tokens.length > contextLen) {
      throw new RangeError(
        sentence(RUN, "the model's positions end with contextLen", {
          tokens: tokens.length,
          contextLen,
        }),
      );
    }
    return tokens.map((token, position) =>
      Float64Array.from(
        { length: dim },
        (_, i) =>
          embeddingScale * embedding[token * dim + i] + (positions?.[position * dim + i] ?? 0),
      )
    );
  }

  #layer(layer: number, x: Rows, options: ReferenceForwardOptions) {
    const name = (component: string) => `layers.${layer}.${component}`;
    const normed = this.#norm(name("attentionNorm"), x);
    const { o, weights } = this.#attend(layer, normed, options);
    const attended = this.#normIfAny(name("postAttentionNorm"), this.#linear(name("o"), o));
    const afterAttention = sumOf(x, attended);

    const hasOneNorm = !this.#weights.has(name("mlpNorm.weight"));
    const beforeMlp = this.spec.isParallel ? x : afterAttention;
    const inside = hasOneNorm ? normed : this.#norm(name("mlpNorm"), beforeMlp);
    const fed = this.#normIfAny(name("postMlpNorm"), this.#feedForward(layer, inside));
    return { sum: sumOf(afterAttention, fed), weights };
  }

  /** Attention between its projections: [numHeads headDim] of each token. */
  #attend(layer: number, x: Rows, options: ReferenceForwardOptions) {
    const { numHeads, numKvHeads, headDim, scale, alibiSlopes, layers } = this.spec;
    const { sinks, attentionOf } = options;
    const { rope, window = Infinity } = layers[layer];
    const sees = Math.min(window, options.window ?? Infinity, x.length);
    const name = (component: string) => `layers.${layer}.${component}`;
    const positioned = (component: "q" | "k") =>
      this.#linear(name(component), x).map((row, position) =>
        headsOf(row, headDim).flatMap((head) => {
          const [normed] = this.#normIfAny(name(`${component}Norm`), [head], "rms");
          return rope ? ropedRow(normed, position, rope) : Array.from(normed);
        })
      );
    const tensor = (rows: readonly ArrayLike<number>[], heads: number): HostTensor => ({
      data: rows.flatMap((row) => Array.from(row)),
      shape: [1, rows.length, heads, headDim],
    });
    const inputs = {
      q: tensor(positioned("q"), numHeads),
      k: tensor(positioned("k"), numKvHeads),
      v: tensor(this.#linear(name("v"), x), numKvHeads),
    };

    const o: Rows = x.map(() => new Float64Array(numHeads * headDim));
    const weights = layer === attentionOf ? new Float64Array(numHeads * x.length ** 2) : undefined;
    for (let head = 0; head < numHeads; head++) {
      for (let token = 0; token < x.length; token++) {
        const row = referenceRow(inputs, { batch: 0, head, token }, {
          ...{ causal: true, window: sees, sinks, scale, alibiSlopes },
        });
        o[token].set(row.o, head * headDim);
        weights?.set(row.weights, (head * x.length + token) * x.length);
      }
    }
    return { o, weights };
  }

  #feedForward(layer: number, x: Rows): Rows {
    const { isGated, activation } = this.spec;
    const activate = activations[activation];
    const up = this.#linear(`layers.${layer}.up`, x);
    const inside = isGated
      ? this.#linear(`layers.${layer}.gate`, x)
        .map((gate, token) => gate.map((value, i) => activate(value) * up[token][i]))
      : up.map((row) => row.map(activate));
    return this.#linear(`layers.${layer}.down`, inside);
  }

  /** x W^T + b */
  #linear(name: string, x: Rows): Rows {
    const { data, shape: [out, size] } = this.#weights.get(`${name}.weight`)!;
    const bias = this.#weights.get(`${name}.bias`)?.data;
    return x.map((row) => {
      const result = new Float64Array(out);
      for (let i = 0; i < out; i++) {
        let sum = bias?.[i] ?? 0;
        for (let j = 0; j < size; j++) sum += data[i * size + j] * row[j];
        result[i] = sum;
      }
      return result;
    });
  }

  #normIfAny(name: string, x: Rows, kind = this.spec.norm.kind): Rows {
    return this.#weights.has(`${name}.weight`) ? this.#norm(name, x, kind) : x;
  }

  /** (x - mean) / sqrt(variance + eps) weight + bias; for RMSNorm, the mean counts as 0. */
  #norm(name: string, x: Rows, kind = this.spec.norm.kind): Rows {
    const weight = this.#weights.get(`${name}.weight`)!.data;
    const bias = this.#weights.get(`${name}.bias`)?.data;
    return x.map((row) => {
      const mean = kind === "layer" ? meanOf(row) : 0;
      const variance = meanOf(row.map((value) => (value - mean) ** 2));
      const deviation = Math.sqrt(variance + this.spec.norm.eps);
      return row.map((value, i) => (value - mean) / deviation * weight[i] + (bias?.[i] ?? 0));
    });
  }
}

function meanOf(row: Float64Array): number {
  return row.reduce((sum, value) => sum + value, 0) / row.length;
}

function sumOf(a: Rows, b: Rows): Rows {
  return a.map((row, token) => row.map((value, i) => value + b[token][i]));
}

function headsOf(row: Float64Array, headDim: number): Rows {
  return Array.from(
    { length: row.length / headDim },
    (_, head) => row.subarray(head * headDim, (head + 1) * headDim),
  );
}
