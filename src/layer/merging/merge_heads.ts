/** Merging in closed form: shared keys and values from second moments alone, with the maps out of them in W_Q and W_O. */
import { product, transposed } from "../../base/linear_algebra.ts";
import type { FilledRope } from "../../cache/rope_kernel.ts";
import { poolKvHeads } from "../pool_kv_heads.ts";
import type { Affine } from "./affine.ts";
import { rotaryPairs } from "../../cache/rotary_pairs.ts";
import { sharedPair } from "./shared_pair.ts";
import { type Energy, type Shared, sharedSubspace } from "./shared_subspace.ts";

/** The projections of a layer. */
export type Layer = Record<"q" | "k" | "v" | "o", Affine>;

/** How many heads a layer has and is to have. */
export interface MergeShape {
  numHeads: number;
  headDim: number;
  /** Key/value heads before. */
  from: number;
  /** Key/value heads afterwards. */
  to: number;
}

/** The rules that keys are read by, which decide how they can be shared. */
export interface KeyRules {
  /** Rotary positions. The default is none. */
  rope?: FilledRope;
  /** Whether queries or keys are normalised, which no map of them passes through: keys are averaged then. */
  hasNorms: boolean;
}

/** A layer of fewer heads, and what they keep. */
export interface MergedHeads {
  layer: Layer;
  /** Absent where keys are averaged. */
  keys?: Energy;
  values: Energy;
}

/**
 * Merges the KV heads of each group of neighbours.
 *
 * @param moment Second moments of the layer's inputs, with a 1 behind each [dim + 1, dim + 1].
 */
export function mergeHeads(
  layer: Layer,
  moment: Float64Array,
  shape: MergeShape,
  { rope, hasNorms }: KeyRules,
): MergedHeads {
  const { headDim, from, to } = shape;
  const merge = new Merge(layer, moment, shape);
  const pairs = rope ? rotaryPairs(rope) : [];
  const rotated = new Set(pairs.flat());
  const unrotated = range(headDim).filter((element) => !rotated.has(element));
  const keys: Energy[] = [];
  const values: Energy[] = [];
  for (const target of range(to)) {
    if (!hasNorms) {
      for (const pair of pairs) keys.push(merge.keys(target, pair, sharedPair));
      if (unrotated.length > 0) keys.push(merge.keys(target, unrotated, sharedSubspace));
    }
    values.push(merge.values(target));
  }
  if (!hasNorms) return { layer: merge.merged, keys: sumOf(keys), values: sumOf(values) };
  const k = { ...merge.merged.k, matrix: poolKvHeads(layer.k.matrix, { from, to }) };
  return { layer: { ...merge.merged, k }, values: sumOf(values) };
}

/** A merge under way: `merged` has what is merged so far. */
class Merge {
  readonly merged: Layer;
  readonly #layer: Layer;
  readonly #moment: Float64Array;
  readonly #shape: MergeShape;
  readonly #width: number;

  constructor(layer: Layer, moment: Float64Array, shape: MergeShape) {
    const { q, k, v, o } = layer;
    const out = shape.to * shape.headDim;
    this.#layer = layer;
    this.#moment = moment;
    this.#shape = shape;
    this.#width = Math.sqrt(moment.length);
    this.merged = {
      q: { ...q, matrix: q.matrix.slice() },
      k: { ...k, out, matrix: new Float64Array(out * this.#width) },
      v: { ...v, out, matrix: new Float64Array(out * this.#width) },
      o: { ...o, matrix: o.matrix.slice() },
    };
  }

  /** Shares some elements of the keys of a group; queries are mapped as the keys that they read come out. */
  keys(target: number, elements: readonly number[], share: typeof sharedSubspace): Energy {
    const metrics = this.#group(target).map((head) =>
      sumOfArrays(
        this.#queriesOf(head).map((query) =>
          this.#moments(this.#rows(this.#layer.q, [query], elements))
        ),
      )
    );
    const shared = this.#share("k", target, elements, metrics, share);
    this.#forQueries(target, shared, (query, decode) => {
      const rows = this.#rows(this.#layer.q, [query], elements);
      const mapped = product(transposed(decode, elements.length), rows, elements.length);
      this.#setRows(this.merged.q, query, elements, mapped);
    });
    return shared.energy;
  }

