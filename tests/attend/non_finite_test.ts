// Infinities and NaN at random places: outputs are what the formula makes of them, and what a row does not see changes nothing.
import { assert, assertEquals } from "@std/assert";
import {
  attend,
  type AttentionSpec,
  type HostTensor,
  type KvDtype,
  mergeStates,
  MultiQueryAttention,
  referenceLayer,
  referenceMergeStates,
  RingKvCache,
  SharedPrefixAttention,
} from "../../mod.ts";
import { isQuantized } from "../../src/tensor/quantized.ts";
import { MASKED, TOLERANCE } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { type LayerShape, weightsOf } from "../support/layer.ts";
import {
  assertAlike,
  assertReference,
  gpuWithoutNan,
  largest,
  NON_FINITE,
  spoiled,
} from "../support/non_finite.ts";
import { fusedPlan, gpuTuning, profileOn, PROFILES, stagedPlan } from "../support/plan.ts";
import { testRandomly } from "../support/random.ts";
import { ropedTensor } from "../support/rope.ts";
import {
  concatenate,
  type Inputs,
  randomInputs,
  runAttention,
  runPlan,
  submit,
  swapLayout,
  Tensors,
} from "../support/run.ts";
import { randomDraw, randomSizes } from "../support/score_options.ts";
import { downloadTokens, poison } from "../support/transcript.ts";

/** Runs both implementations and holds them against the reference on inputs [B, S, N, H] as they are stored. */
async function check(
  spec: AttentionSpec,
  given: Parameters<typeof runAttention>[1],
  stored: Inputs,
): Promise<void> {
  const arithmetic = losesFactors(stored) ? "f32" : spec.arithmetic;
  for (const impl of arithmetic === "f16" ? ["fused"] as const : ["fused", "staged"] as const) {
    const run = { ...spec, arithmetic, impl };
    const stages = impl === "staged" && spec.window === undefined
      ? ["scores", "weights"] as const
      : [];
    const actual = await runAttention({ ...run, outputs: ["lse", ...stages] }, given);
    assertReference(actual, stored, run, JSON.stringify(run));
  }
}

testRandomly("not finite: compilers may assume that there is no NaN", async (random) => {
  const { gpu, changed } = await gpuWithoutNan();
  // The first query sees the first key alone.
  const scoreMod = {
    name: "spoiled",
    wgsl: `fn spoiled(score: f32, at: ScoreAt) -> f32 {
  let nan = bitcast<f32>(bitcast<u32>(score) | 0x7fc00000u);
  return select(score, nan, at.query == 0 && at.key == 0);
}`,
  };
  const [q, k, v] = [4, 2, 2].map((heads) => random.tensor([1, 2, heads, 8]));
  const isNan = (x: number) => Number.isNaN(x);
  for (const impl of ["fused", "staged"] as const) {
    for (const sinkLogits of [undefined, [1, 2, 3, 4]]) {
      const options = { scoreMod, sinkLogits, impl, outputs: ["lse"] } as const;
      const { o, lse } = await attend(gpu, { q, k, v }, options);
      for (const [name, { data }] of Object.entries({ o, lse })) {
        const half = data.length / 2;
        assert(data.subarray(0, half).every(isNan), `${name} of a row that is NaN, ${impl}`);
        assert(data.subarray(half).every(Number.isFinite), `${name} of another, ${impl}`);
      }
    }
  }
  const shard = { o: random.tensor([2, 4]), lse: { data: [NaN, 1], shape: [2] } };
  const merged = await mergeStates(gpu, [shard, { ...shard, lse: random.tensor([2]) }]);
  assertEquals(Array.from(merged.lse.data, isNan), [true, false]);
  assertEquals(Array.from(merged.o.data, isNan), Array.from({ length: 8 }, (_, i) => i < 4));
  // Nothing is tested where the compiler has nothing to assume, as where WGSL is written in another way.
  assertEquals([...changed].sort(), ["attend", "merge states", "weighted sum"]);
  gpu.destroy();
});

