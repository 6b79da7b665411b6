// A batch that shares a prefix, which is read once, equals a batch in which every sequence has its own copy of it.
import { assertEquals, assertRejects } from "@std/assert";
import {
  type AttentionSpec,
  type HostTensor,
  referenceAttention,
  RingKvCache,
  SharedPrefixAttention,
  treeMask,
} from "../../mod.ts";
import { buffersOf } from "../support/buffers.ts";
import { assertClose, TOLERANCE } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { concatenate, rounded, submit, swapLayout, Tensors } from "../support/run.ts";

interface Shape {
  batch: number;
  numHeads: number;
  numKvHeads: number;
  seqLen: number;
  prefixLen: number;
  suffixLen: number;
  options?: Partial<AttentionSpec>;
}

const SHAPES: readonly Shape[] = [
  { batch: 1, numHeads: 1, numKvHeads: 1, seqLen: 1, prefixLen: 1, suffixLen: 1 },
  { batch: 3, numHeads: 4, numKvHeads: 1, seqLen: 1, prefixLen: 199, suffixLen: 7 },
  { batch: 2, numHeads: 6, numKvHeads: 3, seqLen: 5, prefixLen: 65, suffixLen: 19 },
  {
    ...{ batch: 4, numHeads: 6, numKvHeads: 2, seqLen: 1, prefixLen: 19, suffixLen: 3 },
    options: { layout: "BNSH", softcap: 2, scale: 0.7, sinkLogits: [1, 2, 3, -1, -2, 0] },
  },
  {
    ...{ batch: 2, numHeads: 4, numKvHeads: 2, seqLen: 3, prefixLen: 65, suffixLen: 3 },
    options: { dtype: "f16" },
  },
];

async function check(random: Random, shape: Shape): Promise<void> {
  const { batch, numHeads, numKvHeads, seqLen, prefixLen, suffixLen, options = {} } = shape;
  const { dtype = "f32", layout = "BSNH" } = options;
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const heads = { numKvHeads, headDim: 8, valueDim: 5, dtype };
  // Rings with room to spare: only lengths tell what is there.
  const prefix = tensors.keep(
    await RingKvCache.create(gpu, { ...heads, capacity: prefixLen + 3 }),
  );
  const suffix = tensors.keep(
    await RingKvCache.create(gpu, { ...heads, batch, capacity: suffixLen + 5, layout }),
  );
  const attention = tensors.keep(
    await SharedPrefixAttention.create(gpu, {
      ...suffix.spec,
      ...{ numHeads, seqLen, ...options },
      prefix: prefix.spec,
    }),
  );
  const tensor = (...sizes: number[]) => rounded(random.tensor(sizes), dtype);
  const q = tensor(batch, seqLen, numHeads, 8);
  const [prefixK, prefixV] = [8, 5].map((size) => tensor(1, prefixLen, numKvHeads, size));
  const [suffixK, suffixV] = [8, 5].map((size) => tensor(batch, suffixLen, numKvHeads, size));
  const upload = (host: HostTensor, to = layout) =>
    tensors.upload(to === "BNSH" ? swapLayout(host) : host, dtype);
  const oShape = layout === "BSNH" ? [batch, seqLen, numHeads, 5] : [batch, numHeads, seqLen, 5];
  const o = await tensors.poisoned(oShape, dtype);
  const lse = await tensors.poisoned(oShape.slice(0, -1));
  const [k, v] = [await upload(prefixK, "BSNH"), await upload(prefixV, "BSNH")];
  const [newK, newV] = [await upload(suffixK), await upload(suffixV)];
  const queries = await upload(q);
  await submit((encoder) => {
    prefix.append(encoder, { k, v });
    suffix.append(encoder, { k: newK, v: newV });
    attention.encode(encoder, {
      ...{ q: queries, o, lse },
      ...{ prefix: { cache: prefix }, suffix: { cache: suffix } },
    });
  });
  const { o: expected, lse: expectedLse } = referenceAttention({
    q,
    k: concatenate(prefixK, suffixK),
    v: concatenate(prefixV, suffixV),
  }, { ...options, layout: "BSNH" });
  // For one token, [B, 1, N] and [B, N, 1] are the same.
  assertClose(await o.download(), expected, TOLERANCE[dtype], "o");
  assertClose(await lse.download(), expectedLse, TOLERANCE.f32, "lse");
}

