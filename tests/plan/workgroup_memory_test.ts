// The memory that kernels declare, added up from their text, against the limits and the counts of planning.
import { assert, assertEquals, assertGreater } from "@std/assert";
import {
  type AttentionGradientSpec,
  type AttentionSpec,
  type DeviceProfile,
  type MatrixBlock,
  planAttention,
  planAttentionGradient,
} from "../../mod.ts";
import { attentionProgram } from "../../src/attend/attention_program.ts";
import { gradientProgram } from "../../src/attend/gradient_program.ts";
import { compose } from "../../src/gpu/compose.ts";
import { gradientWorkgroupBytes } from "../../src/plan/backward_tile.ts";
import { laneWorkgroupBytes } from "../../src/plan/lane_tile.ts";
import { matrixWorkgroupBytes } from "../../src/plan/matrix_tile.ts";
import { LIMITS, PROFILES } from "../support/plan.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { workgroupBytes } from "../support/workgroup_memory.ts";

const BLOCKS: readonly MatrixBlock[] = [
  { m: 8, n: 8, k: 8 },
  { m: 16, n: 8, k: 16 },
  { m: 16, n: 16, k: 16 },
  { m: 8, n: 16, k: 16 },
];
/** Each of at most five variables is rounded up to a unit of 16. */
const ROUNDING = 5 * 16;
const STORAGE = [8192, 16384, 32768, 49152];

function randomSpec(random: Random): AttentionSpec {
  const numKvHeads = random.integer(1, 3);
  return {
    ...{ numKvHeads, numHeads: numKvHeads * random.integer(1, 12) },
    ...{ headDim: random.integer(1, 256), valueDim: random.integer(1, 256) },
    ...{ seqLen: random.integer(1, 40), capacity: random.integer(40, 10_000) },
    kvDtype: random.pick(["f32", "f16", "int8", "int4"]),
  };
}

/** Bytes of the largest kernel of a plan, and those that its tile was chosen by. */
function bytesOf(spec: AttentionSpec, storage: number, profile: DeviceProfile) {
  const limits = { ...LIMITS, maxComputeWorkgroupStorageSize: storage };
  const plan = planAttention(spec, limits, profile);
  const modules = Object.values(attentionProgram(plan).modules);
  const declared = modules.map((module) =>
    workgroupBytes(compose(module, { enableSubgroups: true }).code)
  );
  return { plan, declared: Math.max(...declared) };
}

testRandomly(
  "workgroup memory: tiles on matrix units fit, and are as large as counted",
  (random) => {
    for (let made = 0; made < 100;) {
      const [matrix, subgroupSize] = [random.pick(BLOCKS), random.pick([8, 16, 32, 64])];
      const profile = { isSoftware: false, subgroupSize, longLoads: false, matrix };
      const [spec, storage] = [randomSpec(random), random.pick(STORAGE)];
      const { plan, declared } = bytesOf({ ...spec, arithmetic: "matrix" }, storage, profile);
      assert(declared <= storage, `${declared} of ${storage} bytes: ${JSON.stringify(plan)}`);
      if (plan.impl !== "fused") continue;
      made++;
      const counted = matrixWorkgroupBytes(plan.spec, { ...plan, matrix });
      const isEqual = counted <= declared && declared < counted + ROUNDING;
      assert(isEqual, `${declared} bytes, not ${counted}`);
    }
  },
);

for (const [name, profile] of Object.entries(PROFILES)) {
  testRandomly(`workgroup memory: gradients that are planned for ${name} fit`, (random) => {
    for (let i = 0; i < 40; i++) {
      const alibiSlopes = random.pick([undefined, Array(4).fill(1)]);
      const spec: AttentionGradientSpec = {
        ...{ ...randomSpec(random), numHeads: 4, numKvHeads: 2, alibiSlopes },
        kvDtype: random.pick(["f32", "f16"]),
        gradients: alibiSlopes ? ["dAlibiSlopes"] : [],
      };
      const storage = random.pick(STORAGE);
      const limits = { ...LIMITS, maxComputeWorkgroupStorageSize: storage };
      const plan = planAttentionGradient(spec, limits, profile);
      const modules = Object.values(gradientProgram(plan, limits).modules);
      const declared = Math.max(
        ...modules.map((module) => workgroupBytes(compose(module, { enableSubgroups: true }).code)),
      );
      assert(declared <= storage, `${declared} of ${storage} bytes: ${JSON.stringify(plan)}`);
      const counted = gradientWorkgroupBytes(plan.tile);
      assert(declared < counted + ROUNDING, `${declared} bytes, more than ${counted}`);
    }
  });

  testRandomly(`workgroup memory: what is planned for ${name} fits`, (random) => {
    for (let i = 0; i < 60; i++) {
      const impl = random.pick(["auto", "staged"] as const);
      const [spec, storage] = [randomSpec(random), random.pick(STORAGE)];
      const { plan, declared } = bytesOf({ ...spec, impl }, storage, profile);
      assert(declared <= storage, `${declared} of ${storage} bytes: ${JSON.stringify(plan)}`);
      if (plan.impl !== "fused") continue;
      // Some is counted that a tile does without: reductions by subgroup operations, strips of single numbers.
      const counted = laneWorkgroupBytes(plan.spec, plan);
      assert(declared < counted + ROUNDING, `${declared} bytes, more than ${counted}`);
    }
  });
}

Deno.test("workgroup memory: types and constants are added up as WGSL lays them out", () => {
  const code = `
    const ROWS = 3u;
    const WIDE = ROWS * 2u + (9u - 1u) / 3u;
    alias Pack = vec4<f16>;
    struct State { m: f32, d: f32, }
    var<workgroup> a: array<array<Pack, ROWS>, WIDE>;
    var<workgroup> b: array<State, 5u>;
    var<workgroup> c: atomic<u32>;
    var<workgroup> d: array<vec3f, 2u>;
    var<private> e: array<f32, 100>;`;
  // 3 x 8 packs of 8 bytes; 5 states of 8, a number, and 2 vectors that take 16 each, all in units of 16.
  assertEquals(workgroupBytes(code), 192 + 48 + 16 + 32);
  assertGreater(workgroupBytes(code.replace("ROWS = 3u", "ROWS = 4u")), 288);
});
