// What masks, windows, lengths and rings have to do with each other.
import { assertThrows } from "@std/assert";
import {
  type AttentionSpec,
  type HostTensor,
  planAttention,
  referenceAttention,
  RingKvCache,
  treeMask,
} from "../../mod.ts";
import { assertClose, assertSame, maskedScores, TOLERANCE } from "../support/compare.ts";
import { sharedGpu } from "../support/gpu.ts";
import { LIMITS } from "../support/plan.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { type Inputs, randomInputs, runAttention, submit, Tensors } from "../support/run.ts";
import { randomMask } from "../support/score_options.ts";

/** Tokens `first` to `end` of one sequence of a BSNH tensor. */
function slice({ data, shape }: HostTensor, sequence: number, first: number, end: number) {
  const [, tokens, heads, size] = shape;
  const row = heads * size;
  const start = sequence * tokens * row;
  return {
    data: Array.prototype.slice.call(data, start + first * row, start + end * row),
    shape: [1, end - first, heads, size],
  };
}

const IMPLS = ["fused", "staged"] as const;
const HEADS: AttentionSpec = { numHeads: 6, numKvHeads: 2, headDim: 8, valueDim: 5, capacity: 1 };

testRandomly("a window to both sides is attention to a slice of the keys", async (random) => {
  for (const impl of IMPLS) {
    const [capacity, left, right] = [199, random.integer(1, 70), random.integer(0, 40)];
    const spec: AttentionSpec = { ...HEADS, impl, causal: false, capacity: 199, seqLen: 1 };
    const position = random.integer(0, capacity - 1);
    const { q, k, v } = randomInputs(random, spec);
    const windows = { alignment: position, window: left, windowRight: right };
    const { o } = await runAttention({ ...spec, ...windows }, { q, k, v });
    const [first, end] = [
      Math.max(0, position - left + 1),
      Math.min(capacity, position + right + 1),
    ];
    const [kept, keptV] = [k, v].map((kv) => slice(kv, 0, first, end));
    const sliced = await runAttention({ ...spec, capacity: end - first }, { q, k: kept, v: keptV });
    assertClose(o, sliced.o, TOLERANCE.f32, `${impl}: ${first} to ${end}, at ${position}`);
  }
});

testRandomly("windows and positions beyond every key see all, or nothing", async (random) => {
  const far = [24, 2 ** 24 + 1, 2 ** 29];
  for (const impl of IMPLS) {
    const spec: AttentionSpec = { ...HEADS, impl, capacity: 19, seqLen: 3 };
    const inputs = randomInputs(random, spec);
    const { o: causal } = await runAttention(spec, inputs);
    const { o: all } = await runAttention({ ...spec, causal: false }, inputs);
    for (const distance of far) {
      const { o: left } = await runAttention({ ...spec, window: distance }, inputs);
      assertSame(left, causal, `${impl}: window=${distance}`);
      const right = { causal: false, windowRight: distance };
      assertSame(
        (await runAttention({ ...spec, ...right }, inputs)).o,
        all,
        `${impl}: ${distance}`,
      );
      const after = { ...spec, alignment: distance };
      assertSame((await runAttention(after, inputs)).o, all, `${impl}: alignment=${distance}`);
      const { o: nothing } = await runAttention({ ...after, window: 5 }, inputs);
      assertSame(nothing, new Float32Array(nothing.length), `${impl}: far from every key`);
    }
  }
});

Deno.test("windows and positions beyond 2^29 are refused, and not moved", () => {
  const spec: AttentionSpec = { ...HEADS, capacity: 19, causal: false };
  for (const name of ["window", "windowRight", "alignment"] as const) {
    planAttention({ ...spec, [name]: 2 ** 29 }, LIMITS);
    for (const far of [2 ** 29 + 1, 2 ** 31 - 1, 2 ** 32, 2 ** 53 - 1]) {
      const plan = () => planAttention({ ...spec, [name]: far }, LIMITS);
      assertThrows(plan, RangeError, `${name} must be at most 2^29`);
    }
  }
});

