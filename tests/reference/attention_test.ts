// The oracle: against numbers worked out by hand, and against attention built of 4 x 4 matrices (npm:wgpu-matrix).
import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { mat4d } from "wgpu-matrix";
import {
  type HostTensor,
  referenceAttention,
  type ReferenceInputs,
  referenceMergeStates,
  type ReferenceOptions,
  referenceRow,
} from "../../mod.ts";
import { assertClose } from "../support/compare.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { swapLayout } from "../support/run.ts";

const EXACT = 1e-12;
type Matrix = number[][];

/** The 4 x 4 tile of a matrix whose first element is at `row`, `column`; wgpu-matrix stores columns one by one. */
function tileOf(matrix: Matrix, row: number, column: number): Float64Array {
  const columns = [0, 1, 2, 3].flatMap((c) => [0, 1, 2, 3].map((r) => matrix[row + r][column + c]));
  return Float64Array.from(columns);
}

/** The product of two matrices whose sizes 4 divides, tile by tile. */
function multiply(a: Matrix, b: Matrix): Matrix {
  const product = a.map(() => new Array<number>(b[0].length).fill(0));
  for (let row = 0; row < a.length; row += 4) {
    for (let column = 0; column < b[0].length; column += 4) {
      for (let inner = 0; inner < b.length; inner += 4) {
        const tile = mat4d.multiply(tileOf(a, row, inner), tileOf(b, inner, column));
        tile.forEach((value, i) => product[row + i % 4][column + Math.floor(i / 4)] += value);
      }
    }
  }
  return product;
}

const transpose = (matrix: Matrix): Matrix => matrix[0].map((_, c) => matrix.map((row) => row[c]));

/** One head of one sequence of a BSNH tensor, [tokens][size]. */
function headOf({ data, shape }: HostTensor, batch: number, head: number): Matrix {
  const [, tokens, heads, size] = shape;
  return Array.from({ length: tokens }, (_, token) => {
    const offset = ((batch * tokens + token) * heads + head) * size;
    return Array.from({ length: size }, (_, h) => data[offset + h]);
  });
}

const softmax = (row: number[]): number[] => {
  const exps = row.map((score) => Math.exp(score));
  const sum = exps.reduce((a, b) => a + b, 0);
  return exps.map((value) => value / sum);
};

interface TiledCase {
  name: string;
  heads: number;
  kvHeads: number;
  sizes: { batch: number; seqLen: number; context: number; headDim: number; valueDim: number };
  options: ReferenceOptions;
  /** Whether a query at a position sees a key. */
  sees: (position: number, key: number) => boolean;
}

const TILED: readonly TiledCase[] = [
  {
    name: "multi-head, causal",
    heads: 3,
    kvHeads: 3,
    sizes: { batch: 2, seqLen: 8, context: 8, headDim: 8, valueDim: 4 },
    options: {},
    sees: (position, key) => key <= position,
  },
  {
    name: "multi-query, after a history",
    heads: 4,
    kvHeads: 1,
    sizes: { batch: 1, seqLen: 4, context: 20, headDim: 4, valueDim: 12 },
    options: {},
    sees: (position, key) => key <= position,
  },
  {
    name: "grouped, not causal",
    heads: 6,
    kvHeads: 2,
    sizes: { batch: 2, seqLen: 4, context: 12, headDim: 16, valueDim: 8 },
    options: { causal: false },
    sees: () => true,
  },
  {
    name: "grouped, window and scale",
    heads: 4,
    kvHeads: 2,
    sizes: { batch: 1, seqLen: 8, context: 16, headDim: 8, valueDim: 8 },
    options: { window: 5, scale: 0.7 },
    sees: (position, key) => key <= position && position - key < 5,
  },
  {
    name: "window and sinks",
    heads: 4,
    kvHeads: 2,
    sizes: { batch: 2, seqLen: 12, context: 16, headDim: 8, valueDim: 8 },
    options: { window: 3, sinks: 6 },
    sees: (position, key) => key <= position && (position - key < 3 || key < 6),
  },
  {
    name: "window without causal",
    heads: 2,
    kvHeads: 1,
    sizes: { batch: 1, seqLen: 8, context: 16, headDim: 8, valueDim: 8 },
    options: { window: 3, causal: false },
    sees: (position, key) => position - key < 3,
  },
];

