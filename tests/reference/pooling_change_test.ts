import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { type HostTensor, outputChange, poolingChange, type Projection } from "../../mod.ts";
import { type Random, testRandomly } from "../support/random.ts";

const TOKENS = 9;
const DIM = 12;
const SIZES = { numHeads: 4, headDim: 6 };

/** An attention layer; its KV heads are alike where `copies` says so. */
function layer(random: Random, kvHeads: number, copies = 1) {
  const { numHeads, headDim } = SIZES;
  const projection = (rows: number, columns: number) => ({
    weight: random.tensor([rows, columns]),
    bias: random.tensor([rows]),
  });
  const repeat = ({ data, shape: [rows, ...rest] }: HostTensor) => ({
    data: Array<number[]>(copies).fill([...data as Float32Array]).flat(),
    shape: [copies * rows, ...rest],
  });
  const kv = () => {
    const { weight, bias } = projection(kvHeads / copies * headDim, DIM);
    return { weight: repeat(weight), bias: repeat(bias) };
  };
  return {
    ...{ q: projection(numHeads * headDim, DIM), k: kv(), v: kv() },
    o: projection(DIM, numHeads * headDim),
  };
}

testRandomly("pooling KV heads that are alike changes nothing", (random) => {
  const inputs = random.tensor([1, TOKENS, DIM]);
  const weights = layer(random, 4, 4);
  for (const method of ["mean", "first"] as const) {
    for (const to of [4, 2, 1]) {
      for (const rope of [undefined, { style: "pairs", base: 100 } as const]) {
        const change = poolingChange(weights, inputs, { ...SIZES, from: 4, to, method, rope });
        assertLess(change.relativeChange, 1e-12);
        assertAlmostEquals(change.cosine, 1, 1e-12);
      }
    }
  }
});

testRandomly(
  "poolingChange() is what a layer by hand says, positions and windows included",
  (random) => {
    const inputs = random.tensor([1, TOKENS, DIM]);
    const weights = layer(random, 2);
    const options = { ...SIZES, from: 2, to: 1, window: 3, rope: { base: 100, dims: 4 } };
    const pooled = {
      ...weights,
      k: { weight: mean(weights.k.weight), bias: mean(weights.k.bias) },
      v: { weight: mean(weights.v.weight), bias: mean(weights.v.bias) },
    };
    const before = byHand(weights, inputs.data, 2);
    const after = byHand(pooled, inputs.data, 1);
    const expected = outputChange(before, after);
    const { relativeChange, cosine } = poolingChange(weights, inputs, options);
    assertAlmostEquals(relativeChange, expected.relativeChange, 1e-9);
    assertAlmostEquals(cosine, expected.cosine, 1e-9);
    assert(relativeChange > 0.01 && cosine < 0.9999);
    const global = poolingChange(weights, inputs, { ...options, window: undefined });
    assert(global.relativeChange !== relativeChange);
  },
);

/** The mean of two halves. */
function mean({ data, shape: [rows, ...rest] }: HostTensor): HostTensor {
  const half = data.length / 2;
  return {
    data: Array.from({ length: half }, (_, i) => (data[i] + data[half + i]) / 2),
    shape: [rows / 2, ...rest],
  };
}

/** The layer once more, from nothing but loops: window 3, the first 4 elements rotated as halves, base 100. */
function byHand(
  { q, k, v, o }: Record<"q" | "k" | "v" | "o", Required<Projection>>,
  x: ArrayLike<number>,
  kvHeads: number,
): number[] {
  const { numHeads, headDim } = SIZES;
  const linear = ({ weight, bias }: typeof q, row: ArrayLike<number>) =>
    Array.from(
      bias.data,
      (b, i) => b + sum(row.length, (j) => weight.data[i * row.length + j] * row[j]),
    );
  const rotate = (row: number[], position: number) => {
    const turned = [...row];
    for (const j of [0, 1]) {
      const angle = position * 100 ** (-j / 2);
      turned[j] = row[j] * Math.cos(angle) - row[j + 2] * Math.sin(angle);
      turned[j + 2] = row[j + 2] * Math.cos(angle) + row[j] * Math.sin(angle);
    }
    return turned;
  };
  const tokens = Array.from({ length: TOKENS }, (_, t) => {
    const row = Array.prototype.slice.call(x, t * DIM, (t + 1) * DIM);
    const heads = (all: number[]) =>
      Array.from(
        { length: all.length / headDim },
        (_, h) => all.slice(h * headDim, (h + 1) * headDim),
      );
    return {
      q: heads(linear(q, row)).map((head) => rotate(head, t)),
      k: heads(linear(k, row)).map((head) => rotate(head, t)),
      v: heads(linear(v, row)),
    };
  });
  return tokens.flatMap(({ q }, t) =>
    linear(
      o,
      q.flatMap((query, head) => {
        const kvHead = Math.floor(head / (numHeads / kvHeads));
        const seen = tokens.slice(Math.max(0, t - 2), t + 1);
        const powers = seen.map(({ k }) =>
          Math.exp(sum(headDim, (j) => query[j] * k[kvHead][j]) / Math.sqrt(headDim))
        );
        const total = powers.reduce((a, b) => a + b);
        return query.map((_, j) =>
          sum(seen.length, (i) => powers[i] / total * seen[i].v[kvHead][j])
        );
      }),
    )
  );
}

function sum(length: number, term: (i: number) => number): number {
  let total = 0;
  for (let i = 0; i < length; i++) total += term(i);
  return total;
}

testRandomly("poolingChange() refuses shapes that do not agree", (random) => {
  const inputs = random.tensor([1, TOKENS, DIM]);
  const weights = layer(random, 4);
  const options = { ...SIZES, from: 4, to: 1 };
  const refuses = (change: () => unknown, says: string) => assertThrows(change, RangeError, says);
  const wrong = random.tensor([1, TOKENS, 7]);
  refuses(() => poolingChange(weights, wrong, options), "q.weight must have shape [24, 7]");
  refuses(() => poolingChange(weights, inputs, { ...options, numHeads: 6 }), "numHeads=6");
  refuses(() => poolingChange(weights, inputs, { ...options, from: 2 }), "k.weight must have");
  refuses(() => poolingChange(weights, inputs, { ...options, to: 3 }), "from=4, to=3");
  refuses(() => poolingChange(weights, inputs, { ...options, rope: { dims: 8 } }), "dims=8");
  const short = { ...weights, v: { ...weights.v, bias: { data: [1], shape: [1] } } };
  refuses(() => poolingChange(short, inputs, options), "v.bias=[1]");
  const cut = { ...weights, k: { weight: { ...weights.k.weight, data: [1, 2] } } };
  refuses(() => poolingChange(cut, inputs, options), "elements=2, shape=[24, 12]");
});

Deno.test("outputChange() measures length and direction", () => {
  assertEquals(outputChange([3, 4], [3, 4]), { relativeChange: 0, cosine: 1 });
  assertEquals(outputChange([3, 4], [6, 8]), { relativeChange: 1, cosine: 1 });
  assertEquals(outputChange([3, 0], [0, 3]), { relativeChange: Math.SQRT2, cosine: 0 });
  assertThrows(() => outputChange([3, 4], [3]), RangeError, "before=2, after=1");
});