Deno.test("a bias or a mask of one key among several is refused unless it is meant", () => {
  const one = [[1, 1], [3, 1], [6, 1, 1], [2, 6, 3, 1]];
  const spec: AttentionSpec = { ...HEADS, batch: 2, seqLen: 3, capacity: 19 };
  for (const name of ["bias", "mask"] as const) {
    for (const shape of one) {
      const given = { ...spec, [name]: shape };
      const says = `the last axis of ${name} counts keys`;
      assertThrows(() => planAttention(given, LIMITS), RangeError, says);
      for (const maskKeys of ["first", "last"] as const) {
        planAttention({ ...given, maskKeys }, LIMITS);
      }
      planAttention({ ...given, capacity: 1 }, LIMITS);
      planAttention({ ...spec, [name]: shape.with(-1, 2) }, LIMITS);
    }
  }
});

testRandomly("keys past a mask that is shorter than the context are masked", async (random) => {
  // A whole number of words, all of it true: what is read past it is true as well.
  const keys = 32;
  for (const impl of IMPLS) {
    const spec: AttentionSpec = { ...HEADS, impl, capacity: 80, seqLen: 3, causal: false };
    const inputs = randomInputs(random, spec);
    const [k, v] = [inputs.k, inputs.v].map((kv) => slice(kv, 0, 0, keys));
    const seen = await runAttention({ ...spec, capacity: keys }, { q: inputs.q, k, v });
    for (const shape of [[1, keys], [3, keys], [6, 3, keys]]) {
      const length = shape.reduce((product, size) => product * size);
      const mask = { data: new Array(length).fill(true), shape };
      const { o } = await runAttention(spec, { ...inputs, mask });
      assertClose(o, seen.o, TOLERANCE.f32, `${impl}: mask ${shape}`);
      const bias = { data: new Float32Array(length), shape };
      const { o: biased } = await runAttention(spec, { ...inputs, bias });
      assertClose(biased, seen.o, TOLERANCE.f32, `${impl}: bias ${shape}`);
    }
  }
});

testRandomly("a ragged batch equals a loop, whatever lies behind the lengths", async (random) => {
  for (const impl of IMPLS) {
    const [batch, seqLen, capacity] = [4, 3, 199];
    const spec: AttentionSpec = { ...HEADS, impl, batch, seqLen, capacity, outputs: ["lse"] };
    const inputs = randomInputs(random, spec);
    const lengths = [capacity, 1, random.integer(2, 198), 0];
    lengths.forEach((length, b) => {
      for (const { data, shape } of [inputs.k, inputs.v]) {
        const row = shape[2] * shape[3];
        (data as Float32Array).fill(NaN, (b * capacity + length) * row, (b + 1) * capacity * row);
      }
    });
    const { o, lse } = await runAttention(spec, {
      ...inputs,
      lengths: { data: lengths, shape: [batch] },
    });
    for (const [b, length] of lengths.entries()) {
      const [oSize, rows] = [o.length / batch, lse!.length / batch];
      const own = o.subarray(b * oSize, (b + 1) * oSize);
      if (length === 0) {
        assertSame(own, new Float32Array(oSize), `${impl}: o of no keys`);
        continue;
      }
      const alone = await runAttention({ ...spec, batch: 1, capacity: length }, {
        q: slice(inputs.q, b, 0, seqLen),
        k: slice(inputs.k, b, 0, length),
        v: slice(inputs.v, b, 0, length),
      });
      assertClose(own, alone.o, TOLERANCE.f32, `${impl}: o of ${length} keys`);
      const ownLse = lse!.subarray(b * rows, (b + 1) * rows);
      assertClose(ownLse, alone.lse!, TOLERANCE.f32, `${impl}: lse of ${length} keys`);
    }
  }
});

