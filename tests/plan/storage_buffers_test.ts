// The buffers that a plan counts are those that its kernels bind; where a device has too few, it says so.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { type AttentionSpec, planAttention, type ScoreMod } from "../../mod.ts";
import { attentionProgram } from "../../src/attend/attention_program.ts";
import { compose } from "../../src/gpu/compose.ts";
import { fusedStorageBuffers, stagedStorageBuffers } from "../../src/plan/storage_buffers.ts";
import { LIMITS } from "../support/plan.ts";
import { testRandomly } from "../support/random.ts";
import { randomDraw } from "../support/score_options.ts";

const MANY = { ...LIMITS, maxStorageBuffersPerShaderStage: 20 };

testRandomly("storage buffers: those of every plan are what its kernels bind", (random) => {
  for (let i = 0; i < 60; i++) {
    const { spec: drawn, inputs } = randomDraw(random);
    const spec: AttentionSpec = {
      ...{ ...drawn, bias: inputs.bias?.shape, mask: inputs.mask?.shape, kvLayout: "BNSH" },
      ...{ impl: random.pick(["fused", "staged"]), seqLen: random.pick([1, drawn.seqLen ?? 1]) },
      outputs: random.pick([[], ["lse"]]),
      blockMask: drawn.maskMod !== undefined && random.next() < 0.5,
      ...random.pick([
        ...[{}, { pages: { size: 16, count: 99 } }],
        { kvDtype: "int4" as const, kvCalibrated: true },
      ]),
    };
    // The shapes of a draw are of its own number of tokens.
    if (spec.bias || spec.mask) spec.seqLen = drawn.seqLen;
    const plan = planAttention(spec, MANY);
    const bound = Object.values(attentionProgram(plan).modules).map((module) => {
      const { bindings } = compose(module, { enableSubgroups: false });
      return bindings.filter(({ type }) => type !== "uniform").length;
    });
    const counted = plan.impl === "fused"
      ? fusedStorageBuffers(plan.spec, plan.slices)
      : stagedStorageBuffers(plan.spec);
    assertEquals(counted, Math.max(...bound), JSON.stringify(spec));
  }
});

/** A function that reads so many tensors. */
function reading(count: number): ScoreMod {
  const names = Array.from({ length: count }, (_, i) => `x${i}`);
  const sum = ["score", ...names.map((name) => `${name}[0]`)].join(" + ");
  return {
    name: "added",
    wgsl: `fn added(score: f32, at: ScoreAt) -> f32 { return ${sum}; }`,
    tensors: Object.fromEntries(names.map((name) => [name, { shape: [1] }])),
  };
}

Deno.test("storage buffers: fewer slices where their states cannot be bound, then an error", () => {
  const spec: AttentionSpec = { numHeads: 8, numKvHeads: 1, headDim: 64, capacity: 4096 };
  const slicesOf = (count: number, limits = LIMITS) => {
    const plan = planAttention({ ...spec, scoreMod: reading(count) }, limits);
    assert(plan.impl === "fused");
    return plan.slices;
  };
  assert(slicesOf(2) > 1);
  assertEquals(slicesOf(3), 1);
  assert(slicesOf(3, MANY) > 1);
  const says = "storageBuffers=9, maxStorageBuffersPerShaderStage=8";
  for (const impl of ["auto", "fused"] as const) {
    const plan = () => planAttention({ ...spec, impl, scoreMod: reading(4) }, LIMITS);
    assertThrows(plan, RangeError, says);
  }
  const staged = (count: number) => () =>
    planAttention({ ...spec, impl: "staged", scoreMod: reading(count) }, LIMITS);
  staged(4)();
  assertThrows(staged(5), RangeError, says);
});
