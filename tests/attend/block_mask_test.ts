// Blocks of a mask: attention that skips what nobody sees equals attention that does not, to the bit.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Attention,
  type AttentionSpec,
  BlockMask,
  type MaskMod,
  RingKvCache,
  type ScoreAt,
} from "../../mod.ts";
import { assertSame } from "../support/compare.ts";
import { sharedGpu } from "../support/gpu.ts";
import { type HostModTensors, MASK_EXAMPLES } from "../support/mods.ts";
import { gpuTuning } from "../support/plan.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { type Inputs, randomInputs, runAttention, submit, Tensors } from "../support/run.ts";

const IMPLS = ["fused", "staged"] as const;

/** Sizes with several blocks either way, most of them awkward. */
function randomSizes(random: Random): AttentionSpec {
  const numKvHeads = random.integer(1, 2);
  const [window, sinks] = [random.integer(1, 200), random.integer(1, 40)];
  return {
    batch: random.integer(1, 2),
    numKvHeads,
    numHeads: numKvHeads * random.integer(1, 3),
    headDim: 8,
    seqLen: random.pick([1, 7, 32, 75, 130]),
    capacity: random.pick([64, 130, 301]),
    ...random.pick([{}, { causal: false }, { window }, { window, sinks }, { alignment: 50 }]),
    ...random.pick([{ impl: "staged" as const }, { impl: "fused" as const }, {
      impl: "fused" as const,
      tuning: gpuTuning(random),
    }]),
  };
}

for (const [name, exampleOf] of Object.entries(MASK_EXAMPLES)) {
  testRandomly(`block mask: ${name}`, async (random) => {
    for (let i = 0; i < 4; i++) {
      const spec = randomSizes(random);
      const { batch = 1, numHeads, capacity } = spec;
      const { mod, tensors } = exampleOf(random, { batch, numHeads, positions: capacity });
      const lengths = Array.from({ length: batch }, () => random.integer(0, capacity));
      const inputs: Inputs = {
        ...randomInputs(random, spec),
        ...random.pick([{}, { lengths: { data: lengths, shape: [batch] } }]),
        modTensors: tensors,
      };
      const outputs = spec.impl === "staged" ? ["scores", "lse"] as const : ["lse"] as const;
      const masked: AttentionSpec = { ...spec, maskMod: mod, outputs };
      const plain = await runAttention(masked, inputs);
      const skipping = await runAttention({ ...masked, blockMask: true }, inputs);
      for (const output of ["o", ...outputs] as const) {
        assertSame(skipping[output]!, plain[output]!, `${output} of ${JSON.stringify(spec)}`);
      }
    }
  });
}

/** A mask that a tensor of one number opens and shuts. */
const GATE: MaskMod = {
  name: "isOpen",
  wgsl: "fn isOpen(at: ScoreAt) -> bool { return gate[0] == 1u; }",
  tensors: { gate: { shape: [1], dtype: "u32" } },
};

testRandomly("block mask: what it says is believed, and the mask not asked", async (random) => {
  for (const impl of IMPLS) {
    const spec: AttentionSpec = {
      ...{ numHeads: 4, numKvHeads: 2, headDim: 8, seqLen: 32, capacity: 100, impl },
      ...{ maskMod: GATE, blockMask: true },
    };
    const inputs = randomInputs(random, spec);
    const [shut, open] = [0, 1].map((gate) => ({ gate: { data: [gate], shape: [1] } }));
    const run = (own: HostModTensors, ofBlocks: HostModTensors) =>
      runAttention(spec, { ...inputs, modTensors: own }, ofBlocks);
    const { o: all } = await runAttention(
      { ...spec, maskMod: undefined, blockMask: false },
      inputs,
    );
    assert(all.some((x) => x !== 0));
    assertSame((await run(open, open)).o, all, `${impl}: open`);
    assertSame((await run(shut, shut)).o, new Float32Array(all.length), `${impl}: shut`);
    // Keys and values are not loaded, or weights would be those of an open mask.
    assertSame((await run(open, shut)).o, new Float32Array(all.length), `${impl}: blocks shut`);
    // Whole tiles are taken for seen: in fused ones of these sizes all but those on the diagonal.
    const { o: taken } = await run(shut, open);
    assert(taken.some((x) => x !== 0), `${impl}: blocks open`);
  }
});