/** Whether products in f16 may take an element of a query for zero that meets an infinite key. */
function losesFactors({ q, k }: Inputs): boolean {
  const magnitudes = Array.from(q.data, Math.abs).filter((x) => !Number.isNaN(x));
  const isWide = Math.max(...magnitudes) > 2 ** 10 * Math.min(...magnitudes);
  return isWide && Array.from(k.data).some((x) => Math.abs(x) === Infinity);
}

testRandomly("not finite: q, k, v and bias, with scores of any kind", async (random) => {
  for (let i = 0; i < 4; i++) {
    const dtype = await hasF16() ? random.pick(["f32", "f32", "f16"] as const) : "f32";
    const capacity = random.pick([1, 3, 19, 65, 199, 700]);
    const { spec, inputs } = randomDraw(random, {
      ...{ ...randomSizes(random), layout: "BSNH", dtype, capacity },
      arithmetic: dtype === "f16" ? random.pick(["f32", "f16"] as const) : "f32",
      maxScratchBytes: random.pick([undefined, 8 * capacity * 4]),
    });
    const stored = (x: HostTensor) => spec.kvLayout === "BNSH" ? swapLayout(x) : x;
    for (let j = 0; j < 3; j++) {
      const given: Inputs = {
        ...inputs,
        q: random.pick([inputs.q, spoiled(random, inputs.q)]),
        k: random.pick([inputs.k, spoiled(random, inputs.k)]),
        v: spoiled(random, inputs.v),
        bias: inputs.bias && spoiled(random, inputs.bias),
      };
      await check(spec, given, { ...given, k: stored(given.k), v: stored(given.v) });
    }
  }
});

testRandomly("not finite: keys that a bias masks, or has nothing for", async (random) => {
  const capacity = random.integer(3, 70);
  const spec: AttentionSpec = { numHeads: 4, numKvHeads: 2, headDim: 8, capacity };
  for (const keys of [capacity, capacity - 1]) {
    const inputs = randomInputs(random, spec);
    for (const { data, shape: [, , heads, size] } of [inputs.k, inputs.v]) {
      (data as Float32Array).fill(random.pick(NON_FINITE), (capacity - 2) * heads * size);
    }
    const bias = random.tensor([1, keys]);
    bias.data.fill(random.pick([-Infinity, MASKED]), capacity - 2);
    await check(spec, { ...inputs, bias }, { ...inputs, bias });
  }
});

testRandomly("not finite: plans for devices of every class", async (random) => {
  const gpu = await sharedGpu();
  for (let i = 0; i < 3; i++) {
    const spec: AttentionSpec = {
      ...{ ...randomSizes(random), layout: "BSNH", kvLayout: "BSNH" },
      capacity: random.pick([3, 65, 199, 700]),
    };
    const profile = profileOn(gpu, random.pick(Object.values(PROFILES)));
    for (const planOf of [fusedPlan, stagedPlan]) {
      const plan = planOf(spec, gpu.device.limits, profile);
      const { q, k, v } = randomInputs(random, spec);
      const inputs = { q, k: spoiled(random, k), v: spoiled(random, v) };
      const what = `${plan.impl} ${JSON.stringify({ ...spec, ...profile })}`;
      assertReference({ o: await runPlan(plan, inputs) }, inputs, spec, what);
    }
  }
});

/** Holds the last tokens of a cache against what was appended: a row of integers shares what is not finite with all of it. */
function assertStored(stored: HostTensor, { data, shape }: HostTensor, kvDtype: KvDtype): void {
  const [batch, tokens, heads, size] = shape;
  const rest = (stored.shape[1] - tokens) * heads * size;
  const actual = Array.from(stored.data).filter((_, i) => i % (stored.data.length / batch) >= rest);
  const expected = actual.map((x, i) => {
    const row: number[] = Array.prototype.slice.call(data, i - i % size, i - i % size + size);
    if (isQuantized(kvDtype) && !row.every(Number.isFinite)) return NaN;
    // Beyond f16, as the device has it.
    const isBeyond = kvDtype === "f16" && Math.abs(data[i]) > 65504 && Number.isFinite(data[i]);
    return isBeyond && Math.sign(data[i]) * x >= 65504 ? x : data[i];
  });
  const within = { f32: TOLERANCE.f32, f16: 2 ** -10, int8: 1 / 250, int4: 1 / 13 }[kvDtype];
  assertAlike(actual, expected, within * largest(data), `stored in ${kvDtype}`);
}