testRandomly("a mask of lower triangles equals causal", async (random) => {
  for (const impl of IMPLS) {
    const spec: AttentionSpec = { ...HEADS, impl, capacity: 19, seqLen: 19 };
    const inputs = randomInputs(random, spec);
    const data = Array.from({ length: 19 * 19 }, (_, i) => i % 19 <= Math.floor(i / 19));
    const mask = { data, shape: [19, 19] };
    const { o } = await runAttention({ ...spec, causal: false }, { ...inputs, mask });
    assertSame(o, (await runAttention(spec, inputs)).o, impl);
  }
});

testRandomly("a bias of minus infinity equals a mask", async (random) => {
  for (const impl of IMPLS) {
    const spec: AttentionSpec = { ...HEADS, impl, capacity: 65, seqLen: 7, outputs: ["lse"] };
    const inputs = randomInputs(random, spec);
    const mask = randomMask(random, [6, 7, 65]);
    const masked = await runAttention(spec, { ...inputs, mask });
    for (const unseen of [-Infinity, -3.4028234663852886e38]) {
      const data = Float32Array.from(mask.data, (isSeen) => isSeen ? 0 : unseen);
      const biased = await runAttention(spec, { ...inputs, bias: { data, shape: mask.shape } });
      assertSame(biased.o, masked.o, `${impl}: o beside ${unseen}`);
      assertSame(biased.lse!, masked.lse!, `${impl}: lse beside ${unseen}`);
    }
  }
});

testRandomly("a sink of zero equals a key of zero with a value of zero", async (random) => {
  for (const impl of IMPLS) {
    const spec: AttentionSpec = { ...HEADS, impl, causal: false, capacity: 19, outputs: ["lse"] };
    const inputs = randomInputs(random, spec);
    const sinkLogits = Array.from({ length: spec.numHeads }, () => 0);
    const actual = await runAttention({ ...spec, sinkLogits }, inputs);
    const [k, v] = [inputs.k, inputs.v].map(({ data, shape }) => ({
      data: [...Array.from(data), ...new Float32Array(shape[2] * shape[3])],
      shape: shape.with(1, 20),
    }));
    const expected = await runAttention({ ...spec, capacity: 20 }, { ...inputs, k, v });
    assertClose(actual.o, expected.o, TOLERANCE.f32, `o, ${impl}`);
    assertClose(actual.lse!, expected.lse!, TOLERANCE.f32, `lse, ${impl}`);
  }
});

/** A random tree: each token follows an earlier one, or the context. */
function randomTree(random: Random, size: number): number[] {
  return Array.from({ length: size }, (_, token) => random.integer(-1, token - 1));
}

testRandomly("a tree of tokens equals each of its branches by itself", async (random) => {
  const gpu = await sharedGpu();
  const [past, size] = [19, 9];
  for (const impl of IMPLS) {
    using tensors = new Tensors();
    const parents = randomTree(random, size);
    const heads = { numKvHeads: 2, headDim: 8, capacity: past + size };
    const cache = tensors.keep(await RingKvCache.create(gpu, heads));
    const whole: AttentionSpec = { ...cache.spec, numHeads: 6, seqLen: size, impl };
    const { q, k, v } = randomInputs(random, { ...whole, kvLayout: "BSNH" });
    const [newK, newV] = [await tensors.upload(k), await tensors.upload(v)];
    await submit((encoder) => cache.append(encoder, { k: newK, v: newV }));
    const mask = treeMask(parents);
    const { o } = await runAttention({ ...whole, maskKeys: "last" }, { q, cache, mask });
    for (let token = 0; token < size; token++) {
      const branch = [token];
      while (parents[branch[0]] >= 0) branch.unshift(parents[branch[0]]);
      const tokens = [...Array(past).keys(), ...branch.map((i) => past + i)];
      const along = ({ data, shape }: HostTensor) => ({
        data: tokens.flatMap((i) => slice({ data, shape }, 0, i, i + 1).data),
        shape: shape.with(1, tokens.length),
      });
      const inputs: Inputs = { q: slice(q, 0, token, token + 1), k: along(k), v: along(v) };
      const expected = referenceAttention(inputs).o;
      const own = o.subarray(token * expected.length, (token + 1) * expected.length);
      assertClose(own, expected, TOLERANCE.f32, `${impl}: token ${token} of ${parents}`);
    }
  }
});

