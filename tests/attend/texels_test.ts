// Attention that reads queries, keys and values from textures, against the float64 reference and reads from storage.
import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  type AttentionSpec,
  type DeviceProfile,
  explain,
  type Gpu,
  planAttention,
  planAttentionGradient,
  referenceAttention,
  RingKvCache,
  type RingKvCacheOptions,
  type Tensor,
} from "../../mod.ts";
import { fusedProgram } from "../../src/attend/fused_program.ts";
import { prepareAttention } from "../../src/attend/prepare.ts";
import { Owned } from "../../src/gpu/owned.ts";
import { texelBytes, TEXELS_WIDE } from "../../src/plan/texels.ts";
import { assertClose, assertSame, TOLERANCE } from "../support/compare.ts";
import { assertGradients, randomDO, runGradientPlan } from "../support/gradient.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { fusedPlan, LIMITS, PROFILES } from "../support/plan.ts";
import { testRandomly } from "../support/random.ts";
import { randomInputs, runPlan, submit, Tensors } from "../support/run.ts";
import { type Draw, randomDraw } from "../support/score_options.ts";
import { AliveTextures } from "../support/textures.ts";
import { poison, Transcript } from "../support/transcript.ts";

/** The software device that comes nearest to this one. */
function softwareOf({ profile: { subgroupSize, longLoads } }: Gpu): DeviceProfile {
  return { isSoftware: true, subgroupSize: subgroupSize < 8 ? 0 : 8, longLoads };
}

/** The same attention from storage: one that may not have a byte of scratch. */
function fromStorage(spec: AttentionSpec): AttentionSpec {
  return { ...spec, maxScratchBytes: 1 };
}

/** A text, textures of several lines, a window behind sinks, values that begin their keys, keys in f16. */
const SHAPES: readonly AttentionSpec[] = [
  { batch: 2, numHeads: 6, numKvHeads: 2, headDim: 20, valueDim: 24, seqLen: 90, capacity: 90 },
  { numHeads: 64, numKvHeads: 1, headDim: 64, seqLen: 5, capacity: 300 },
  {
    ...{ numHeads: 8, numKvHeads: 1, headDim: 24, seqLen: 50, capacity: 75, layout: "BNSH" },
    ...{ window: 40, sinks: 3 },
  },
  { numHeads: 140, numKvHeads: 1, headDim: 36, valueDim: 32, capacity: 37, valuesAre: "keys" },
  { numHeads: 4, numKvHeads: 1, headDim: 24, seqLen: 70, capacity: 70, kvDtype: "f16" },
];

for (const spec of SHAPES) {
  testRandomly(`texels: ${JSON.stringify(spec)}`, async (random) => {
    if (spec.kvDtype === "f16" && !await hasF16()) return;
    const profile = softwareOf(await sharedGpu());
    const inputs = randomInputs(random, spec);
    const plan = fusedPlan(spec, LIMITS, profile);
    assertEquals(plan.texels?.length, spec.valuesAre === "keys" ? 2 : 3);
    const o = await runPlan(plan, inputs);
    assertClose(o, referenceAttention(inputs, spec).o, TOLERANCE.f32, "o");
    const stored = fusedPlan(fromStorage(spec), LIMITS, profile);
    assertEquals([stored.texels, stored.slices], [undefined, plan.slices]);
    assertSame(o, await runPlan(stored, inputs), "o");
  });
}

const GRADIENT_SHAPES: readonly [spec: AttentionSpec, options: readonly string[]][] = [
  [SHAPES[0], []],
  [
    { ...SHAPES[2], seqLen: 75, kvLayout: "BSNH" },
    ["ALiBi", "bias", "sink logits", "softcap", "lengths"],
  ],
];

for (const [spec, options] of GRADIENT_SHAPES) {
  const name = [JSON.stringify(spec), ...options].join(", ");
  testRandomly(`texels of gradients: ${name}`, async (random) => {
    const profile = softwareOf(await sharedGpu());
    const draw = randomDraw(random, spec, options);
    const dO = randomDO(random, spec);
    /** The gradients from textures, or from storage. */
    const run = (given: Draw, areTexels: boolean) =>
      runGradientPlan(given, dO, profile, (plan) => {
        assertEquals(plan.texels?.length, areTexels ? 4 : undefined);
        return plan;
      });
    const gradients = await run(draw, true);
    assertGradients(gradients, draw, dO);
    if (options.length > 0) return;
    assertEquals(await run({ ...draw, spec: fromStorage(spec) }, false), gradients);
  });
}

