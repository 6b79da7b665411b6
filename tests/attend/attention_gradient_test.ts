// The gradients of attention against the float64 reference.
import type { AttentionSpec } from "../../mod.ts";
import { isQuantized } from "../../src/tensor/quantized.ts";
import { caseName, CASES } from "../support/cases.ts";
import { checkGradient, randomDO } from "../support/gradient.ts";
import { hasF16 } from "../support/gpu.ts";
import { testRandomly } from "../support/random.ts";
import { randomInputs, rounded } from "../support/run.ts";
import { OPTIONS, randomDraw, randomSizes } from "../support/score_options.ts";

/** What gradients are refused for. */
const isRefused = ({ dtype = "f32", kvDtype = dtype, valuesAre }: AttentionSpec) =>
  isQuantized(kvDtype) || valuesAre !== undefined;

for (const spec of CASES.filter((spec) => !isRefused(spec))) {
  testRandomly(`attention gradient: ${caseName(spec)}`, async (random) => {
    const { dtype = "f32", kvDtype = dtype } = spec;
    if ((dtype === "f16" || kvDtype === "f16") && !await hasF16()) return;
    const inputs = randomInputs(random, spec);
    await checkGradient({ spec, inputs }, rounded(randomDO(random, spec), dtype));
  });
}

for (const name of Object.keys(OPTIONS)) {
  testRandomly(`attention gradient: ${name}`, async (random) => {
    for (let i = 0; i < 3; i++) {
      const draw = randomDraw(random, randomSizes(random), [name]);
      await checkGradient(draw, randomDO(random, draw.spec));
    }
  });
}

testRandomly("attention gradient: options mixed", async (random) => {
  for (let i = 0; i < 12; i++) {
    const draw = randomDraw(random);
    await checkGradient(draw, randomDO(random, draw.spec));
  }
});