/** Counts the states of blocks one pair after the other. */
function expectedCounts(
  { seqLen = 1, capacity, window = Infinity }: AttentionSpec,
  { length, rows, isSeen }: { length: number; rows: number; isSeen: (at: ScoreAt) => boolean },
) {
  const counts = { hidden: 0, whole: 0, partial: 0 };
  const columns = Math.min(capacity, window - 1 + seqLen);
  const first = Math.max(0, length - columns);
  for (let row = 0; row < rows; row++) {
    for (let token = 0; token < seqLen; token += 32) {
      for (let column = 0; column < columns; column += 32) {
        let [seen, hidden] = [0, 0];
        for (let i = 0; i < 32 * 32; i++) {
          const [own, other] = [token + Math.floor(i / 32), column + i % 32];
          const [query, key] = [length - seqLen + own, first + other];
          const isPair = own < seqLen && key < length && key <= query && key > query - window;
          if (!isPair) continue;
          if (isSeen({ batch: 0, head: row, query, key })) seen++;
          else hidden++;
        }
        counts[seen === 0 ? "hidden" : hidden === 0 ? "whole" : "partial"]++;
      }
    }
  }
  return counts;
}

testRandomly("block mask: states are those of every pair", async (random) => {
  const gpu = await sharedGpu();
  for (const [name, exampleOf] of Object.entries(MASK_EXAMPLES)) {
    using all = new Tensors();
    const spec: AttentionSpec = {
      ...{ numHeads: 3, headDim: 8, seqLen: random.integer(1, 100), capacity: 150 },
      window: random.pick([undefined, random.integer(1, 150)]),
    };
    const { mod, isSeen, tensors } = exampleOf(random, { batch: 1, numHeads: 3, positions: 150 });
    const blockMask = all.keep(await BlockMask.create(gpu, { ...spec, maskMod: mod }));
    const modTensors = await all.uploadAll(blockMask.plan.spec, tensors);
    await submit((encoder) => blockMask.encode(encoder, { modTensors }));
    const rows = name === "a bitmap" ? 3 : 1;
    const expected = expectedCounts(spec, { length: 150, rows, isSeen });
    assertEquals(await blockMask.counts(), expected, `${name} of ${JSON.stringify(spec)}`);
  }
});

testRandomly("block mask: no pair of a block is passed over", async (random) => {
  const shared = await sharedGpu();
  // A pair among all of a block is unlike the others: another one for each head.
  const capacity = 32;
  for (const sign of ["==", "!="]) {
    const seqLen = random.pick([32, random.integer(2, 31)]);
    const maskMod: MaskMod = {
      name: "isOdd",
      wgsl: `fn isOdd(at: ScoreAt) -> bool {
        return i32(at.head) ${sign} (at.query - ${capacity - seqLen}) * ${capacity} + at.key;
      }`,
    };
    for (const isSoftware of [true, false]) {
      const profile = { value: { ...shared.profile, isSoftware } };
      const gpu = Object.create(shared, { profile });
      const blockMask = await BlockMask.create(gpu, {
        ...{ numHeads: seqLen * capacity, headDim: 8, seqLen, capacity, causal: false, maskMod },
      });
      await submit((encoder) => blockMask.encode(encoder));
      const expected = { hidden: 0, whole: 0, partial: seqLen * capacity };
      const counts = await blockMask.counts();
      blockMask.destroy();
      assertEquals(counts, expected, `${sign}, ${seqLen} tokens, software: ${isSoftware}`);
    }
  }
});