testRandomly("texels: infinities reach who sees them", async (random) => {
  const spec: AttentionSpec = { numHeads: 4, numKvHeads: 1, headDim: 20, seqLen: 80, capacity: 80 };
  const { q, k, v } = randomInputs(random, spec);
  const data = Float32Array.from(v.data);
  data[41 * 20 + 3] = -Infinity;
  const inputs = { q, k, v: { ...v, data } };
  const plan = fusedPlan(spec, LIMITS, softwareOf(await sharedGpu()));
  assertEquals(plan.texels?.length, 3);
  const o = await runPlan(plan, inputs);
  assertClose(o, referenceAttention(inputs, spec).o, TOLERANCE.f32, "o");
});

testRandomly(
  "texels: works share textures, over rings of any lengths, and encode in any order",
  async (random) => {
    const gpu = await sharedGpu();
    using alive = await AliveTextures.watch();
    using tensors = new Tensors();
    const options: RingKvCacheOptions = {
      ...{ batch: 2, numKvHeads: 1, headDim: 20, valueDim: 24 },
      ...{ capacity: 13, window: 5, sinks: 2, maxSeqLen: 5 },
    };
    const numHeads = 128;
    const shape = (heads: number, tokens: number, size: number) => [2, tokens, heads, size];
    /** A ring with what was appended to it. */
    const ring = async () => {
      const cache = tensors.keep(await RingKvCache.create(gpu, options));
      poison(cache);
      const transcript = new Transcript(cache);
      const append = async (lengths: number[], fill?: number) => {
        const [k, v] = [20, 24].map((size) => random.tensor(shape(1, Math.max(...lengths), size)));
        if (fill !== undefined) {
          for (const { data } of [k, v]) (data as Float32Array).fill(fill);
        }
        transcript.append(k, v, lengths);
        const given = { k: await tensors.upload(k), v: await tensors.upload(v), lengths };
        return (encoder: GPUCommandEncoder) => cache.append(encoder, given);
      };
      return { cache, transcript, append };
    };
    /** An attention for so many tokens. */
    const attentionOf = async (seqLen: number) => {
      const spec = { ...options, overflow: "wrap", layout: "BSNH", kvLayout: "BNSH" } as const;
      const plan = planAttention({ ...spec, numHeads, seqLen }, LIMITS, softwareOf(gpu));
      assertEquals(plan.impl === "fused" && plan.texels?.length, 3);
      const owned = tensors.keep(new Owned());
      const { bind } = await prepareAttention(gpu, owned, plan);
      const host = random.tensor(shape(numHeads, seqLen, 20));
      const q = await tensors.upload(host);
      const over = async (cache: RingKvCache) => {
        const o = await tensors.poisoned(shape(numHeads, seqLen, 24));
        return { o, ...bind({ q, cache, o }) };
      };
      return { owned, over, q: host };
    };

    const bytesBefore = gpu.textureBytes;
    const [two, four, again] = [await attentionOf(2), await attentionOf(4), await attentionOf(2)];
    // Queries of four tokens take two lines, which are a texture of their own.
    assertEquals(alive.labels.length, 4);
    assertEquals(gpu.textureBytes - bytesBefore, (1 + 2 + 1 + 1) * TEXELS_WIDE * 16);
    const [nan, uneven, wrapped] = [await ring(), await ring(), await ring()];
    const before = [
      ...[
        await nan.append([5, 5], NaN),
        await nan.append([5, 5], NaN),
        await nan.append([5, 5], NaN),
      ],
      ...[await uneven.append([5, 3]), await uneven.append([5, 2]), await uneven.append([5, 1])],
      ...[await wrapped.append([5, 5]), await wrapped.append([5, 5]), await wrapped.append([5, 4])],
    ];
    const [ofNan, ofUneven, ofUnevenAgain, ofWrapped] = [
      ...[await two.over(nan.cache), await two.over(uneven.cache)],
      ...[await again.over(uneven.cache), await four.over(wrapped.cache)],
    ];
    const expected = [
      uneven.transcript.attend(two.q, 5),
      wrapped.transcript.attend(four.q, 5),
    ];
    const grow = await uneven.append([1, 2]);
    const first = await tensors.poisoned(ofUneven.o.shape);
    await submit((encoder) => {
      for (const append of before) append(encoder);
      ofNan.encode(encoder);
      ofUneven.encode(encoder);
      encoder.copyBufferToBuffer(ofUneven.o.buffer, 0, first.buffer, 0, first.buffer.size);
      ofWrapped.encode(encoder);
      grow(encoder);
      ofUneven.encode(encoder);
      ofUnevenAgain.encode(encoder);
    });
    const check = async (o: Tensor, expected: ArrayLike<number>, what: string) =>
      assertClose(await o.download(), expected, TOLERANCE.f32, what);
    await check(first, expected[0], "lengths that differ");
    await check(ofWrapped.o, expected[1], "another number of tokens");
    await check(ofUneven.o, uneven.transcript.attend(two.q, 5), "encoded again");
    await check(ofUnevenAgain.o, uneven.transcript.attend(again.q, 5), "another attention");

    two.owned.destroy();
    assertEquals(alive.labels.length, 4);
    again.owned.destroy();
    assertEquals(alive.labels.length, 3);
    // Queries of two tokens find room where those of four are, which stay for them.
    const shorter = await attentionOf(2);
    assertEquals(alive.labels.length, 3);
    const ofShorter = await shorter.over(uneven.cache);
    four.owned.destroy();
    await submit((encoder) => ofShorter.encode(encoder));
    await check(ofShorter.o, uneven.transcript.attend(shorter.q, 5), "in a larger texture");
    assertEquals(alive.labels.length, 3);
    shorter.owned.destroy();
    assertEquals([alive.labels, gpu.textureBytes], [[], bytesBefore]);
  },
);

