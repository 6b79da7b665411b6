// Times under a roofline, without a GPU.
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import {
  crossingGroupSize,
  decodeAttentionTime,
  type DeviceRates,
  type KvDtype,
  rooflineTime,
} from "../../mod.ts";
import { testRandomly } from "../support/random.ts";
import { testRefusals } from "../support/refusals.ts";

const RATES: DeviceRates = { bytesPerSecond: 2e12, flopsPerSecond: 2e13 };
const MHA = { numLayers: 32, numHeads: 32, numKvHeads: 32, headDim: 128 };

Deno.test("rooflineTime() adds both times where a device loads and computes by turns", () => {
  const work = { bytes: 3e9, flops: 4e10 };
  const rates = { bytesPerSecond: 1e9, flopsPerSecond: 1e10 };
  assertEquals(rooflineTime(work, rates).seconds, 4);
  const serial = rooflineTime(work, { ...rates, isSerial: true });
  assertEquals([serial.seconds, serial.bound], [7, "compute"]);
});

Deno.test("rooflineTime() is the longer of bytes and operations", () => {
  assertEquals(rooflineTime({ bytes: 4e12, flops: 2e13 }, RATES), {
    ...{ bytes: 4e12, flops: 2e13, memorySeconds: 2, computeSeconds: 1 },
    ...{ seconds: 2, bound: "memory" },
  });
  const { seconds, bound } = rooflineTime({ bytes: 2e12, flops: 6e13 }, RATES);
  assertEquals([seconds, bound], [3, "compute"]);
});

Deno.test("decodeAttentionTime() moves the cache and multiplies each pair of a query head and a token twice", () => {
  const { bytes, flops } = decodeAttentionTime(MHA, RATES, { contextLen: 4096, batch: 3 });
  assertEquals(bytes, 3 * 32 * 4096 * 16384);
  // q k^T and the weighted sum of v: a multiply-add for each of 128 elements, both.
  assertEquals(flops, 3 * 32 * 4096 * 32 * (2 * 128 + 2 * 128));
  const narrow = decodeAttentionTime({ ...MHA, valueDim: 64 }, RATES, { contextLen: 4096 });
  assertEquals(narrow.flops, 32 * 4096 * 32 * (2 * 128 + 2 * 64));
});

Deno.test("decodeAttentionTime() sees no more than a window in the layers that have one", () => {
  const windowed = { numLayers: 31, window: 1000, sinks: 24 };
  const { bytes, flops } = decodeAttentionTime({ ...MHA, windowed }, RATES, { contextLen: 8192 });
  assertEquals(bytes, (8192 + 31 * 1024) * 16384);
  assertEquals(flops, (8192 + 31 * 1024) * 32 * 512);
});

Deno.test("decodeAttentionTime() reads a latent row once, and multiplies with its key and with its value", () => {
  const latent = { numLayers: 61, numHeads: 128, numKvHeads: 1, headDim: 576, valueDim: 512 };
  const { bytes, flops } = decodeAttentionTime({ ...latent, isLatent: true }, RATES, {
    contextLen: 1000,
  });
  assertEquals(bytes, 1000 * 70_272);
  assertEquals(flops, 61 * 1000 * 128 * 2 * (576 + 512));
});

testRandomly("crossingGroupSize() is where bytes and operations take equally long", (random) => {
  for (let i = 0; i < 200; i++) {
    const rates = { bytesPerSecond: 1e12 * random.next(), flopsPerSecond: 1e13 * random.next() };
    const dtype: KvDtype = random.pick(["f32", "f16", "int8", "int4"]);
    const numHeads = 2 ** random.integer(0, 8);
    const shape = { numLayers: 2, numHeads, headDim: 32 * random.integer(1, 8), valueDim: 64 };
    const crossing = crossingGroupSize({ ...shape, dtype }, rates);
    for (let groupSize = 1; groupSize <= numHeads; groupSize *= 2) {
      const own = { ...shape, numKvHeads: numHeads / groupSize };
      const time = decodeAttentionTime(own, rates, { contextLen: 1000, dtype });
      const ratio = time.computeSeconds / time.memorySeconds;
      assertAlmostEquals(ratio * crossing / groupSize, 1, 1e-9);
      assertEquals(time.bound, groupSize > crossing ? "compute" : "memory");
    }
  }
});

Deno.test("crossingGroupSize() is operations a byte of the device, at two bytes an element", () => {
  // One f16 pair of key and value: 512 bytes and, for each query head, 512 operations.
  assertAlmostEquals(crossingGroupSize({ headDim: 128 }, RATES), 10);
  assertAlmostEquals(crossingGroupSize({ headDim: 128, dtype: "f32" }, RATES), 20);
  assertAlmostEquals(crossingGroupSize({ headDim: 128, dtype: "int8" }, RATES), 10 * 264 / 512);
});

Deno.test("decoding gets faster with the group up to the crossing, and no faster beyond", () => {
  const seconds = [32, 16, 8, 4, 2, 1].map((numKvHeads) =>
    decodeAttentionTime({ ...MHA, numKvHeads }, RATES, { contextLen: 4096 }).seconds
  );
  assertAlmostEquals(seconds[0] / seconds[3], 8);
  assert(seconds[3] > seconds[4]);
  assertEquals(seconds[4], seconds[5]);
});

testRefusals("decode time", [
  [
    "a rate of 0",
    () => rooflineTime({ bytes: 1, flops: 1 }, { ...RATES, bytesPerSecond: 0 }),
    RangeError,
    "bytesPerSecond=0",
  ],
  [
    "a rate of NaN",
    () => rooflineTime({ bytes: 1, flops: 1 }, { ...RATES, flopsPerSecond: NaN }),
    RangeError,
    "flopsPerSecond=NaN",
  ],
  [
    "a word as a rate",
    () => crossingGroupSize({ headDim: 1 }, { ...RATES, flopsPerSecond: "1" as never }),
    TypeError,
    'flopsPerSecond="1"',
  ],
  [
    "heads that do not divide",
    () => decodeAttentionTime({ ...MHA, numKvHeads: 5 }, RATES, { contextLen: 1 }),
    RangeError,
    "numHeads=32, numKvHeads=5",
  ],
  [
    "a fractional context",
    () => decodeAttentionTime(MHA, RATES, { contextLen: 0.5 }),
    RangeError,
    "contextLen=0.5",
  ],
  [
    "a context of nothing",
    () => decodeAttentionTime(MHA, RATES, { contextLen: 0 }),
    RangeError,
    "contextLen=0",
  ],
  ["a head of nothing", () => crossingGroupSize({ headDim: 0 }, RATES), RangeError, "headDim=0"],
  [
    "an element type",
    () => crossingGroupSize({ headDim: 1, dtype: "f8" as never }, RATES),
    TypeError,
    'dtype="f8"',
  ],
]);