function checkTiled(random: Random, { heads, kvHeads, sizes, options, sees }: TiledCase): void {
  const { batch, seqLen, context, headDim, valueDim } = sizes;
  const inputs: ReferenceInputs = {
    q: random.tensor([batch, seqLen, heads, headDim]),
    k: random.tensor([batch, context, kvHeads, headDim]),
    v: random.tensor([batch, context, kvHeads, valueDim]),
  };
  const result = referenceAttention(inputs, options);
  const scale = options.scale ?? 1 / Math.sqrt(headDim);
  const queriesPerKvHead = heads / kvHeads;
  for (let b = 0; b < batch; b++) {
    for (let head = 0; head < heads; head++) {
      const kvHead = (head - head % queriesPerKvHead) / queriesPerKvHead;
      const products = multiply(
        headOf(inputs.q, b, head),
        transpose(headOf(inputs.k, b, kvHead)),
      );
      const scores = products.map((row, token) =>
        row.map((dot, key) => sees(context - seqLen + token, key) ? scale * dot : -Infinity)
      );
      const weights = scores.map(softmax);
      const o = multiply(weights, headOf(inputs.v, b, kvHead));
      const lse = scores.map((row) => Math.log(row.reduce((sum, s) => sum + Math.exp(s), 0)));

      const first = (b * heads + head) * seqLen;
      const rows = (all: Float64Array, size: number) =>
        all.subarray(first * size, (first + seqLen) * size);
      assertClose(rows(result.scores, context), scores.flat(), EXACT, "scores");
      assertClose(rows(result.weights, context), weights.flat(), EXACT, "weights");
      const lseHead = headOf({ data: result.lse, shape: [batch, seqLen, heads, 1] }, b, head);
      assertClose(lseHead.flat(), lse, EXACT, "lse");
      const oShape = [batch, seqLen, heads, valueDim];
      const oHead = headOf({ data: result.o, shape: oShape }, b, head);
      assertClose(oHead.flat(), o.flat(), EXACT, "o");
    }
  }
}

for (const tiled of TILED) {
  testRandomly(`reference: matrices agree: ${tiled.name}`, (random) => checkTiled(random, tiled));
}

Deno.test("reference: one key is the answer, whatever the query", () => {
  const result = referenceAttention({
    q: { data: [3, -4], shape: [1, 1, 1, 2] },
    k: { data: [1, 0.5], shape: [1, 1, 1, 2] },
    v: { data: [7, 8, 9], shape: [1, 1, 1, 3] },
  }, { scale: 2 });
  assertEquals(result.scores, Float64Array.of(2));
  assertEquals(result.weights, Float64Array.of(1));
  assertEquals(result.o, Float64Array.of(7, 8, 9));
  assertEquals(result.lse, Float64Array.of(2));
});

Deno.test("reference: two keys whose weights are 1/4 and 3/4", () => {
  const result = referenceAttention({
    q: { data: [1], shape: [1, 1, 1, 1] },
    k: { data: [0, Math.log(3)], shape: [1, 2, 1, 1] },
    v: { data: [4, 8], shape: [1, 2, 1, 1] },
  });
  assertClose(result.weights, [0.25, 0.75], EXACT, "weights");
  assertClose(result.o, [7], EXACT, "o");
  assertAlmostEquals(result.lse[0], Math.log(4), EXACT);
});

Deno.test("reference: the scale is one over the root of the head size", () => {
  const { scores } = referenceAttention({
    q: { data: [1, 2, 3, 4], shape: [1, 1, 1, 4] },
    k: { data: [1, 1, 1, 1], shape: [1, 1, 1, 4] },
    v: { data: [1], shape: [1, 1, 1, 1] },
  });
  assertEquals(scores, Float64Array.of(5));
});

function zeros(...shape: number[]): { data: Float64Array; shape: number[] } {
  return { data: new Float64Array(shape.reduce((a, b) => a * b)), shape };
}

/** Equal keys, so that weights show who sees what. */
function weightsOf(tokens: number, context: number, options: ReferenceOptions): number[][] {
  const kv = zeros(1, context, 1, 1);
  const inputs = { q: zeros(1, tokens, 1, 1), k: kv, v: kv };
  const { weights } = referenceAttention(inputs, options);
  return Array.from(
    { length: tokens },
    (_, token) => [...weights.subarray(token * context, (token + 1) * context)],
  );
}