testRandomly(
  "over a ring that has wrapped, positions are those of the sequence",
  async (random) => {
    const gpu = await sharedGpu();
    const [capacity, window, seqLen, length] = [24, 19, 3, 60];
    for (const impl of IMPLS) {
      using tensors = new Tensors();
      const heads = { numKvHeads: 2, headDim: 8, capacity, window, maxSeqLen: seqLen };
      const cache = tensors.keep(await RingKvCache.create(gpu, heads));
      const spec: AttentionSpec = { ...cache.spec, numHeads: 4, seqLen, impl };
      const { q, k, v } = randomInputs(random, { ...spec, capacity: length, kvLayout: "BSNH" });
      for (let first = 0; first < length; first += seqLen) {
        const [newK, newV] = await Promise.all(
          [k, v].map((kv) => tensors.upload(slice(kv, 0, first, first + seqLen))),
        );
        await submit((encoder) => cache.append(encoder, { k: newK, v: newV }));
      }
      const options = { alibiSlopes: [0.5, 0.1, 0, 2], softcap: 3, window };
      const bias = random.tensor([4, 1, length]);
      const check = async (masks: Partial<Inputs>, maskKeys: "first" | "last") => {
        const { o } = await runAttention({ ...spec, ...options, maskKeys }, { q, cache, ...masks });
        const expected = referenceAttention({ q, k, v, ...masks }, { ...options, maskKeys }).o;
        assertClose(o, expected, TOLERANCE.f32, `${impl}, mask of the ${maskKeys} keys`);
      };
      await check({ bias, mask: randomMask(random, [seqLen, length - 1]) }, "first");
      await check({ mask: randomMask(random, [seqLen, 5]) }, "last");
    }
  },
);

testRandomly("large scores: capped, biased and masked, never NaN", async (random) => {
  for (const impl of IMPLS) {
    const spec: AttentionSpec = {
      ...{ ...HEADS, impl, capacity: 65, seqLen: 7, outputs: ["lse"] },
      ...{ scale: 1e30, softcap: 20, sinkLogits: [-1e30, 0, 5, 1e4, -1e4, 30] },
    };
    const inputs: Inputs = { ...randomInputs(random, spec), mask: randomMask(random, [7, 65]) };
    const bias = random.tensor([6, 1, 65]);
    bias.data.forEach((x, i) => bias.data[i] = random.pick([1e4, 1, -Infinity]) * Math.abs(x));
    const { o, lse } = await runAttention(spec, { ...inputs, bias });
    const expected = referenceAttention({ ...inputs, bias }, spec);
    assertClose(o, expected.o, 1e-3, `o, ${impl}`);
    const largest = maskedScores(expected.lse).map((x) => x === 0 ? 1 : Math.abs(x));
    const relative = (all: ArrayLike<number>) => Array.from(all, (x, i) => x / largest[i]);
    assertClose(relative(lse!), relative(maskedScores(expected.lse)), 1e-5, `lse, ${impl}`);
  }
});

testRandomly("a softcap far above every score changes nothing", async (random) => {
  const spec: AttentionSpec = { numHeads: 4, numKvHeads: 2, headDim: 8, seqLen: 3, capacity: 19 };
  const inputs = randomInputs(random, spec);
  for (const impl of ["fused", "staged"] as const) {
    const plain = await runAttention({ ...spec, impl }, inputs);
    const capped = await runAttention({ ...spec, impl, softcap: 2 ** 32 }, inputs);
    assertClose(capped.o, plain.o, TOLERANCE.f32, impl);
  }
});
