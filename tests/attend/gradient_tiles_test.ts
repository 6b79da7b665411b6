// The tiles of every class of device, and slices as long loops take them, against the float64 reference.
import type { AttentionSpec } from "../../mod.ts";
import { gradientScratch } from "../../src/plan/backward.ts";
import { assertGradients, randomDO, runGradientPlan } from "../support/gradient.ts";
import { PROFILES } from "../support/plan.ts";
import { testRandomly } from "../support/random.ts";
import { randomInputs } from "../support/run.ts";
import { randomDraw } from "../support/score_options.ts";

const SHAPES: readonly AttentionSpec[] = [
  { numHeads: 6, numKvHeads: 2, headDim: 8, seqLen: 37, capacity: 61, batch: 2 },
  { numHeads: 3, numKvHeads: 1, headDim: 40, valueDim: 72, seqLen: 19, capacity: 150 },
  { numHeads: 2, headDim: 5, valueDim: 3, seqLen: 70, capacity: 70, layout: "BNSH" },
];

for (const [name, profile] of Object.entries(PROFILES)) {
  testRandomly(`gradient tiles of ${name}`, async (random) => {
    for (const spec of SHAPES) {
      const draw = { spec, inputs: randomInputs(random, spec) };
      const dO = randomDO(random, spec);
      assertGradients(await runGradientPlan(draw, dO, profile), draw, dO);
    }
  });

  testRandomly(`gradient tiles of ${name}: slopes of ALiBi, a bias and slices`, async (random) => {
    const draw = randomDraw(random, SHAPES[0], ["ALiBi", "bias", "sink logits", "softcap"]);
    const dO = randomDO(random, draw.spec);
    const actual = await runGradientPlan(draw, dO, profile, (plan) => {
      const slices = { queries: 3, keys: 4, bias: 2 };
      return { ...plan, slices, scratch: gradientScratch(plan, slices) };
    });
    assertGradients(actual, draw, dO);
  });
}