const MASKS: readonly {
  name: string;
  tokens: number;
  context: number;
  options: ReferenceOptions;
  weights: number[][];
}[] = [
  {
    name: "causal",
    ...{ tokens: 2, context: 2, options: {} },
    weights: [[1, 0], [1 / 2, 1 / 2]],
  },
  {
    name: "the queries are the last tokens",
    ...{ tokens: 2, context: 4, options: {} },
    weights: [[1 / 3, 1 / 3, 1 / 3, 0], [1 / 4, 1 / 4, 1 / 4, 1 / 4]],
  },
  {
    name: "not causal",
    ...{ tokens: 2, context: 2, options: { causal: false } },
    weights: [[1 / 2, 1 / 2], [1 / 2, 1 / 2]],
  },
  {
    name: "a window has its own token in it",
    ...{ tokens: 2, context: 4, options: { window: 2 } },
    weights: [[0, 1 / 2, 1 / 2, 0], [0, 0, 1 / 2, 1 / 2]],
  },
  {
    name: "a window looks back only",
    ...{ tokens: 2, context: 4, options: { window: 1, causal: false } },
    weights: [[0, 0, 1 / 2, 1 / 2], [0, 0, 0, 1]],
  },
  {
    name: "sinks stay visible, and are not seen before their time",
    ...{ tokens: 4, context: 4, options: { window: 1, sinks: 2 } },
    weights: [[1, 0, 0, 0], [1 / 2, 1 / 2, 0, 0], [1 / 3, 1 / 3, 1 / 3, 0], [
      ...[1 / 3, 1 / 3, 0, 1 / 3],
    ]],
  },
  {
    name: "top-left: the first query is the first token",
    ...{ tokens: 2, context: 3, options: { alignment: "top-left" } },
    weights: [[1, 0, 0], [1 / 2, 1 / 2, 0]],
  },
  {
    name: "the first query has a position",
    ...{ tokens: 2, context: 4, options: { alignment: 1 } },
    weights: [[1 / 2, 1 / 2, 0, 0], [1 / 3, 1 / 3, 1 / 3, 0]],
  },
  {
    name: "a window to both sides",
    ...{ tokens: 1, context: 5 },
    options: { alignment: 2, causal: false, window: 2, windowRight: 1 },
    weights: [[0, 1 / 3, 1 / 3, 1 / 3, 0]],
  },
  {
    name: "a window to the right alone",
    ...{ tokens: 2, context: 3 },
    options: { alignment: "top-left", causal: false, windowRight: 0 },
    weights: [[1, 0, 0], [1 / 2, 1 / 2, 0]],
  },
  {
    name: "ALiBi: a score falls by the slope with each token of distance",
    ...{ tokens: 1, context: 3 },
    options: { alibiSlopes: [Math.log(2)], alignment: 1, causal: false },
    weights: [[1 / 4, 1 / 2, 1 / 4]],
  },
  {
    name: "a sink takes its share",
    ...{ tokens: 1, context: 2, options: { sinkLogits: [Math.log(2)] } },
    weights: [[1 / 4, 1 / 4]],
  },
  {
    name: "queries before the context see nothing",
    ...{ tokens: 3, context: 1, options: {} },
    weights: [[0], [0], [1]],
  },
];

for (const { name, tokens, context, options, weights } of MASKS) {
  Deno.test(`reference: mask: ${name}`, () => {
    assertClose(weightsOf(tokens, context, options).flat(), weights.flat(), EXACT, "weights");
  });
}

Deno.test("reference: a row that sees nothing is zero, with a log-sum-exp of -Infinity", () => {
  const result = referenceAttention({
    q: { data: [5, 6], shape: [1, 2, 1, 1] },
    k: { data: [1], shape: [1, 1, 1, 1] },
    v: { data: [7], shape: [1, 1, 1, 1] },
  });
  assertEquals(result, {
    products: Float64Array.of(5, 6),
    softcapped: Float64Array.of(5, 6),
    scores: Float64Array.of(-Infinity, 6),
    weights: Float64Array.of(0, 1),
    o: Float64Array.of(0, 7),
    lse: Float64Array.of(-Infinity, 6),
  });
});

/** Two equal keys, of values 0 and 1, in two sequences of two heads and two tokens: o is the weight of the second key. */
function outputOf(
  masks: Pick<ReferenceInputs, "bias" | "mask" | "lengths">,
  options: ReferenceOptions = {},
): number[] {
  const v = { data: [0, 1, 0, 1], shape: [2, 2, 1, 1] };
  const inputs = { q: zeros(2, 2, 2, 1), k: zeros(2, 2, 1, 1), v, ...masks };
  const { o } = referenceAttention(inputs, { causal: false, ...options, layout: "BSNH" });
  // [B, S, N] to [B, N, S], in which masks are.
  return [0, 2, 1, 3, 4, 6, 5, 7].map((i) => o[i]);
}