for (const shape of SHAPES) {
  const { batch, numHeads, numKvHeads, seqLen, prefixLen, suffixLen } = shape;
  const name = `${batch} x ${numHeads} over ${numKvHeads} heads, ${seqLen} tokens`;
  testRandomly(
    `shared prefix equals concatenation: ${name}, ${prefixLen} + ${suffixLen}`,
    async (random) => {
      if (shape.options?.dtype !== "f16" || await hasF16()) await check(random, shape);
    },
  );
}

testRandomly(
  "shared prefix: a tree of tokens in each sequence, contiguous K and V",
  async (random) => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    const [batch, numHeads, seqLen, prefixLen] = [2, 2, 4, 19];
    const mask = treeMask([-1, 0, 0, 1]);
    const attention = tensors.keep(
      await SharedPrefixAttention.create(gpu, {
        ...{ batch, numHeads, numKvHeads: 1, headDim: 8, seqLen, capacity: seqLen },
        ...{ mask: mask.shape, maskKeys: "last", prefix: { capacity: prefixLen } },
      }),
    );
    const q = random.tensor([batch, seqLen, numHeads, 8]);
    const [prefix, suffix] = [1, batch].map((batch) =>
      random.tensor([batch, batch === 1 ? prefixLen : seqLen, 1, 8])
    );
    const whole = concatenate(prefix, suffix);
    const expected = referenceAttention({ q, k: whole, v: whole, mask }, { maskKeys: "last" });
    const o = await tensors.poisoned(q.shape);
    const lse = await tensors.poisoned(q.shape.slice(0, -1));
    const [k, newK] = [await tensors.upload(prefix), await tensors.upload(suffix)];
    const read = { q: await tensors.upload(q), mask: await tensors.upload(mask, "bool") };
    await submit((encoder) => {
      attention.encode(encoder, {
        ...{ ...read, o, lse },
        ...{ prefix: { k, v: k }, suffix: { k: newK, v: newK } },
      });
    });
    assertClose(await o.download(), expected.o, TOLERANCE.f32, "o");
  },
);

Deno.test("shared prefix: refuses what depends on the distance to the prefix, and frees what it made", async () => {
  const gpu = await sharedGpu();
  const spec = { batch: 2, numHeads: 2, headDim: 4, capacity: 3, prefix: { capacity: 5 } };
  const refused: [Partial<AttentionSpec>, typeof TypeError | typeof RangeError, string][] = [
    [{ window: 2 }, TypeError, "window=2"],
    [{ alibiSlopes: [1, 2] }, TypeError, "alibiSlopes=[1, 2]"],
    [{ bias: [1, 3] }, TypeError, "bias=[1, 3]"],
    [{ alignment: "top-left" }, TypeError, 'alignment="top-left"'],
    [{ outputs: ["weights"] }, TypeError, 'outputs=["weights"]'],
    [{ layout: "BNSH", seqLen: 2 }, RangeError, 'layout="BNSH", seqLen=2'],
    [{ prefix: {} } as never, TypeError, "capacity=undefined"],
  ];
  const { alive } = await buffersOf(async () => {
    for (const [given, throws, says] of refused) {
      const create = () => SharedPrefixAttention.create(gpu, { ...spec, ...given });
      await assertRejects(create, throws, says);
    }
    (await SharedPrefixAttention.create(gpu, spec)).destroy();
  });
  assertEquals(alive, []);
});