testRandomly(
  "block mask: over rings, for two layers, right also where it is out of date",
  async (random) => {
    const gpu = await sharedGpu();
    using all = new Tensors();
    const [window, seqLen] = [70, 3];
    const heads = { numKvHeads: 1, headDim: 8, capacity: 75, window, maxSeqLen: seqLen };
    const caches = [
      all.keep(await RingKvCache.create(gpu, heads)),
      all.keep(await RingKvCache.create(gpu, heads)),
    ];
    const maskMod: MaskMod = {
      name: "isSameBlock",
      wgsl: "fn isSameBlock(at: ScoreAt) -> bool { return at.query / 50 == at.key / 50; }",
    };
    const spec: AttentionSpec = { ...caches[0].spec, numHeads: 4, seqLen, window, maskMod };
    const plain = all.keep(await Attention.create(gpu, spec));
    const skipping = all.keep(await Attention.create(gpu, { ...spec, blockMask: true }));
    const blockMask = all.keep(await BlockMask.create(gpu, spec));
    const randomTokens = (heads: number) => all.upload(random.tensor([1, seqLen, heads, 8]));
    for (let step = 0; step < 60; step++) {
      const q = await randomTokens(4);
      for (const cache of caches) {
        const tensors = { k: await randomTokens(1), v: await randomTokens(1) };
        await submit((encoder) => cache.append(encoder, tensors));
      }
      // Every third step leaves the states of an earlier one, and the first finds none at all.
      if (step % 3 > 0) await submit((encoder) => blockMask.encode(encoder, { cache: caches[0] }));
      for (const cache of caches) {
        const [o, expected] = [await all.poisoned(q.shape), await all.poisoned(q.shape)];
        await submit((encoder) => {
          skipping.encode(encoder, { q, cache, o, blockMask });
          plain.encode(encoder, { q, cache, o: expected });
        });
        assertSame(await o.download(), await expected.download(), `step ${step}`);
      }
    }
    const { hidden } = await blockMask.counts();
    assert(hidden > 0);
  },
);

Deno.test("block mask: refuses what is not that of the attention", async () => {
  const gpu = await sharedGpu();
  using all = new Tensors();
  const spec: AttentionSpec = {
    ...{ numHeads: 2, headDim: 8, seqLen: 3, capacity: 9, maskMod: GATE },
  };
  const without = { ...spec, maskMod: undefined };
  const create = (spec: AttentionSpec) => BlockMask.create(gpu, spec);
  await assertRejects(() => create(without), TypeError, "blockMask is of a mask (give maskMod");
  await assertRejects(
    () => Attention.create(gpu, { ...spec, blockMask: 1 as unknown as boolean }),
    TypeError,
    "blockMask must be one of true, false",
  );
  const blockMask = all.keep(await create(spec));
  const gate = await all.upload({ data: [1], shape: [1] }, "u32");
  const [q, k] = [await all.poisoned([1, 3, 2, 8]), await all.poisoned([1, 9, 2, 8])];
  const bind = async (spec: AttentionSpec, given: BlockMask | undefined) => {
    const attention = all.keep(await Attention.create(gpu, spec));
    const tensors = { q, k, v: k, o: await all.poisoned([1, 3, 2, 8]), modTensors: { gate } };
    attention.bind({ ...tensors, blockMask: given });
  };
  const planned = { ...spec, blockMask: true };
  await bind(planned, blockMask);
  await assertRejects(() => bind(spec, blockMask), TypeError, "blockMask must be planned");
  await assertRejects(() => bind(planned, undefined), TypeError, "must be a BlockMask");
  const others: [Partial<AttentionSpec>, string][] = [
    [{ causal: false }, "causal"],
    [{ alignment: 3 }, "alignment"],
    [{ window: 5 }, "window"],
    [{ maskMod: { ...GATE, wgsl: GATE.wgsl.replace("1u", "2u") } }, "maskMod"],
  ];
  for (const [differing, name] of others) {
    const other = all.keep(await create({ ...spec, ...differing }));
    const says = `blockMask must be of the same ${name} as the attention`;
    await assertRejects(() => bind(planned, other), RangeError, says);
  }
  const encoder = gpu.device.createCommandEncoder();
  assertThrows(() => blockMask.encode(encoder), TypeError, "modTensors.gate must be a Tensor");
  const lengths = await all.upload({ data: [1, 2], shape: [2] }, "u32");
  const tensors = { lengths, modTensors: { gate } };
  assertThrows(() => blockMask.encode(encoder, tensors), RangeError, "lengths must have shape [1]");
});