const BROADCASTS: readonly { shape: number[]; rows: number[] }[] = [
  { shape: [1, 2], rows: [0, 0, 0, 0, 0, 0, 0, 0] },
  { shape: [2, 2], rows: [0, 1, 0, 1, 0, 1, 0, 1] },
  { shape: [2, 1, 2], rows: [0, 0, 1, 1, 0, 0, 1, 1] },
  { shape: [2, 1, 1, 2], rows: [0, 0, 0, 0, 1, 1, 1, 1] },
  { shape: [2, 2, 1, 2], rows: [0, 0, 1, 1, 2, 2, 3, 3] },
  { shape: [2, 2, 2, 2], rows: [0, 1, 2, 3, 4, 5, 6, 7] },
];

for (const { shape, rows } of BROADCASTS) {
  Deno.test(`reference: a bias and a mask of shape [${shape}] go to the right rows`, () => {
    const count = shape.reduce((a, b) => a * b) / 2;
    // Row i of the bias makes the second key's weight (i + 1) / (i + 2).
    const bias = Array.from({ length: count }, (_, i) => [0, Math.log(i + 1)]).flat();
    const expected = rows.map((i) => (i + 1) / (i + 2));
    assertClose(outputOf({ bias: { data: bias, shape } }), expected, EXACT, "bias");
    // Odd rows of the mask see the second key alone, even ones the first.
    const mask = Array.from({ length: count }, (_, i) => [i % 2 === 0, i % 2 === 1]).flat();
    assertClose(outputOf({ mask: { data: mask, shape } }), rows.map((i) => i % 2), EXACT, "mask");
  });
}

Deno.test("reference: what is shorter than the context masks the rest, or is about its end", () => {
  const all = (value: number) => new Array(8).fill(value);
  const [bias, mask] = [{ data: [0], shape: [1, 1] }, { data: [true], shape: [1, 1] }];
  assertEquals(outputOf({ bias }, { maskKeys: "first" }), all(0));
  assertEquals(outputOf({ mask }, { maskKeys: "first" }), all(0));
  assertEquals(outputOf({ mask }, { maskKeys: "last" }), all(1 / 2));
  const no = { data: [false], shape: [1, 1] };
  assertEquals(outputOf({ mask: no }, { maskKeys: "last" }), all(0));
  assertEquals(outputOf({ bias: { data: [-Infinity, 0], shape: [1, 2] } }), all(1));
  assertEquals(outputOf({ bias: { data: [-3.4028234663852886e38, 0], shape: [1, 2] } }), all(1));
  const lengths = { data: [1, 2], shape: [2] };
  assertEquals(outputOf({ lengths }), [0, 0, 0, 0, 1 / 2, 1 / 2, 1 / 2, 1 / 2]);
  // The last key of the first sequence is its first.
  const second = [0, 0, 0, 0];
  assertEquals(outputOf({ lengths, mask: no }, { maskKeys: "last" }), [...second, ...second]);
});

Deno.test("reference: the softcap comes after the scale and before bias and mask", () => {
  const inputs = {
    q: { data: [3], shape: [1, 1, 1, 1] },
    k: { data: [2, 100, 100], shape: [1, 3, 1, 1] },
    v: { data: [1, 1, 1], shape: [1, 3, 1, 1] },
    bias: { data: [7, -Infinity, 7], shape: [1, 3] },
    mask: { data: [1, 1, 0], shape: [1, 3] },
  };
  const result = referenceAttention(inputs, { scale: 0.5, softcap: 4 });
  const capped = 4 * Math.tanh(3 / 4);
  assertEquals(result.products, Float64Array.of(3, 150, 150));
  assertClose(result.softcapped, [capped, 4, 4], EXACT, "softcapped");
  assertClose(result.scores, [capped + 7, -Infinity, -Infinity], EXACT, "scores");
  assertEquals(result.weights, Float64Array.of(1, 0, 0));
  assertClose(result.lse, [capped + 7], EXACT, "lse");
});

Deno.test("reference: a row that sees nothing but a sink is zero, with the sink's log-sum-exp", () => {
  const { o, lse } = referenceAttention({
    q: { data: [5], shape: [1, 1, 1, 1] },
    k: { data: [1], shape: [1, 1, 1, 1] },
    v: { data: [7], shape: [1, 1, 1, 1] },
    mask: { data: [false], shape: [1, 1] },
  }, { sinkLogits: [3] });
  assertEquals([o[0], lse[0]], [0, 3]);
});

