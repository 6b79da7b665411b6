// What functions of scores have to do with the options that they can stand for, with rings, with pages and with what is not
// finite.
import {
  type AttentionSpec,
  type HostTensor,
  type MaskMod,
  PagedKvCache,
  PagePool,
  referenceAttention,
  RingKvCache,
  type ScoreMod,
} from "../../mod.ts";
import { assertClose, assertSame, MASKED, TOLERANCE } from "../support/compare.ts";
import { sharedGpu } from "../support/gpu.ts";
import { MASK_EXAMPLES, SCORE_EXAMPLES } from "../support/mods.ts";
import { gpuTuning } from "../support/plan.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { type Inputs, randomInputs, runAttention, submit, Tensors } from "../support/run.ts";
import { randomMask } from "../support/score_options.ts";

const IMPLS = ["fused", "staged"] as const;
const HEADS: AttentionSpec = { numHeads: 6, numKvHeads: 2, headDim: 8, valueDim: 5, capacity: 1 };

/** Runs both implementations, on tiles of software and of a GPU. */
function specsOf(random: Random, spec: AttentionSpec): AttentionSpec[] {
  const tuned: AttentionSpec = { ...spec, impl: "fused", tuning: gpuTuning(random) };
  return [...IMPLS.map((impl) => ({ ...spec, impl })), tuned];
}

testRandomly("a function that is ALiBi equals ALiBi", async (random) => {
  const alibiSlopes = [0.5, 0.25, 0.1, 2, 0, 1];
  const scoreMod: ScoreMod = {
    name: "alibi",
    wgsl: `fn alibi(score: f32, at: ScoreAt) -> f32 {
      return score - slopes[at.head] * f32(abs(at.query - at.key));
    }`,
    tensors: { slopes: { shape: [6] } },
  };
  const modTensors = { slopes: { data: alibiSlopes, shape: [6] } };
  for (const spec of specsOf(random, { ...HEADS, seqLen: 7, capacity: 65, outputs: ["lse"] })) {
    const inputs = randomInputs(random, spec);
    const built = await runAttention({ ...spec, alibiSlopes }, inputs);
    const own = await runAttention({ ...spec, scoreMod }, { ...inputs, modTensors });
    assertClose(own.o, built.o, TOLERANCE.f32, `o, ${spec.impl}`);
    assertClose(own.lse!, built.lse!, TOLERANCE.f32, `lse, ${spec.impl}`);
  }
});

testRandomly("functions that change nothing change nothing", async (random) => {
  const scoreMod: ScoreMod = {
    name: "same",
    wgsl: "fn same(score: f32, at: ScoreAt) -> f32 { return score; }",
  };
  const maskMod: MaskMod = { name: "all", wgsl: "fn all(at: ScoreAt) -> bool { return true; }" };
  for (const spec of specsOf(random, { ...HEADS, seqLen: 19, capacity: 199, window: 70 })) {
    const inputs = { ...randomInputs(random, spec), mask: randomMask(random, [19, 199]) };
    const plain = await runAttention(spec, inputs);
    const own = await runAttention({ ...spec, scoreMod, maskMod }, inputs);
    // Rows of a tile may be fewer where a function is called.
    assertClose(own.o, plain.o, TOLERANCE.f32, spec.impl!);
  }
});

testRandomly("a function that reads a mask equals the mask", async (random) => {
  const wgsl = `fn inMask(at: ScoreAt) -> bool {
    let bit = u32((i32(at.head) * 7 + at.query - 58) * 65 + at.key);
    return ((bits[bit / 32u] >> (bit % 32u)) & 1u) == 1u;
  }`;
  const bits = { shape: [6, 7, 65], dtype: "bool" } as const;
  const maskMod: MaskMod = { name: "inMask", wgsl, tensors: { bits } };
  for (const spec of specsOf(random, { ...HEADS, seqLen: 7, capacity: 65, outputs: ["lse"] })) {
    const inputs = randomInputs(random, spec);
    const mask = randomMask(random, bits.shape);
    const built = await runAttention(spec, { ...inputs, mask });
    const own = await runAttention({ ...spec, maskMod }, { ...inputs, modTensors: { bits: mask } });
    assertClose(own.o, built.o, TOLERANCE.f32, `o, ${spec.impl}`);
    assertClose(own.lse!, built.lse!, TOLERANCE.f32, `lse, ${spec.impl}`);
  }
});