for (const kvDtype of ["f32", "f16", "int8", "int4"] as const) {
  testRandomly(`not finite: a ring of ${kvDtype} that wraps`, async (random) => {
    if (kvDtype === "f16" && !await hasF16()) return;
    using tensors = new Tensors();
    const [batch, numKvHeads] = [random.integer(1, 2), random.integer(1, 2)];
    const [window, sinks] = [random.integer(1, 6), random.pick([0, 2])];
    const headDim = random.pick([4, 8]);
    const valueDim = random.pick([headDim, 5]);
    const turned = { dims: 4, style: random.pick(["halves", "pairs"] as const) };
    const rope = random.pick([undefined, turned]);
    const cache = tensors.keep(
      await RingKvCache.create(await sharedGpu(), {
        ...{ batch, numKvHeads, headDim, valueDim, window, sinks, kvDtype, rope },
        ...{ maxSeqLen: 3, capacity: sinks + window + 2 + random.integer(0, 2) },
      }),
    );
    poison(cache);
    const numHeads = numKvHeads * random.integer(1, 5);
    const kinds = kvDtype === "f16" ? [...NON_FINITE, 1e5, -1e5] : NON_FINITE;
    for (const [step, seqLen] of [3, 3, 3, 2, 1].entries()) {
      const first = cache.length();
      const tensor = (heads: number, size: number) => random.tensor([batch, seqLen, heads, size]);
      const k = spoiled(random, tensor(numKvHeads, headDim), kinds);
      const v = spoiled(random, tensor(numKvHeads, valueDim), kinds);
      const q = spoiled(random, tensor(numHeads, headDim));
      const read = {
        k: await tensors.upload(k),
        v: await tensors.upload(v),
        q: await tensors.upload(q),
      };
      await submit((encoder) => {
        cache.append(encoder, read);
        if (rope) cache.ropeQueries(encoder, read.q);
      });
      const rotated = (x: HostTensor) =>
        rope ? ropedTensor(x, ([, token]) => first + token, rope) : x;
      const queries = { data: await read.q.download(), shape: q.shape };
      assertAlike(queries.data, rotated(q).data, TOLERANCE.f32, "rotated q");
      const stored = { k: await downloadTokens(cache, "k"), v: await downloadTokens(cache, "v") };
      assertStored(stored.k, rotated(k), kvDtype);
      assertStored(stored.v, v, kvDtype);
      if (step < 3) continue;
      const spec: AttentionSpec = {
        ...{ ...cache.spec, numHeads, seqLen },
        tuning: random.pick([undefined, gpuTuning(random)]),
        arithmetic: kvDtype !== "f32" && await hasF16()
          ? random.pick(["f32", "f16"] as const)
          : "f32",
      };
      await check(spec, { q: queries, cache }, { q: queries, ...stored });
    }
  });
}

testRandomly("not finite: merged states", async (random) => {
  for (let i = 0; i < 10; i++) {
    const [rows, valueDim] = [random.integer(1, 70), random.pick([5, 8])];
    const parts = Array.from({ length: random.integer(1, 4) }, () => {
      const lse = spoiled(random, random.tensor([rows]));
      const o = spoiled(random, random.tensor([rows, valueDim]));
      for (let row = 0; row < rows; row++) {
        if (random.next() < 0.8) continue;
        lse.data[row] = random.pick([MASKED, -Infinity]);
        o.data.fill(random.pick(NON_FINITE), row * valueDim, (row + 1) * valueDim);
      }
      return { o, lse };
    });
    const { o, lse } = await mergeStates(await sharedGpu(), parts);
    const states = parts.map(({ o, lse }) => ({ o: o.data, lse: lse.data }));
    const expected = referenceMergeStates(states);
    assertAlike(lse.data, expected.lse, TOLERANCE.f32, "lse");
    assertAlike(o.data, expected.o, TOLERANCE.f32, "o");
  }
});

