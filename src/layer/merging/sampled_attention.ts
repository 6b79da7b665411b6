/** Causal attention in float64 over the tokens of a calibration, of a sample of its queries: forwards and backwards. */
import type { FilledRope } from "../../cache/rope_kernel.ts";
import { rotaryPairs } from "../../cache/rotary_pairs.ts";
import { addProducts, addSum, addToRows, type Rows } from "./row_loops.ts";

/** Sizes of an attention whose queries are sampled. */
export interface SampleShape {
  /** Sequences. */
  batch: number;
  /** Tokens of each. */
  seqLen: number;
  numHeads: number;
  headDim: number;
}

/** The keys that a query sees, and how they are scored. */
export interface SampleRules {
  scale: number;
  rope?: FilledRope;
  window?: number;
  alibiSlopes?: readonly number[];
}

/** A query that is taken. */
interface Sample {
  /** Its token, all sequences one after the other. */
  token: number;
  position: number;
  /** The first token that it sees; the last is its own. */
  first: number;
  /** Where its scores begin, within those of a head. */
  offset: number;
}

/**
 * Scores are packed: for each query head, for each sample, one for each token that it sees. Rows are [tokens or samples, heads
 * headDim].
 */
export class SampledAttention {
  readonly shape: SampleShape;
  readonly samples: readonly Sample[];
  readonly #rules: SampleRules;
  /** Scores of a head. */
  readonly #scores: number;
  /** Elements of a head that are rotated together. */
  readonly #pairs: readonly [number, number][];
  /** Cosines and sines of each position and pair. */
  readonly #rotations: { cosines: Float64Array; sines: Float64Array };

  /** @param tokens Tokens whose queries are taken, of all sequences one after the other. */
  constructor(shape: SampleShape, rules: SampleRules, tokens: readonly number[]) {
    const { seqLen } = shape;
    const { window = Infinity, rope } = rules;
    let offset = 0;
    const samples = tokens.map((token): Sample => {
      const position = token % seqLen;
      const visible = Math.min(position + 1, window);
      offset += visible;
      return { token, position, first: token + 1 - visible, offset: offset - visible };
    });
    this.shape = shape;
    this.samples = samples;
    this.#rules = rules;
    this.#scores = offset;
    const { frequencies, attentionFactor: factor } = rope ??
      { frequencies: [], attentionFactor: 1 };
    const pairs = frequencies.length;
    const angles = Float64Array.from(
      { length: seqLen * pairs },
      (_, i) => Math.floor(i / pairs) * frequencies[i % pairs],
    );
    this.#pairs = rope ? rotaryPairs(rope) : [];
    this.#rotations = {
      cosines: angles.map((angle) => factor * Math.cos(angle)),
      sines: angles.map((angle) => factor * Math.sin(angle)),
    };
  }

  /** The rows of the samples' tokens. */
  sampled(rows: Float64Array): Float64Array {
    const { batch, seqLen } = this.shape;
    const width = rows.length / (batch * seqLen);
    const result = new Float64Array(this.samples.length * width);
    this.samples.forEach(({ token }, i) =>
      result.set(rows.subarray(token * width, (token + 1) * width), i * width)
    );
    return result;
  }

  /** Rotates the keys of all tokens, in place; `direction` -1 is the adjoint. */
  rotateKeys(keys: Float64Array, direction: 1 | -1 = 1): Float64Array {
    const { batch, seqLen } = this.shape;
    const width = keys.length / (batch * seqLen);
    for (let token = 0; token < batch * seqLen; token++) {
      this.#rotate(keys, token * width, width, token % seqLen, direction);
    }
    return keys;
  }

  /** Rotates the queries of the samples, in place; `direction` -1 is the adjoint. */
  rotateQueries(queries: Float64Array, direction: 1 | -1 = 1): Float64Array {
    const width = queries.length / this.samples.length;
    this.samples.forEach(({ position }, i) =>
      this.#rotate(queries, i * width, width, position, direction)
    );
    return queries;
  }

  #rotate(
    rows: Float64Array,
    start: number,
    width: number,
    position: number,
    direction: 1 | -1,
  ): void {
    const pairs = this.#pairs;
    const { cosines, sines } = this.#rotations;
    for (let head = start; head < start + width; head += this.shape.headDim) {
      for (let pair = 0; pair < pairs.length; pair++) {
        const [first, second] = pairs[pair];
        const cosine = cosines[position * pairs.length + pair];
        const sine = direction * sines[position * pairs.length + pair];
        const x = rows[head + first];
        const y = rows[head + second];
        rows[head + first] = cosine * x - sine * y;
        rows[head + second] = cosine * y + sine * x;
      }
    }
  }

  /** Queries times keys, packed. */
  products(queries: Float64Array, keys: Float64Array): Float64Array {
    const { headDim } = this.shape;
    const scores = new Float64Array(this.shape.numHeads * this.#scores);
    this.eachRow(keys, scores, (seen, row) => addProducts(seen, queries, row, headDim));
    return scores;
  }

  /** Softmax of packed products, scaled and with ALiBi where there are slopes, in place. */
  weights(products: Float64Array): Float64Array {
    const { scale, alibiSlopes } = this.#rules;
    for (let head = 0; head < this.shape.numHeads; head++) {
      const slope = alibiSlopes?.[head] ?? 0;
      for (const { token, first, offset } of this.samples) {
        const score = head * this.#scores + offset;
        const row = products.subarray(score, score + token + 1 - first);
        for (let i = 0; i < row.length; i++) {
          row[i] = scale * row[i] - slope * (row.length - 1 - i);
        }
        softmax(row);
      }
    }
    return products;
  }

  /** Sums of keys or values of all tokens by packed weights, for the samples. */
  gather(weights: Float64Array, rows: Float64Array): Float64Array {
    const { numHeads, headDim } = this.shape;
    const sums = new Float64Array(this.samples.length * numHeads * headDim);
    this.eachRow(rows, weights, (seen, row) => addSum(sums, row, headDim, seen));
    return sums;
  }

  /** Sums of the samples' rows by packed weights, for all tokens and `heads` KV heads: the adjoint of `gather`. */
  scatter(weights: Float64Array, rows: Float64Array, heads: number): Float64Array {
    const { batch, seqLen, headDim } = this.shape;
    const sums = new Float64Array(batch * seqLen * heads * headDim);
    this.eachRow(sums, weights, (seen, row) => addToRows(seen, rows, row, headDim));
    return sums;
  }

  /**
   * Calls for each query head of each sample, with the KV rows that it sees and their packed scores, and with where its own
   * row begins.
   */
  eachRow(
    rows: Float64Array,
    scores: Float64Array,
    call: (seen: Rows, row: number) => void,
  ): void {
    const { batch, seqLen, numHeads, headDim } = this.shape;
    const step = rows.length / (batch * seqLen);
    const groupSize = numHeads * headDim / step;
    for (let head = 0; head < numHeads; head++) {
      const kvHead = Math.floor(head / groupSize) * headDim;
      this.samples.forEach(({ token, first, offset }, i) => {
        const seen = {
          ...{ rows, start: first * step + kvHead, step },
          ...{ numbers: scores, first: head * this.#scores + offset, count: token + 1 - first },
        };
        call(seen, (i * numHeads + head) * headDim);
      });
    }
  }
}

function softmax(row: Float64Array): void {
  let max = -Infinity;
  for (let i = 0; i < row.length; i++) max = Math.max(max, row[i]);
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += row[i] = Math.exp(row[i] - max);
  for (let i = 0; i < row.length; i++) row[i] /= sum;
}