/** Functions whose positions are up to `positions`, and what the reference takes for them. */
function randomMods(random: Random, positions: number, { batch = 1, numHeads }: AttentionSpec) {
  const sizes = { batch, numHeads, positions };
  const score = random.pick(Object.values(SCORE_EXAMPLES))(random, sizes);
  const mask = random.pick(Object.values(MASK_EXAMPLES))(random, sizes);
  return {
    spec: { scoreMod: score.mod, maskMod: mask.mod },
    inputs: {
      ...{ scoreMod: score.scoreOf, maskMod: mask.isSeen },
      modTensors: { ...score.tensors, ...mask.tensors },
    },
  };
}

const tokens = ({ data, shape }: HostTensor, first: number, end: number): HostTensor => {
  const row = shape[2] * shape[3];
  return {
    data: Array.prototype.slice.call(data, first * row, end * row),
    shape: shape.with(1, end - first),
  };
};

testRandomly(
  "functions over a ring that has wrapped see positions of the sequence",
  async (random) => {
    const gpu = await sharedGpu();
    const [window, sinks, seqLen, length] = [19, random.pick([0, 3]), 3, 60];
    using tensors = new Tensors();
    const heads = { numKvHeads: 2, headDim: 8, capacity: sinks + window + 5, window, sinks };
    const cache = tensors.keep(await RingKvCache.create(gpu, { ...heads, maxSeqLen: seqLen }));
    const spec: AttentionSpec = { ...cache.spec, numHeads: 4, seqLen, window };
    const { q, k, v } = randomInputs(random, { ...spec, capacity: length, kvLayout: "BSNH" });
    for (let first = 0; first < length; first += seqLen) {
      const [newK, newV] = await Promise.all(
        [k, v].map((kv) => tensors.upload(tokens(kv, first, first + seqLen))),
      );
      await submit((encoder) => cache.append(encoder, { k: newK, v: newV }));
    }
    for (let i = 0; i < 3; i++) {
      const mods = randomMods(random, length, spec);
      const expected = referenceAttention({ q, k, v, ...mods.inputs }, { window, sinks });
      for (const impl of specsOf(random, spec)) {
        const { o } = await runAttention({ ...impl, ...mods.spec }, { q, cache, ...mods.inputs });
        assertClose(o, expected.o, TOLERANCE.f32, `${impl.impl}: ${JSON.stringify(mods.spec)}`);
      }
    }
  },
);

testRandomly("functions over pages see positions of the sequence", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const [seqLen, length] = [5, 40];
  const heads = { numKvHeads: 2, headDim: 8, numPages: 9, pageSize: 8 };
  const pool = tensors.keep(await PagePool.create(gpu, heads));
  const cache = tensors.keep(await PagedKvCache.create(pool, { capacity: 64 }));
  const [layer] = cache.layers;
  const spec: AttentionSpec = { ...layer.spec, numHeads: 4, seqLen };
  const { q, k, v } = randomInputs(random, {
    ...{ numHeads: 4, numKvHeads: 2, headDim: 8, seqLen, capacity: length },
  });
  const [newK, newV] = [await tensors.upload(k), await tensors.upload(v)];
  await submit((encoder) => {
    cache.extend(encoder, [length]);
    layer.append(encoder, { k: newK, v: newV });
  });
  for (let i = 0; i < 3; i++) {
    const mods = randomMods(random, length, spec);
    const expected = referenceAttention({ q, k, v, ...mods.inputs });
    for (const impl of specsOf(random, spec)) {
      const given = { q, cache: layer, ...mods.inputs };
      const { o } = await runAttention({ ...impl, ...mods.spec }, given);
      assertClose(o, expected.o, TOLERANCE.f32, `${impl.impl}: ${JSON.stringify(mods.spec)}`);
    }
  }
});