  /** Shares the values of a group; W_O maps what comes out of them. */
  values(target: number): Energy {
    const { headDim } = this.#shape;
    const { o } = this.#layer;
    const columns = o.matrix.length / o.out;
    const columnsOf = (query: number) => {
      const rows = new Float64Array(o.out * headDim);
      for (let i = 0; i < o.out; i++) {
        const first = i * columns + query * headDim;
        rows.set(o.matrix.subarray(first, first + headDim), i * headDim);
      }
      return rows;
    };
    const metrics = this.#group(target).map((head) =>
      sumOfArrays(
        this.#queriesOf(head).map((query) => {
          const columns = columnsOf(query);
          return product(transposed(columns, headDim), columns, o.out);
        }),
      )
    );
    const shared = this.#share("v", target, range(headDim), metrics, sharedSubspace);
    this.#forQueries(target, shared, (query, decode) => {
      const mapped = product(columnsOf(query), decode, headDim);
      for (let i = 0; i < o.out; i++) {
        const row = mapped.subarray(i * headDim, (i + 1) * headDim);
        this.merged.o.matrix.set(row, i * columns + query * headDim);
      }
    });
    return shared.energy;
  }

  /** Finds what a group shares and writes its rows. */
  #share(
    part: "k" | "v",
    target: number,
    elements: readonly number[],
    metrics: readonly Float64Array[],
    share: typeof sharedSubspace,
  ): Shared {
    const rows = this.#rows(this.#layer[part], this.#group(target), elements);
    const shared = share(this.#moments(rows), metrics);
    const all = metrics.length * elements.length;
    this.#setRows(this.merged[part], target, elements, product(shared.encode, rows, all));
    return shared;
  }

  /** Calls for each query head that reads a group, with the map out of what it shares [size, size]. */
  #forQueries(
    target: number,
    { decode }: Shared,
    call: (query: number, decode: Float64Array) => void,
  ): void {
    const group = this.#group(target);
    const size = decode.length / group.length;
    group.forEach((head, i) => {
      const map = decode.subarray(i * size, (i + 1) * size);
      for (const query of this.#queriesOf(head)) call(query, map);
    });
  }

  /** Old KV heads that become one. */
  #group(target: number): number[] {
    const heads = this.#shape.from / this.#shape.to;
    return range(heads).map((i) => target * heads + i);
  }

  /** Query heads that read an old KV head. */
  #queriesOf(head: number): number[] {
    const heads = this.#shape.numHeads / this.#shape.from;
    return range(heads).map((i) => head * heads + i);
  }

  /** The rows of some elements of some heads. */
  #rows({ matrix }: Affine, heads: readonly number[], elements: readonly number[]): Float64Array {
    const width = this.#width;
    const rows = new Float64Array(heads.length * elements.length * width);
    heads.forEach((head, i) =>
      elements.forEach((element, j) => {
        const first = (head * this.#shape.headDim + element) * width;
        rows.set(matrix.subarray(first, first + width), (i * elements.length + j) * width);
      })
    );
    return rows;
  }

  #setRows(
    { matrix }: Affine,
    head: number,
    elements: readonly number[],
    rows: Float64Array,
  ): void {
    const width = this.#width;
    elements.forEach((element, i) => {
      const row = rows.subarray(i * width, (i + 1) * width);
      matrix.set(row, (head * this.#shape.headDim + element) * width);
    });
  }

  /** Second moments of what rows make of the layer's inputs. */
  #moments(rows: Float64Array): Float64Array {
    const width = this.#width;
    return product(product(rows, this.#moment, width), transposed(rows, width), width);
  }
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

function sumOf(energies: readonly Energy[]): Energy {
  return energies.reduce(
    (sum, { kept, total }) => ({ kept: sum.kept + kept, total: sum.total + total }),
    { kept: 0, total: 0 },
  );
}

function sumOfArrays(arrays: readonly Float64Array[]): Float64Array {
  return arrays.reduce((sum, array) => sum.map((value, i) => value + array[i]));
}
