// What must be the same whichever way it is computed.
import type { AttentionSpec, HostTensor } from "../../mod.ts";
import { assertClose, assertSame, TOLERANCE } from "../support/compare.ts";
import { testRandomly } from "../support/random.ts";
import { randomInputs, runAttention, swapLayout } from "../support/run.ts";

/** Takes indices of one axis, in the order given, with repetition. */
function take({ data, shape }: HostTensor, axis: number, indices: readonly number[]): HostTensor {
  const product = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b, 1);
  const [outer, inner] = [product(shape.slice(0, axis)), product(shape.slice(axis + 1))];
  const taken = new Float32Array(outer * indices.length * inner);
  for (let i = 0; i < outer; i++) {
    indices.forEach((index, j) => {
      for (let h = 0; h < inner; h++) {
        taken[(i * indices.length + j) * inner + h] = data[(i * shape[axis] + index) * inner + h];
      }
    });
  }
  return { data: taken, shape: shape.with(axis, indices.length) };
}

const range = (end: number, start = 0) => Array.from({ length: end - start }, (_, i) => start + i);
const TOKENS = 1;
const HEADS = 2;

testRandomly("permuting KV heads with their query heads permutes the outputs", async (random) => {
  const spec: AttentionSpec = {
    ...{ batch: 2, numHeads: 6, numKvHeads: 3, headDim: 8, valueDim: 5, seqLen: 3, capacity: 19 },
  };
  const { q, k, v } = randomInputs(random, spec);
  const { o } = await runAttention(spec, { q, k, v });
  const permuted = await runAttention(spec, {
    q: take(q, HEADS, [4, 5, 0, 1, 2, 3]),
    k: take(k, HEADS, [2, 0, 1]),
    v: take(v, HEADS, [2, 0, 1]),
  });
  const expected = take({ data: o, shape: [2, 3, 6, 5] }, HEADS, [4, 5, 0, 1, 2, 3]);
  assertSame(permuted.o, expected.data, "o");
});

for (const seqLen of [1, 3]) {
  testRandomly(`one KV head is many equal KV heads: ${seqLen} tokens`, async (random) => {
    const spec: AttentionSpec = { numHeads: 4, numKvHeads: 1, headDim: 8, seqLen, capacity: 65 };
    const { q, k, v } = randomInputs(random, spec);
    const multiQuery = await runAttention(spec, { q, k, v });
    const [manyK, manyV] = [k, v].map((tensor) => take(tensor, HEADS, [0, 0, 0, 0]));
    const multiHead = await runAttention({ ...spec, numKvHeads: 4 }, { q, k: manyK, v: manyV });
    assertClose(multiQuery.o, multiHead.o, TOLERANCE.f32, "o");
  });
}

testRandomly("BNSH is BSNH in another order", async (random) => {
  const spec: AttentionSpec = {
    ...{ batch: 2, numHeads: 6, numKvHeads: 2, headDim: 8, valueDim: 7, seqLen: 19, capacity: 65 },
  };
  const { q, k, v } = randomInputs(random, spec);
  const { o } = await runAttention(spec, { q, k, v });
  const [k2, v2] = [swapLayout(k), swapLayout(v)];
  const swapped = await runAttention({ ...spec, layout: "BNSH" }, {
    q: swapLayout(q),
    k: k2,
    v: v2,
  });
  assertSame(swapLayout({ data: swapped.o, shape: [2, 6, 19, 7] }).data, o, "o in BNSH");
  const mixed = await runAttention({ ...spec, kvLayout: "BNSH" }, { q, k: k2, v: v2 });
  assertSame(mixed.o, o, "o of K and V in BNSH");
});

testRandomly("a batch is its sequences, one by one", async (random) => {
  const spec: AttentionSpec = { numHeads: 4, numKvHeads: 2, headDim: 8, seqLen: 3, capacity: 65 };
  const { q, k, v } = randomInputs(random, { ...spec, batch: 3 });
  const { o } = await runAttention({ ...spec, batch: 3 }, { q, k, v });
  for (const b of range(3)) {
    const alone = await runAttention(spec, {
      ...{ q: take(q, 0, [b]), k: take(k, 0, [b]), v: take(v, 0, [b]) },
    });
    // Not to the bit: a batch fills the device with fewer slices of the context.
    const expected = take({ data: o, shape: [3, 3, 4, 8] }, 0, [b]).data;
    assertClose(alone.o, expected, TOLERANCE.f32, `sequence ${b}`);
  }
});

testRandomly("a window is attention to the last keys alone", async (random) => {
  const spec: AttentionSpec = { numHeads: 4, numKvHeads: 1, headDim: 8, capacity: 65 };
  const { q, k, v } = randomInputs(random, spec);
  for (const window of [1, 3, 64, 65]) {
    const windowed = await runAttention({ ...spec, window }, { q, k, v });
    const last = range(65, 65 - window);
    const sliced = await runAttention({ ...spec, capacity: window }, {
      ...{ q, k: take(k, TOKENS, last), v: take(v, TOKENS, last) },
    });
    assertSame(windowed.o, sliced.o, `window ${window}`);
  }
});

testRandomly("causal prefill is decoding, token by token", async (random) => {
  const shape: AttentionSpec = { numHeads: 4, numKvHeads: 1, headDim: 8, seqLen: 9, capacity: 9 };
  const { q, k, v } = randomInputs(random, shape);
  const prefill = await runAttention(shape, { q, k, v });
  for (const token of range(9)) {
    const seen = range(token + 1);
    const decoded = await runAttention({ ...shape, seqLen: 1, capacity: token + 1 }, {
      ...{ q: take(q, TOKENS, [token]), k: take(k, TOKENS, seen), v: take(v, TOKENS, seen) },
    });
    const row = take({ data: prefill.o, shape: [1, 9, 4, 8] }, TOKENS, [token]);
    assertClose(decoded.o, row.data, TOLERANCE.f32, `token ${token}`);
  }
});

testRandomly("weights sum to one: equal values come out as they are", async (random) => {
  const spec: AttentionSpec = { numHeads: 7, numKvHeads: 1, headDim: 8, seqLen: 3, capacity: 1177 };
  const { q, k, v } = randomInputs(random, spec);
  const { o } = await runAttention(spec, {
    ...{ q, k, v: { data: new Float32Array(v.data.length).fill(1), shape: v.shape } },
  });
  assertClose(o, new Float32Array(o.length).fill(1), TOLERANCE.f32, "o");
});
