// What AttentionGradient promises beyond numbers: scratch as planned, refusals that say what is wrong.
import { assertEquals, assertThrows } from "@std/assert";
import {
  AttentionGradient,
  type AttentionGradientSpec,
  type AttentionGradientTensors,
  planAttentionGradient,
  Tensor,
} from "../../mod.ts";
import { buffersOf } from "../support/buffers.ts";
import { sharedGpu } from "../support/gpu.ts";
import { randomDO } from "../support/gradient.ts";
import { LIMITS } from "../support/plan.ts";
import { testRandomly } from "../support/random.ts";
import { testRefusals } from "../support/refusals.ts";
import { randomInputs, submit, Tensors } from "../support/run.ts";

const SPEC: AttentionGradientSpec = {
  ...{ numHeads: 4, numKvHeads: 2, headDim: 8, valueDim: 12, seqLen: 3, capacity: 5 },
};

const plan =
  (changed: Partial<Record<keyof AttentionGradientSpec, unknown>>, limits = LIMITS) => () =>
    planAttentionGradient({ ...SPEC, ...changed } as AttentionGradientSpec, limits);

testRefusals("gradient", [
  ["quantized keys", plan({ kvDtype: "int8" }), TypeError, 'kvDtype="int8"'],
  ["pages", plan({ pages: { size: 4, count: 4 } }), TypeError, "leave pages out"],
  ["values that are keys", plan({ valueDim: 8, valuesAre: "keys" }), TypeError, 'valuesAre="keys"'],
  ["other arithmetic", plan({ kvDtype: "f16", arithmetic: "f16" }), TypeError, 'arithmetic="f16"'],
  ["heads that do not divide", plan({ numKvHeads: 3 }), RangeError, "numKvHeads=3"],
  [
    "scratch beyond a binding",
    plan({}, { ...LIMITS, maxStorageBufferBindingSize: 799 }),
    RangeError,
    "partials must fit one storage binding",
  ],
  [
    "a tile beyond a workgroup",
    plan({}, { ...LIMITS, maxComputeWorkgroupStorageSize: 64 }),
    RangeError,
    "maxComputeWorkgroupStorageSize=64",
  ],
  [
    "pairs of a row beyond scratch",
    plan({ impl: "staged", maxScratchBytes: 59 }),
    RangeError,
    "maxScratchBytes=59",
  ],
  ["another gradient", plan({ gradients: ["dMask"] }), TypeError, 'gradients="dMask"'],
  ["gradients that are no list", plan({ gradients: "dBias" }), TypeError, 'gradients="dBias"'],
  ["the gradient of no bias", plan({ gradients: ["dBias"] }), TypeError, "bias=undefined"],
  ["that of no slopes", plan({ gradients: ["dAlibiSlopes"] }), TypeError, "alibiSlopes=undefined"],
  ["that of no sinks", plan({ gradients: ["dSinkLogits"] }), TypeError, "sinkLogits=undefined"],
  ["no spec", () => planAttentionGradient(undefined!, LIMITS), TypeError, "spec=undefined"],
]);

Deno.test("gradient: scratch is linear in tokens", () => {
  const bytes = [1024, 4096, 16384].map((tokens) =>
    plan({ seqLen: tokens, capacity: tokens })().scratchBytes
  );
  assertEquals(bytes.map((each) => each / bytes[0]), [1, 4, 16]);
  // Also where loops of a software driver go round many query rows in several slices.
  const software = { isSoftware: true, subgroupSize: 8, longLoads: true };
  const sliced = [1024, 4096, 16384].map((tokens) => {
    const spec = { numHeads: 8, numKvHeads: 1, headDim: 64, seqLen: tokens, capacity: tokens };
    return planAttentionGradient(spec, LIMITS, software).scratchBytes;
  });
  assertEquals(sliced.map((each) => each / sliced[0]), [1, 4, 16]);
});

Deno.test("gradient: sequences whose rows no loop goes round are refused", () => {
  const software = { isSoftware: true, subgroupSize: 8, longLoads: true };
  const spec = { numHeads: 1, headDim: 1, seqLen: 2 ** 22, capacity: 1 };
  assertThrows(() => planAttentionGradient(spec, LIMITS, software), RangeError, "seqLen=4194304");
});

Deno.test("gradient: staged, pairs of as many rows as scratch has room for", () => {
  // 5 pairs of 12 bytes for each of 12 rows.
  const { blockRows, scratch } = plan({ impl: "staged", maxScratchBytes: 250 })();
  assertEquals([blockRows, scratch.pairs], [4, 240]);
  assertEquals(plan({ impl: "staged" })().blockRows, 12);
  assertEquals(plan({})().blockRows, 0);
});

