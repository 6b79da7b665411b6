// The staged implementation against the reference, for tiles of every class of device.
import { type AttentionSpec, referenceAttention } from "../../mod.ts";
import { assertClose, TOLERANCE } from "../support/compare.ts";
import { sharedGpu } from "../support/gpu.ts";
import { profileOn, PROFILES, stagedPlan } from "../support/plan.ts";
import { testRandomly } from "../support/random.ts";
import { randomInputs, runPlan } from "../support/run.ts";

const SHAPES: readonly AttentionSpec[] = [
  { numHeads: 6, numKvHeads: 2, headDim: 24, seqLen: 2, capacity: 2100 },
  { numHeads: 3, numKvHeads: 1, headDim: 33, valueDim: 7, capacity: 4097, window: 3000 },
];

for (const [name, profile] of Object.entries(PROFILES)) {
  for (const spec of SHAPES) {
    testRandomly(`staged tiles of ${name}: ${spec.capacity} tokens`, async (random) => {
      const gpu = await sharedGpu();
      const plan = stagedPlan(spec, gpu.device.limits, profileOn(gpu, profile));
      const inputs = randomInputs(random, spec);
      const o = await runPlan(plan, inputs);
      assertClose(o, referenceAttention(inputs, spec).o, TOLERANCE.f32, "o");
    });
  }
}
