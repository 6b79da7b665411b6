// The gradients of attention against the float64 reference.
import type { AttentionSpec } from "../../mod.ts";
import { caseName } from "../support/cases.ts";
import { checkGradient, randomDO } from "../support/gradient.ts";
import { hasF16 } from "../support/gpu.ts";
import { testRandomly } from "../support/random.ts";
import { randomInputs, rounded } from "../support/run.ts";
import { OPTIONS, randomDraw, randomSizes } from "../support/score_options.ts";

/**
 * Shapes that have a reason to go wrong: rows that see nothing, keys that nobody sees, tiles that are full, odd and nearly
 * empty on either side, groups of all sizes, heads that vectors of 4 do not divide, values of another size.
 */
const SHAPES: readonly AttentionSpec[] = [
  { numHeads: 1, headDim: 1, seqLen: 1, capacity: 1 },
  { numHeads: 7, numKvHeads: 1, headDim: 8, seqLen: 19, capacity: 3, batch: 2, layout: "BNSH" },
  { numHeads: 3, numKvHeads: 1, headDim: 8, seqLen: 19, capacity: 3, causal: false },
  { numHeads: 71, numKvHeads: 1, headDim: 64, seqLen: 5, capacity: 19 },
  { numHeads: 1, headDim: 512, seqLen: 3, capacity: 65, causal: false },
  { numHeads: 9, numKvHeads: 3, headDim: 80, seqLen: 64, capacity: 64, kvLayout: "BNSH" },
  { numHeads: 4, numKvHeads: 1, headDim: 64, seqLen: 199, capacity: 199, batch: 2 },
  { numHeads: 9, numKvHeads: 3, headDim: 33, valueDim: 8, seqLen: 63, capacity: 177 },
  { numHeads: 7, numKvHeads: 7, headDim: 64, valueDim: 131, seqLen: 19, capacity: 64 },
  { numHeads: 2, numKvHeads: 1, headDim: 8, seqLen: 199, capacity: 299, window: 20, sinks: 5 },
  { numHeads: 3, numKvHeads: 1, headDim: 8, seqLen: 19, capacity: 3, window: 1, sinks: 2 },
  { dtype: "f16", numHeads: 8, numKvHeads: 8, headDim: 64, seqLen: 65, capacity: 99, window: 64 },
  { dtype: "f16", numHeads: 2, headDim: 7, valueDim: 31, seqLen: 3, capacity: 63, causal: false },
  { kvDtype: "f16", numHeads: 4, numKvHeads: 2, headDim: 8, seqLen: 3, capacity: 65 },
];

for (const spec of SHAPES) {
  testRandomly(`attention gradient: ${caseName(spec)}`, async (random) => {
    const { dtype = "f32", kvDtype = dtype } = spec;
    if ((dtype === "f16" || kvDtype === "f16") && !await hasF16()) return;
    const inputs = randomInputs(random, spec);
    const dO = rounded(randomDO(random, spec), dtype);
    await checkGradient({ spec, inputs }, dO);
    await checkGradient({ spec: { ...spec, impl: "staged" }, inputs }, dO);
  });
}

for (const name of Object.keys(OPTIONS)) {
  testRandomly(`attention gradient: ${name}`, async (random) => {
    const draw = randomDraw(random, randomSizes(random), [name]);
    const dO = randomDO(random, draw.spec);
    await checkGradient(draw, dO);
    // A block of few rows, so that there are several.
    const maxScratchBytes = 12 * draw.spec.capacity * random.integer(1, 40);
    const staged = { ...draw.spec, impl: "staged", maxScratchBytes } as const;
    await checkGradient({ ...draw, spec: staged }, dO);
  });
}

for (const axes of [[1, 1, 1], [2, 1, 1], [1, 6, 1], [1, 1, 37], [2, 6, 37]]) {
  testRandomly(`attention gradient: a bias [${axes}, keys] of shared axes`, async (random) => {
    const spec: AttentionSpec = {
      ...{ batch: 2, numHeads: 6, numKvHeads: 2, headDim: 8, seqLen: 37, capacity: 50, window: 30 },
    };
    const bias = random.tensor([...axes, random.pick([50, 41])]);
    const inputs = { ...randomInputs(random, spec), bias };
    await checkGradient({ spec, inputs }, randomDO(random, spec));
  });
}

testRandomly("attention gradient: options mixed", async (random) => {
  for (let i = 0; i < 6; i++) {
    const draw = randomDraw(random);
    if (i % 2 === 1) draw.spec.impl = "staged";
    await checkGradient(draw, randomDO(random, draw.spec));
  }
});