Deno.test("texels: planned where loads from storage are dear and many tiles read each key", () => {
  const prefill: AttentionSpec = { numHeads: 8, headDim: 64, seqLen: 512, capacity: 512 };
  const areTexels = (change: Partial<AttentionSpec>, profile = PROFILES["software with both"]) =>
    fusedPlan({ ...prefill, ...change }, LIMITS, profile).texels !== undefined;
  for (const profile of Object.values(PROFILES)) {
    assertEquals(areTexels({}, profile), profile.isSoftware && profile.subgroupSize !== 4);
  }
  for (
    const change of [
      ...[{}, { numKvHeads: 1 }, { dtype: "f16" }, { kvDtype: "f16" }, { seqLen: 256 }],
      ...[{ numHeads: 128, numKvHeads: 1, seqLen: 1 }, { window: 100 }, {
        seqLen: 128,
        capacity: 128,
      }],
    ] as Partial<AttentionSpec>[]
  ) {
    assertEquals(areTexels(change), true, JSON.stringify(change));
  }
  for (
    const change of [
      ...[{ numKvHeads: 1, headDim: 16 }, { headDim: 62 }, { seqLen: 32 }, { window: 20 }, {
        kvDtype: "int8",
      }],
      ...[{ dtype: "f16", arithmetic: "f16" }, { pages: { count: 9, size: 64 } }],
      ...[{ maxScratchBytes: 2 ** 20 }, { numHeads: 32, numKvHeads: 1, seqLen: 1 }],
    ] as Partial<AttentionSpec>[]
  ) {
    assertEquals(areTexels(change), false, JSON.stringify(change));
  }
});

Deno.test("texels: a texture has the lines that its rows take, and counts as scratch", () => {
  const spec = {
    numHeads: 8,
    numKvHeads: 2,
    headDim: 64,
    valueDim: 32,
    seqLen: 512,
    capacity: 600,
  };
  const plan = fusedPlan(spec, LIMITS, PROFILES["software with both"]);
  const lines = [8 * 512 * 16, 2 * 600 * 16, 2 * 600 * 8].map((texels) =>
    Math.ceil(texels / TEXELS_WIDE)
  );
  assertEquals(plan.texels?.map((fill) => fill.lines), lines);
  assertEquals(Object.values(fusedProgram(plan).textures!), lines);
  const bytes = lines.reduce((sum, each) => sum + each * TEXELS_WIDE * 16, 0);
  assertEquals([texelBytes(plan.texels), plan.scratchBytes], [bytes, bytes]);
});

