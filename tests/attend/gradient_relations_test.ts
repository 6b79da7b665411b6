// What must be the same of gradients whichever way they are computed.
import { assertEquals } from "@std/assert";
import { type AttentionSpec, type HostTensor, referenceAttention } from "../../mod.ts";
import { assertClose } from "../support/compare.ts";
import { assertRelative, randomDO, RELATIVE_TOLERANCE, runGradient } from "../support/gradient.ts";
import { testRandomly } from "../support/random.ts";
import { randomInputs } from "../support/run.ts";

const SPEC: AttentionSpec = { numHeads: 6, numKvHeads: 2, headDim: 8, seqLen: 37, capacity: 37 };
const { f32: TOLERANCE } = RELATIVE_TOLERANCE;

/** The heads of K or V [1, C, heads, size], each `times` times. */
function repeated({ data, shape }: HostTensor, times: number): HostTensor {
  const [batch, tokens, heads, size] = shape;
  const rows = Array.from({ length: tokens * heads * times }, (_, i) => {
    const row = Math.floor(i / times) * size;
    return Array.prototype.slice.call(data, row, row + size);
  });
  return { data: rows.flat(), shape: [batch, tokens, heads * times, size] };
}

testRandomly("gradient: two runs give the same bits", async (random) => {
  const inputs = randomInputs(random, SPEC);
  const dO = randomDO(random, SPEC);
  const [one, other] = [await runGradient(SPEC, inputs, dO), await runGradient(SPEC, inputs, dO)];
  for (const name of ["dq", "dk", "dv"] as const) {
    assertEquals(new Uint32Array(one[name].buffer), new Uint32Array(other[name].buffer), name);
  }
});

testRandomly(
  "gradient: that of a group's keys is the sum over heads of their own",
  async (random) => {
    const inputs = randomInputs(random, SPEC);
    const dO = randomDO(random, SPEC);
    const grouped = await runGradient(SPEC, inputs, dO);
    const [k, v] = [inputs.k, inputs.v].map((tensor) => repeated(tensor, 3));
    const apart = await runGradient({ ...SPEC, numKvHeads: 6 }, { ...inputs, k, v }, dO);
    assertRelative(grouped.dq, apart.dq, TOLERANCE, "dq");
    for (const name of ["dk", "dv"] as const) {
      const summed = grouped[name].map((_, i) => {
        const [row, h] = [Math.floor(i / 8), i % 8];
        return [0, 1, 2].reduce((sum, head) => sum + apart[name][(row * 3 + head) * 8 + h], 0);
      });
      assertRelative(grouped[name], summed, TOLERANCE, name);
    }
  },
);

testRandomly(
  "gradient: shards of a context give that of the whole, by its output and lse",
  async (random) => {
    const spec: AttentionSpec = { ...SPEC, causal: false };
    const inputs = randomInputs(random, spec);
    const dO = randomDO(random, spec);
    const whole = await runGradient(spec, inputs, dO);
    const { o, lse } = referenceAttention(inputs, { causal: false });
    const outputs = {
      o: { data: o, shape: dO.shape },
      lse: { data: lse, shape: dO.shape.slice(0, -1) },
    };
    const part = ({ data, shape }: HostTensor, first: number, end: number): HostTensor => ({
      data: Array.prototype.slice.call(data, first * 16, end * 16),
      shape: shape.with(1, end - first),
    });
    const shards = await Promise.all([[0, 20], [20, 37]].map(([first, end]) =>
      runGradient(
        { ...spec, capacity: end - first },
        { q: inputs.q, k: part(inputs.k, first, end), v: part(inputs.v, first, end) },
        dO,
        outputs,
      )
    ));
    assertRelative(shards[0].dq.map((x, i) => x + shards[1].dq[i]), whole.dq, TOLERANCE, "dq");
    for (const name of ["dk", "dv"] as const) {
      assertRelative([...shards[0][name], ...shards[1][name]], whole[name], TOLERANCE, name);
    }
  },
);

testRandomly(
  "gradient: a ring that has wrapped gives that of its tokens in their order",
  async (random) => {
    const spec: AttentionSpec = { numHeads: 4, numKvHeads: 1, headDim: 8, seqLen: 4, capacity: 10 };
    const inputs = randomInputs(random, spec);
    const dO = randomDO(random, spec);
    const expected = await runGradient(spec, inputs, dO);
    /** Token 3 + i of 13 is in slot (3 + i) mod 10. */
    const inRing = (data: ArrayLike<number>) =>
      Float32Array.from(data, (_, i) => data[(Math.floor(i / 8) + 7) % 10 * 8 + i % 8]);
    const ring = ({ data, shape }: HostTensor) => ({ data: inRing(data), shape });
    const lengths = { data: [13], shape: [1] };
    const actual = await runGradient(
      spec,
      { ...inputs, k: ring(inputs.k), v: ring(inputs.v), lengths },
      dO,
    );
    assertRelative(actual.dq, expected.dq, TOLERANCE, "dq");
    for (const name of ["dk", "dv"] as const) {
      assertRelative(actual[name], inRing(expected[name]), TOLERANCE, name);
    }
  },
);