testRandomly("the lowest f32 and less mask a key, whatever lies there", async (random) => {
  const wgsl = `
    const LOWEST = -3.4028234663852886e38;
    fn hidden(score: f32, at: ScoreAt) -> f32 {
      return select(score, factor * LOWEST, (at.key + i32(at.head)) % 3 == 0);
    }`;
  // Twice the lowest f32 is minus infinity.
  for (const factor of [1, 2]) {
    const scoreMod: ScoreMod = { name: "hidden", wgsl, scalars: { factor } };
    for (const spec of specsOf(random, { ...HEADS, seqLen: 1, numKvHeads: 6, capacity: 65 })) {
      const inputs: Inputs = {
        ...randomInputs(random, spec),
        scoreMod: (score, { head, key }) => (key + head) % 3 === 0 ? -Infinity : score,
      };
      for (const { data, shape } of [inputs.k, inputs.v]) {
        const size = shape[3];
        for (let row = 0; row < data.length / size; row++) {
          const [head, key] = [row % 6, Math.floor(row / 6)];
          if ((key + head) % 3 > 0) continue;
          (data as Float32Array).fill(random.pick([NaN, Infinity]), row * size, (row + 1) * size);
        }
      }
      const outputs = spec.impl === "staged" ? ["scores", "lse"] as const : ["lse"] as const;
      const { o, scores } = await runAttention({ ...spec, scoreMod, outputs }, inputs);
      assertClose(o, referenceAttention(inputs, {}).o, TOLERANCE.f32, `${spec.impl}, ${factor}`);
      if (!scores) continue;
      const hidden = scores.filter((_, i) => (i % 65 + Math.floor(i / 65)) % 3 === 0);
      assertSame(hidden, new Float32Array(hidden.length).fill(MASKED), "scores that are masked");
    }
  }
});

testRandomly("what a bias or a mask hides, a function does not bring back", async (random) => {
  const scoreMod: ScoreMod = {
    name: "raised",
    wgsl: "fn raised(score: f32, at: ScoreAt) -> f32 { return max(score, 0.0) + 5.0; }",
  };
  const maskMod: MaskMod = { name: "all", wgsl: "fn all(at: ScoreAt) -> bool { return true; }" };
  for (const spec of specsOf(random, { ...HEADS, seqLen: 7, capacity: 65, outputs: ["lse"] })) {
    const mask = randomMask(random, [7, 65]);
    const bias = random.tensor([6, 1, 65]);
    bias.data.forEach((x, i) => bias.data[i] = random.pick([x, x, MASKED, -Infinity]));
    const inputs = { ...randomInputs(random, spec), bias, mask };
    const expected = referenceAttention({
      ...inputs,
      scoreMod: (score) => Math.max(score, 0) + 5,
    });
    const { o } = await runAttention({ ...spec, scoreMod, maskMod }, inputs);
    assertClose(o, expected.o, TOLERANCE.f32, spec.impl!);
  }
});

testRandomly("a function that makes a score NaN makes its row NaN", async (random) => {
  const wgsl = `fn spoiled(score: f32, at: ScoreAt) -> f32 {
    return select(score, bitcast<f32>(bits), at.head == 2u && at.key == 3);
  }`;
  const scoreMod: ScoreMod = {
    ...{ name: "spoiled", wgsl, scalars: { bits: { type: "u32", value: 0x7fc00000 } } },
  };
  for (const spec of specsOf(random, { ...HEADS, seqLen: 1, capacity: 9 })) {
    const inputs = randomInputs(random, spec);
    const { o } = await runAttention({ ...spec, scoreMod }, inputs);
    const expected = referenceAttention(inputs).o;
    const isSpoiled = (_: number, i: number) => Math.floor(i / 5) === 2;
    assertSame(
      o.filter(isSpoiled).map((x) => Number(Number.isNaN(x))),
      [1, 1, 1, 1, 1],
      spec.impl!,
    );
    const rest = (all: ArrayLike<number>) => Array.from(all).filter((x, i) => !isSpoiled(x, i));
    assertClose(rest(o), rest(expected), TOLERANCE.f32, spec.impl!);
  }
});