testRandomly("not finite: a shared prefix", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const numKvHeads = random.integer(1, 2);
  const [batch, numHeads] = [random.integer(1, 3), numKvHeads * random.integer(1, 4)];
  const seqLen = random.integer(1, 3);
  const [prefixLen, suffixLen] = [random.pick([1, 19, 65]), random.integer(seqLen, 9)];
  const options = {
    softcap: random.pick([undefined, 3]),
    sinkLogits: random.pick([undefined, Array.from({ length: numHeads }, () => random.next())]),
    impl: random.pick(["staged", "fused"] as const),
  };
  const spec: AttentionSpec = {
    ...{ batch, numHeads, numKvHeads, headDim: 8, seqLen, capacity: suffixLen, ...options },
  };
  const attention = tensors.keep(
    await SharedPrefixAttention.create(gpu, { ...spec, prefix: { capacity: prefixLen } }),
  );
  for (let i = 0; i < 6; i++) {
    const tensor = (...sizes: number[]) => spoiled(random, random.tensor([...sizes, 8]));
    const q = tensor(batch, seqLen, numHeads);
    const [k, v] = [0, 1].map(() => tensor(1, prefixLen, numKvHeads));
    const [newK, newV] = [0, 1].map(() => tensor(batch, suffixLen, numKvHeads));
    const o = await tensors.poisoned(q.shape);
    const lse = await tensors.poisoned(q.shape.slice(0, -1));
    const read = {
      q: await tensors.upload(q),
      prefix: { k: await tensors.upload(k), v: await tensors.upload(v) },
      suffix: { k: await tensors.upload(newK), v: await tensors.upload(newV) },
    };
    await submit((encoder) => attention.encode(encoder, { ...read, o, lse }));
    assertReference(
      { o: await o.download(), lse: await lse.download() },
      { q, k: concatenate(k, newK), v: concatenate(v, newV) },
      options,
      `${prefixLen} + ${JSON.stringify(spec)}`,
    );
  }
});

testRandomly("not finite: tokens and weights of a layer", async (random) => {
  for (let i = 0; i < 3; i++) {
    const numKvHeads = random.integer(1, 2);
    const numHeads = numKvHeads * random.integer(1, 3);
    const shape: LayerShape = { dim: random.pick([7, 12]), numHeads, numKvHeads, headDim: 4 };
    const { q, k, v, o } = weightsOf(random, shape);
    const name = random.pick(["q", "k", "v", "o"]);
    const weights = Object.fromEntries(
      Object.entries({ q, k, v, o }).map(([key, { weight, bias }]) =>
        [key, { weight: key === name ? spoiled(random, weight) : weight, bias }] as const
      ),
    ) as ReturnType<typeof weightsOf>;
    const gain = random.pick([undefined, random.tensor([4])]);
    const given = { ...weights, qNorm: gain, kNorm: gain };
    const x = spoiled(random, random.tensor([random.integer(1, 2), 6, shape.dim]));
    const seen = { rope: random.pick([undefined, {}]), window: random.pick([undefined, 2]) };
    const expected = referenceLayer(given, x, { ...shape, ...seen });
    const layer = await MultiQueryAttention.create(await sharedGpu(), given, {
      ...shape,
      cache: { batch: x.shape[0], capacity: 6, ...seen },
    });
    try {
      const { data } = await layer.forward(x);
      assertAlike(data, expected.data, 1e-4, JSON.stringify({ ...shape, ...seen }));
    } finally {
      layer.destroy();
    }
  }
});