testRandomly(
  "gradient: an infinite dO reaches its own row and the keys that it sees",
  async (random) => {
    const spec: AttentionSpec = { numHeads: 1, headDim: 8, seqLen: 40, capacity: 40, window: 9 };
    const inputs = randomInputs(random, spec);
    const dO = randomDO(random, spec);
    const clean = await runGradient(spec, inputs, dO);
    const spoilt = { data: Float32Array.from(dO.data), shape: dO.shape };
    const row = 20;
    spoilt.data[row * 8 + 3] = Infinity;
    for (const impl of ["fused", "staged"] as const) {
      const { dq, dk, dv } = await runGradient({ ...spec, impl }, inputs, spoilt);
      const rowsThatDiffer = (actual: Float32Array, expected: Float32Array) =>
        Array.from({ length: 40 }, (_, i) => i).filter((i) =>
          actual.subarray(i * 8, i * 8 + 8).some((x) => !Number.isFinite(x)) ||
          actual.subarray(i * 8, i * 8 + 8).some((x, h) => Math.abs(x - expected[i * 8 + h]) > 1e-4)
        );
      const seen = Array.from({ length: 9 }, (_, i) => row - 8 + i);
      assertEquals(rowsThatDiffer(dq, clean.dq), [row], impl);
      assertEquals(rowsThatDiffer(dk, clean.dk), seen, impl);
      assertEquals(rowsThatDiffer(dv, clean.dv), seen, impl);
    }
  },
);

testRandomly("gradient: keys, values and rows that nobody sees may be anything", async (random) => {
  const spec: AttentionSpec = {
    ...{ ...SPEC, numKvHeads: 1, capacity: 50, seqLen: 9, window: 20 },
    ...{ alibiSlopes: Array(6).fill(0.1), sinkLogits: Array(6).fill(1) },
  };
  const lengths = { data: [40], shape: [1] };
  const inputs = { ...randomInputs(random, spec), lengths, bias: random.tensor([9, 50]) };
  const dO = randomDO(random, spec);
  const expected = await runGradient(spec, inputs, dO);
  const spoilt = ({ data, shape }: HostTensor, bad: number): HostTensor => {
    const copy = Float32Array.from(data);
    // Beyond the window of the first query, and past the end of the sequence.
    copy.fill(bad, 0, 12 * 8);
    copy.fill(bad, 40 * 8);
    return { data: copy, shape };
  };
  for (const bad of [NaN, Infinity]) {
    const changed = { ...inputs, k: spoilt(inputs.k, bad), v: spoilt(inputs.v, -bad) };
    const actual = await runGradient(spec, changed, dO);
    const names = ["dq", "dk", "dv", "dBias", "dAlibiSlopes", "dSinkLogits"] as const;
    for (const name of names) {
      assertClose(actual[name]!, expected[name]!, 0, `${name} beside ${bad}`);
    }
  }
});

testRandomly("gradient: NaN reaches what a row sees, and nothing else", async (random) => {
  const spec: AttentionSpec = { numHeads: 2, numKvHeads: 1, headDim: 8, seqLen: 40, capacity: 40 };
  const inputs = randomInputs(random, spec);
  const dO = randomDO(random, spec);
  const row = 20;
  const q = { data: Float32Array.from(inputs.q.data), shape: inputs.q.shape };
  q.data[row * 2 * 8] = NaN;
  const clean = await runGradient(spec, inputs, dO);
  const { dq, dk, dv } = await runGradient(spec, { ...inputs, q }, dO);
  const isFinite = (numbers: Float32Array, at: number) =>
    numbers.slice(at, at + 8).every(Number.isFinite);
  assertEquals(isFinite(dq, row * 2 * 8), false);
  assertEquals(isFinite(dk, row * 8), false);
  assertEquals(isFinite(dv, row * 8), false);
  assertClose(dq.slice(0, row * 16), clean.dq.slice(0, row * 16), 0, "dq before");
  assertClose(
    dk.slice((row + 1) * 8),
    clean.dk.slice((row + 1) * 8),
    0,
    "dk of keys it does not see",
  );
  assertClose(
    dv.slice((row + 1) * 8),
    clean.dv.slice((row + 1) * 8),
    0,
    "dv of values it does not see",
  );
});
