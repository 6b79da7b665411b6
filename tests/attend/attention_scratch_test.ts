// Bounded scratch: rows are done block by block, and nobody can tell.
import { assertEquals, assertGreater } from "@std/assert";
import { type AttentionSpec, planAttention, referenceAttention } from "../../mod.ts";
import { fusedProgram } from "../../src/attend/fused_program.ts";
import { stagedProgram } from "../../src/attend/staged_program.ts";
import { assertClose, assertSame, TOLERANCE } from "../support/compare.ts";
import { sharedGpu } from "../support/gpu.ts";
import { LIMITS, stagedPlan } from "../support/plan.ts";
import { testRandomly } from "../support/random.ts";
import { randomInputs, runAttention } from "../support/run.ts";

const ROW_BYTES = 65 * 4;
/** 4 KV heads in all of 21 rows each, in tiles of 4: the last tile of each has one row. */
const SPEC: AttentionSpec = {
  ...{ batch: 2, numHeads: 6, numKvHeads: 2, headDim: 8, valueDim: 7, seqLen: 7, capacity: 65 },
  impl: "staged",
};

const SIZES: readonly { name: string; maxScratchBytes: number; numBlocks: number }[] = [
  { name: "one tile, exactly", maxScratchBytes: 4 * ROW_BYTES, numBlocks: 24 },
  { name: "almost two tiles", maxScratchBytes: 8 * ROW_BYTES - 1, numBlocks: 20 },
  { name: "two tiles", maxScratchBytes: 8 * ROW_BYTES, numBlocks: 12 },
  { name: "blocks that split KV heads", maxScratchBytes: 5 * 4 * ROW_BYTES, numBlocks: 5 },
  { name: "blocks of one KV head", maxScratchBytes: 6 * 4 * ROW_BYTES, numBlocks: 4 },
  { name: "blocks that span sequences", maxScratchBytes: 13 * 4 * ROW_BYTES, numBlocks: 2 },
  { name: "everything", maxScratchBytes: 24 * 4 * ROW_BYTES, numBlocks: 1 },
];

testRandomly("attention: the same result, to the bit, in blocks of any size", async (random) => {
  const { device } = await sharedGpu();
  const inputs = randomInputs(random, SPEC);
  const whole = await runAttention(SPEC, inputs);
  assertClose(whole.o, referenceAttention(inputs, SPEC).o, TOLERANCE.f32, "o");
  for (const { name, maxScratchBytes, numBlocks } of SIZES) {
    const spec = { ...SPEC, maxScratchBytes };
    assertEquals(stagedPlan(spec, device.limits).blocks.length, numBlocks, name);
    assertSame((await runAttention(spec, inputs)).o, whole.o, name);
  }
});

testRandomly("attention: kept scores and weights do not depend on scratch", async (random) => {
  const inputs = randomInputs(random, SPEC);
  for (const outputs of [["scores"], ["weights"], ["scores", "weights"]] as const) {
    const whole = await runAttention({ ...SPEC, outputs }, inputs);
    const bounded = await runAttention({ ...SPEC, outputs, maxScratchBytes: 1 }, inputs);
    assertSame(bounded.o, whole.o, "o");
    for (const output of outputs) assertSame(bounded[output]!, whole[output]!, output);
  }
});

Deno.test("attention: the scratch of a program is what was planned", () => {
  const rotated = { kvDtype: "int4", kvRotation: "hadamard" } as const;
  const sizes = { numHeads: 4, numKvHeads: 1, headDim: 8, valueDim: 16 };
  const long = { ...sizes, capacity: 9000 };
  const short = { ...sizes, seqLen: 3, capacity: 6 };
  for (
    const [spec, names] of [
      [long, ["partials", "states"]],
      [{ ...long, ...rotated }, ["partials", "states", "queries"]],
      [{ ...short, ...rotated }, ["partials", "states", "queries"]],
      [{ ...short, impl: "fused" }, []],
      [{ ...short, impl: "staged" }, ["scratch"]],
      [{ ...short, ...rotated, impl: "staged" }, ["scratch", "queries", "partials", "states"]],
    ] as [AttentionSpec, string[]][]
  ) {
    const plan = planAttention(spec, LIMITS);
    const { scratch } = plan.impl === "fused" ? fusedProgram(plan) : stagedProgram(plan);
    assertEquals(Object.keys(scratch), names);
    const bytes = Object.values(scratch).reduce((sum, bytes) => sum + bytes, 0);
    assertEquals(bytes, plan.scratchBytes, names.join());
    if (names.includes("partials")) assertEquals(scratch.partials, scratch.states / 8 * 16 * 4);
    if (names.includes("scratch")) assertEquals(scratch.scratch, 4 * 3 * 6 * 4);
  }
});

testRandomly("attention: more rows than a dispatch has workgroups", async (random) => {
  const { device } = await sharedGpu();
  const seqLen = device.limits.maxComputeWorkgroupsPerDimension + 1000;
  const spec: AttentionSpec = {
    numHeads: 1,
    headDim: 1,
    seqLen,
    capacity: 2,
    causal: false,
    impl: "staged",
  };
  const inputs = randomInputs(random, spec);
  const expected = referenceAttention(inputs, spec);
  for (const outputs of [[], ["weights"]] as const) {
    assertGreater(stagedPlan({ ...spec, outputs }, device.limits).blocks.length, 1);
    const { o, weights } = await runAttention({ ...spec, outputs }, inputs);
    assertClose(o, expected.o, TOLERANCE.f32, "o");
    if (weights) assertClose(weights, expected.weights, TOLERANCE.f32, "weights");
  }
});