Deno.test("gradient: loops that a software driver would end are cut into slices", () => {
  const software = { isSoftware: true, subgroupSize: 8, longLoads: true };
  const spec = {
    ...SPEC,
    numHeads: 71,
    numKvHeads: 1,
    headDim: 32,
    seqLen: 4096,
    capacity: 2 ** 16,
  };
  const { slices } = planAttentionGradient(spec, LIMITS, software);
  assertEquals([slices.queries > 1, slices.keys > 1], [true, true]);
  const none = { queries: 1, keys: 1, bias: 1 };
  assertEquals(planAttentionGradient(spec, LIMITS).slices, none);
});

Deno.test("gradient: scratch is what was planned, and destroy frees every buffer", async () => {
  const gpu = await sharedGpu();
  const alibiSlopes = [1, 2, 3, 4];
  const gradients = ["dAlibiSlopes"] as const;
  for (const impl of ["fused", "staged"] as const) {
    let planned = 0;
    const { made, sizes, alive } = await buffersOf(async () => {
      const spec = { ...SPEC, alibiSlopes, gradients, impl };
      const gradient = await AttentionGradient.create(gpu, spec);
      planned = gradient.plan.scratchBytes;
      gradient.destroy();
    });
    assertEquals(alive, []);
    const bytes = sizes.filter((_, i) => made[i] === "attention scratch").reduce((a, b) => a + b);
    assertEquals(bytes, planned);
    // A state of 16 bytes and a sum of distances for each of 12 rows, dk and dv of 10 rows in f32, and pairs of 12 bytes.
    assertEquals(bytes, 12 * 20 + 10 * 20 * 4 + (impl === "staged" ? 12 * 5 * 12 : 0));
  }
});

testRandomly(
  "gradient: staged, the second run begins anew, of one block of rows and of several",
  async (random) => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    const inputs = randomInputs(random, SPEC);
    const dO = randomDO(random, SPEC);
    for (const own of [{}, { maxScratchBytes: 250 }]) {
      const spec = { ...SPEC, ...own, impl: "staged" } as const;
      const gradient = tensors.keep(await AttentionGradient.create(gpu, spec));
      const given = {
        ...{ q: await tensors.upload(inputs.q), dq: await tensors.poisoned(inputs.q.shape) },
        ...{ k: await tensors.upload(inputs.k), dk: await tensors.poisoned(inputs.k.shape) },
        ...{ v: await tensors.upload(inputs.v), dv: await tensors.poisoned(inputs.v.shape) },
        ...{ o: await tensors.upload(dO), dO: await tensors.upload(dO) },
        lse: await tensors.upload(random.tensor([1, 3, 4])),
      };
      const work = gradient.bind(given);
      const run = async () => {
        await submit((encoder) => work.encode(encoder));
        return await Promise.all([given.dq, given.dk, given.dv].map((tensor) => tensor.download()));
      };
      assertEquals(await run(), await run());
    }
  },
);

Deno.test("gradient: refuses tensors that are not what was planned", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const gradient = tensors.keep(await AttentionGradient.create(gpu, SPEC));
  const empty = async (...shape: number[]) => tensors.keep(await Tensor.empty(gpu, shape));
  const given: AttentionGradientTensors = {
    ...{ q: await empty(1, 3, 4, 8), k: await empty(1, 5, 2, 8), v: await empty(1, 5, 2, 12) },
    ...{ o: await empty(1, 3, 4, 12), lse: await empty(1, 3, 4), dO: await empty(1, 3, 4, 12) },
    ...{ dq: await empty(1, 3, 4, 8), dk: await empty(1, 5, 2, 8), dv: await empty(1, 5, 2, 12) },
  };
  const other = await empty(1, 1, 1, 1);
  const bind = (changed: Partial<AttentionGradientTensors>) => () =>
    gradient.bind({ ...given, ...changed });
  for (const name of Object.keys(given) as (keyof AttentionGradientTensors)[]) {
    assertThrows(bind({ [name]: other }), RangeError, name);
    assertThrows(bind({ [name]: undefined }), TypeError, name);
  }
  assertThrows(bind({ bias: other }), TypeError, "bias must be planned");
  assertThrows(bind({ mask: other }), TypeError, "mask must be planned");
  assertThrows(bind({ dBias: other }), TypeError, "dBias must be among the gradients");
  const says = "every gradient must have a buffer of its own";
  assertThrows(bind({ dq: given.q }), TypeError, says);
  assertThrows(bind({ dk: given.q, dv: given.v }), RangeError, "dk");
  assertThrows(() => gradient.bind(undefined!), TypeError, "tensors=undefined");
  await submit((encoder) => gradient.encode(encoder, given));
});
