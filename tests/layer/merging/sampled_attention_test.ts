// Attention over sampled queries against the reference, and its adjoints by their definition.
import { assertAlmostEquals, assertEquals } from "@std/assert";
import { referenceRow } from "../../../mod.ts";
import { fillInRope } from "../../../src/cache/rope_kernel.ts";
import { SampledAttention } from "../../../src/layer/merging/sampled_attention.ts";
import { sampledTokens } from "../../../src/layer/merging/sampled_tokens.ts";
import { ropedRow } from "../../../src/reference/rope.ts";
import { assertClose } from "../../support/compare.ts";
import { type Random, testRandomly } from "../../support/random.ts";

function numbers(random: Random, length: number): Float64Array {
  return Float64Array.from({ length }, () => 2 * random.next() - 1);
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i], 0);
}

/** An attention of random sizes, and some of its tokens. */
function draw(random: Random) {
  const [batch, seqLen, kvHeads] = [1, 2, 3].map(() => random.integer(1, 3));
  const shape = {
    ...{ batch, seqLen: 4 * seqLen, numHeads: kvHeads * random.integer(1, 3) },
    headDim: random.integer(1, 11),
  };
  const dims = 2 * random.integer(0, Math.floor(shape.headDim / 2));
  const firstDim = random.integer(0, shape.headDim - dims);
  const rope = dims > 0 ? { firstDim, dims, attentionFactor: 1.5 } : undefined;
  const style = random.pick(["halves", "pairs"] as const);
  const rules = {
    scale: random.next(),
    rope: rope && fillInRope("test", { ...rope, style, base: 100 }, shape.headDim),
    window: random.pick([undefined, 1, 3]),
    alibiSlopes: random.pick([undefined, Array.from({ length: shape.numHeads }, random.next)]),
  };
  const tokens = Array.from({ length: batch * shape.seqLen }, (_, token) => token)
    .filter(() => random.next() < 0.6);
  const attention = new SampledAttention(shape, rules, tokens);
  const rows = (count: number, heads: number) => numbers(random, count * heads * shape.headDim);
  const all = batch * shape.seqLen;
  return {
    attention,
    shape,
    rules,
    tokens,
    kvHeads,
    rows,
    all,
    options: { ...rope, style, base: 100 },
  };
}

testRandomly("SampledAttention is the reference's attention of its tokens", (random) => {
  const { attention, shape, rules, tokens, kvHeads, rows, all, options } = draw(random);
  const { batch, seqLen, numHeads, headDim } = shape;
  const [q, k, v] = [rows(all, numHeads), rows(all, kvHeads), rows(all, kvHeads)];
  const rotated = (rows: Float64Array, heads: number) =>
    Array.from({ length: rows.length / headDim }, (_, i) => {
      const row = rows.subarray(i * headDim, (i + 1) * headDim);
      return rules.rope ? ropedRow(row, Math.floor(i / heads) % seqLen, options) : [...row];
    }).flat();
  const inputs = {
    q: { data: rotated(q, numHeads), shape: [batch, seqLen, numHeads, headDim] },
    k: { data: rotated(k, kvHeads), shape: [batch, seqLen, kvHeads, headDim] },
    v: { data: v, shape: [batch, seqLen, kvHeads, headDim] },
  };
  const expected = tokens.flatMap((index) =>
    Array.from({ length: numHeads }, (_, head) => {
      const row = { batch: Math.floor(index / seqLen), head, token: index % seqLen };
      const { scale, window, alibiSlopes } = rules;
      return [...referenceRow(inputs, row, { causal: true, scale, window, alibiSlopes }).o];
    }).flat()
  );
  const queries = attention.rotateQueries(attention.sampled(q));
  const weights = attention.weights(attention.products(queries, attention.rotateKeys(k.slice())));
  assertClose(attention.gather(weights, v), expected, 1e-12, "attended");
});

testRandomly("SampledAttention: <f(x), y> = <x, f^T(y)> of gather and of rotations", (random) => {
  const { attention, shape, tokens, kvHeads, rows, all } = draw(random);
  const { numHeads } = shape;
  const products = attention.products(rows(tokens.length, numHeads), rows(all, kvHeads));
  const weights = products.map(() => random.next());
  const [x, y] = [rows(all, kvHeads), rows(tokens.length, numHeads)];
  const forwards = dot(attention.gather(weights, x), y);
  assertAlmostEquals(forwards, dot(x, attention.scatter(weights, y, kvHeads)), 1e-9);

  const [a, b] = [rows(all, kvHeads), rows(all, kvHeads)];
  const turned = dot(attention.rotateKeys(a.slice()), b);
  assertAlmostEquals(turned, dot(a, attention.rotateKeys(b.slice(), -1)), 1e-9);
  const [c, d] = [rows(tokens.length, numHeads), rows(tokens.length, numHeads)];
  const turnedQ = dot(attention.rotateQueries(c.slice()), d);
  assertAlmostEquals(turnedQ, dot(c, attention.rotateQueries(d.slice(), -1)), 1e-9);
});

Deno.test("sampledTokens(): each once, an eighth of them held out, of long texts a part", () => {
  const { fitted, heldOut } = sampledTokens(3, 16);
  assertEquals(
    [...fitted, ...heldOut].sort((a, b) => a - b),
    Array.from({ length: 48 }, (_, i) => i),
  );
  assertEquals(heldOut, [7, 15, 22, 30, 37, 45]);
  const long = sampledTokens(100, 256);
  assertEquals(long.fitted.length + long.heldOut.length, Math.ceil(25600 / 7));
  assertEquals(new Set(long.heldOut.map((token) => token % 256)).size > 100, true);
  assertEquals(sampledTokens(1, 3), { fitted: [0, 1, 2], heldOut: [0, 1, 2] });
});