Deno.test("reference: merged states weigh by their log-sum-exps", () => {
  const { o, lse } = referenceMergeStates([
    { o: [4, 5, 9, 9], lse: [0, -Infinity] },
    { o: [8, 1, 9, 9], lse: [Math.log(3), -3.4028234663852886e38] },
  ]);
  assertClose(o, [7, 2, 0, 0], EXACT, "o");
  assertClose(lse, [Math.log(4), -Infinity], EXACT, "lse");
});

Deno.test("reference: query heads read the KV head of their group, in order", () => {
  const { o } = referenceAttention({
    q: { data: [1, 1, 1, 1, 1, 1], shape: [1, 1, 6, 1] },
    k: { data: [1, 1], shape: [1, 1, 2, 1] },
    v: { data: [10, 20], shape: [1, 1, 2, 1] },
  });
  assertEquals(o, Float64Array.of(10, 10, 10, 20, 20, 20));
});

Deno.test("reference: scores of 1e6 do not overflow", () => {
  const { weights, lse } = referenceAttention({
    q: { data: [1], shape: [1, 1, 1, 1] },
    k: { data: [1e6, 1e6 - Math.log(3), -1e6], shape: [1, 3, 1, 1] },
    v: { data: [1, 1, 1], shape: [1, 3, 1, 1] },
  });
  assertClose(weights, [0.75, 0.25, 0], 1e-9, "weights");
  assertAlmostEquals(lse[0], 1e6 + Math.log(4 / 3), 1e-9);
});

testRandomly("reference: BNSH is BSNH in another order", (random) => {
  const inputs = {
    q: random.tensor([2, 3, 4, 5]),
    k: random.tensor([2, 7, 2, 5]),
    v: random.tensor([2, 7, 2, 6]),
  };
  const { q, k, v } = inputs;
  const expected = referenceAttention(inputs, { window: 4 });
  const swapped = { q: swapLayout(q), k: swapLayout(k), v: swapLayout(v) };
  const actual = referenceAttention(swapped, { window: 4, layout: "BNSH" });
  for (const name of ["scores", "weights"] as const) {
    assertClose(actual[name], expected[name], 0, name);
  }
  const lse = swapLayout({ data: actual.lse, shape: [2, 4, 3, 1] }).data;
  assertClose(lse, Float32Array.from(expected.lse), 0, "lse");
  const o = swapLayout({ data: actual.o, shape: [2, 4, 3, 6] }).data;
  assertClose(o, Float32Array.from(expected.o), 0, "o");
});

testRandomly("reference: one row is a row of all", (random) => {
  const inputs = {
    q: random.tensor([2, 3, 4, 5]),
    k: random.tensor([2, 7, 2, 5]),
    v: random.tensor([2, 7, 2, 6]),
  };
  const all = referenceAttention(inputs);
  const row = referenceRow(inputs, { batch: 1, head: 3, token: 2 });
  const index = (1 * 4 + 3) * 3 + 2;
  assertEquals(row.weights, all.weights.slice(index * 7, (index + 1) * 7));
  assertEquals(row.scores, all.scores.slice(index * 7, (index + 1) * 7));
  const oIndex = (1 * 3 + 2) * 4 + 3;
  assertEquals(row.lse, all.lse[oIndex]);
  assertEquals(row.o, all.o.slice(oIndex * 6, (oIndex + 1) * 6));
});

Deno.test("reference: refuses shapes that do not agree", () => {
  const q = zeros(1, 1, 4, 2);
  const wrong: [Partial<ReferenceInputs>, typeof TypeError | typeof RangeError, string][] = [
    [{ q: zeros(1, 4, 2) }, TypeError, "four axes"],
    [{ k: zeros(2, 3, 2, 2) }, RangeError, "k=[2, 3, 2, 2]"],
    [{ v: zeros(1, 4, 2, 2) }, RangeError, "v=[1, 4, 2, 2]"],
    [{ q: zeros(1, 1, 3, 2) }, RangeError, "numHeads=3, numKvHeads=2"],
    [{ q: zeros(1, 0, 4, 2) }, RangeError, "q.shape[1]=0"],
  ];
  for (const [given, throws, says] of wrong) {
    const inputs = { q, k: zeros(1, 3, 2, 2), v: zeros(1, 3, 2, 2), ...given };
    assertThrows(() => referenceAttention(inputs), throws, says);
    assertThrows(() => referenceRow(inputs, { batch: 0, head: 0, token: 0 }), throws, says);
  }
});