Deno.test("texels of gradients: planned and counted as those of attention, and of dO", () => {
  const spec: AttentionSpec = {
    numHeads: 8,
    numKvHeads: 1,
    headDim: 64,
    seqLen: 512,
    capacity: 512,
  };
  const planned = (change: Partial<AttentionSpec> = {}, profile = PROFILES["software with both"]) =>
    planAttentionGradient({ ...spec, ...change }, LIMITS, profile);
  const { texels, scratch, scratchBytes } = planned();
  assertEquals(texels?.map(({ name, lines }) => [name, lines]), [
    ...[["q", 16], ["k", 2], ["v", 2], ["dO", 16]],
  ]);
  const ofBuffers = Object.values(scratch).reduce((sum, bytes) => sum + bytes);
  assertEquals(scratchBytes, ofBuffers + 36 * TEXELS_WIDE * 16);
  for (const profile of Object.values(PROFILES)) {
    const isDear = profile.isSoftware && profile.subgroupSize !== 4;
    assertEquals(planned({}, profile).texels !== undefined, isDear);
  }
  for (
    const change of [{ impl: "staged" }, { seqLen: 32 }, { maxScratchBytes: 2 ** 20 }] as const
  ) {
    assertEquals(planned({ numKvHeads: 8, ...change }).texels, undefined, JSON.stringify(change));
  }
  // Slices of dq take memory of their own, which textures must not demand; those of dk and dv take none.
  const [long, many] = [planned({ capacity: 40_000 }), planned({ seqLen: 8192, capacity: 8192 })];
  assertEquals([long.texels, long.slices.queries], [undefined, 1]);
  assertEquals([many.texels?.length, many.slices.keys], [4, 2]);
});

Deno.test("texels: none where a device has too few lines, or workgroups for the heads", () => {
  const large = { ...LIMITS, maxStorageBufferBindingSize: 2 ** 40 };
  const areTexels = (spec: AttentionSpec, maxTextureDimension2D?: number) => {
    const limits = { ...large, ...(maxTextureDimension2D && { maxTextureDimension2D }) };
    const wide = { ...spec, maxScratchBytes: 2 ** 40 };
    return fusedPlan(wide, limits, PROFILES["software with both"]).texels !== undefined;
  };
  // 128 queries of 32 texels fill a line.
  const ofLines = (batch: number): AttentionSpec => (
    { batch, numHeads: 128, numKvHeads: 1, headDim: 128, seqLen: 1, capacity: 32 }
  );
  assertEquals([4096, 4097].map((lines) => areTexels(ofLines(lines))), [true, false]);
  assertEquals([8192, 8193].map((lines) => areTexels(ofLines(lines), 8192)), [true, false]);
  const ofHeads = (batch: number): AttentionSpec => (
    { batch, numHeads: 128, numKvHeads: 1, headDim: 20, seqLen: 1, capacity: 8 }
  );
  assertEquals([65535, 65536].map((heads) => areTexels(ofHeads(heads), 2 ** 14)), [true, false]);
});

Deno.test("texels: leave slices the scratch that these need", () => {
  const spec = { numHeads: 8, numKvHeads: 1, headDim: 128, capacity: 100_000, seqLen: 2048 };
  const planned = (maxScratchBytes?: number) => {
    const { texels, slices } = fusedPlan(
      { ...spec, ...(maxScratchBytes && { maxScratchBytes }) },
      LIMITS,
      PROFILES["software with both"],
    );
    return [texels?.length, slices];
  };
  assertEquals(planned(), [undefined, 2]);
  // Loads of four numbers go more rounds than such of eight.
  assertEquals(planned(2 ** 28), [3, 3]);
});

Deno.test("texels: explain() has their bytes, and the kernels that fill them", () => {
  const spec = { numHeads: 8, headDim: 64, seqLen: 512, capacity: 512 };
  const text = explain(planAttention(spec, LIMITS, PROFILES["software with both"]));
  assertStringIncludes(text, "q, k and v brought to textures of 3,145,728 bytes, whose loads");
  assertStringIncludes(text, "4: fillQueries 8 x 1, fillKeys 1 x 8, fillValues 1 x 8, ...");
});
