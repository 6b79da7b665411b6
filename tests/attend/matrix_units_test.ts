// Products on matrix units, as far as they can be planned: that they are right is shown by the runtimes that grant them.
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  type AttentionSpec,
  type DeviceProfile,
  explain,
  type MatrixBlock,
  planAttention,
} from "../../mod.ts";
import { MATRIX_FEATURE, matrixBlockOf } from "../../src/gpu/matrix_units.ts";
import { sharedGpu } from "../support/gpu.ts";
import { fusedPlan, LIMITS } from "../support/plan.ts";
import { testRandomly } from "../support/random.ts";

const SPEC: AttentionSpec = {
  ...{ numHeads: 8, numKvHeads: 1, headDim: 64, capacity: 4096, arithmetic: "matrix" },
};
const BLOCKS: readonly MatrixBlock[] = [
  { m: 8, n: 8, k: 8 },
  { m: 16, n: 8, k: 16 },
  { m: 16, n: 16, k: 16 },
  { m: 8, n: 16, k: 16 },
];

function gpuWith(matrix: MatrixBlock, subgroupSize = 32): DeviceProfile {
  return { isSoftware: false, subgroupSize, longLoads: false, matrix };
}

testRandomly("matrix units: tiles are whole blocks of one subgroup", (random) => {
  for (let made = 0; made < 200;) {
    const [matrix, lanes] = [random.pick(BLOCKS), random.pick([8, 16, 32, 64])];
    const numKvHeads = random.integer(1, 3);
    const spec: AttentionSpec = {
      ...{ ...SPEC, numKvHeads, numHeads: numKvHeads * random.integer(1, 12) },
      ...{ headDim: random.integer(1, 256), valueDim: random.integer(1, 256) },
      ...{ seqLen: random.integer(1, 40), capacity: random.integer(1, 10_000) },
      kvDtype: random.pick(["f32", "f16", "int8", "int4"]),
    };
    const maxComputeWorkgroupStorageSize = random.pick([16384, 32768, 49152]);
    const limits = { ...LIMITS, maxComputeWorkgroupStorageSize };
    const plan = planAttention(spec, limits, gpuWith(matrix, lanes));
    if (plan.impl === "staged") {
      assertStringIncludes(
        plan.reason,
        `maxComputeWorkgroupStorageSize=${maxComputeWorkgroupStorageSize}`,
      );
      continue;
    }
    made++;
    const { rows, rowGroups, keys, strips, sharers, partners, shuffles } = plan;
    assertEquals(plan.matrix, matrix);
    assertEquals({ rowGroups, strips, sharers, partners }, {
      ...{ rowGroups: 1, strips: 1, sharers: 0, partners: 1 },
    });
    assertEquals([plan.lanes, shuffles], [lanes, true]);
    assertEquals([rows % matrix.m, lanes * keys % matrix.n, lanes * keys % matrix.k], [0, 0, 0]);
    const perKvHead = plan.groupSize * plan.spec.seqLen;
    assert(rows > 0 && rows < Math.min(16, perKvHead) + matrix.m, `${rows} of ${perKvHead} rows`);
  }
});

Deno.test("matrix units: fewer rows where memory is short, then none", () => {
  const many = { ...SPEC, numHeads: 64, headDim: 128 };
  const plan = (bytes: number) =>
    planAttention(
      many,
      { ...LIMITS, maxComputeWorkgroupStorageSize: bytes },
      gpuWith({ m: 8, n: 8, k: 16 }),
    );
  const [most, fewer, none] = [32768, 16384, 8192].map(plan);
  assertEquals([most, fewer].map((plan) => plan.impl === "fused" && plan.rows), [16, 8]);
  assertEquals(none.impl, "staged");
  assertStringIncludes(none.reason, "no fused tile fits");
  assertEquals(explain(none).includes("products"), false);
  const says = "products    in f16 on matrix units, 8 x 16 by 16 x 8, added up in f32";
  assertStringIncludes(explain(most), says);
  const profile = gpuWith({ m: 8, n: 8, k: 64 });
  assertThrows(() => fusedPlan(SPEC, LIMITS, profile), RangeError, 'no tile of impl "fused" fits');
});

Deno.test("matrix units: what cannot be is refused, with the cure", () => {
  const refuses = (given: Partial<AttentionSpec>, kind: typeof TypeError, says: string) =>
    assertThrows(() => planAttention({ ...SPEC, ...given }, LIMITS), kind, says);
  const onlyFused = 'only impl "fused" computes products on matrix units';
  refuses({ impl: "staged" }, TypeError, onlyFused);
  refuses({ outputs: ["weights"] }, TypeError, onlyFused);
  refuses({}, RangeError, "--enable-unsafe-webgpu");
  refuses({}, RangeError, 'current values arithmetic="matrix", matrix=undefined, subgroupSize=0');
});

Deno.test("matrix units: a device has those that it lists and grants", async () => {
  const { features, profile } = await sharedGpu();
  assertEquals([features.matrixUnits, "matrix" in profile], [false, false], "in Deno");

  const of = (componentType: string, resultComponentType: string, sizes: number[]) => {
    const [M, N, K] = sizes;
    return { componentType, resultComponentType, M, N, K };
  };
  const listed = [
    ...[of("f16", "f16", [8, 8, 8]), of("f16", "f32", [16, 16, 16])],
    ...[of("f16", "f32", [16, 8, 16]), of("u8", "u32", [8, 8, 32])],
  ];
  const blockOf = (granted: string[], subgroupMatrixConfigs = listed, subgroupMinSize = 32) => {
    const device = { features: new Set(granted) } as unknown as GPUDevice;
    const info = { subgroupMaxSize: 32, subgroupMatrixConfigs } as unknown as GPUAdapterInfo;
    return matrixBlockOf(device, info, subgroupMinSize);
  };
  const granted = [MATRIX_FEATURE, "shader-f16"];
  assertEquals(blockOf(granted), { m: 16, n: 8, k: 16 });
  assertEquals(blockOf(granted, listed, 16), undefined, "subgroups of 16 to 32");
  assertEquals(blockOf(granted, listed.slice(0, 1)), undefined, "sums in f16");
  for (const alone of granted) assertEquals(blockOf([alone]), undefined, alone);
});
