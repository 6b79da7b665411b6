// What scores can be made of, alone and mixed, against the float64 reference: stages, weights, output and log-sum-exp.
import { type AttentionSpec, referenceAttention } from "../../mod.ts";
import { assertClose, maskedScores, TOLERANCE } from "../support/compare.ts";
import { hasF16 } from "../support/gpu.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { runAttention } from "../support/run.ts";
import {
  type Draw,
  OPTIONS,
  randomDraw,
  randomSizes,
  referenceOf,
} from "../support/score_options.ts";

const STAGES = ["products", "softcapped", "scores", "weights"] as const;

/** Sums of f32 err with the size of what is summed. */
function tolerance({ scale = 1, softcap = 1 }: AttentionSpec, scores: Float64Array): number {
  const largest = scores.reduce((a, b) => Number.isFinite(b) ? Math.max(a, Math.abs(b)) : a, 0);
  return TOLERANCE.f32 * Math.max(1, Math.abs(scale), softcap / 10, largest / 80);
}

async function check(draw: Draw): Promise<void> {
  const { spec, inputs } = draw;
  const what = JSON.stringify({ ...spec, bias: inputs.bias?.shape, mask: inputs.mask?.shape });
  const expected = referenceAttention(...referenceOf(draw));
  const { seqLen = 1, capacity, dtype = "f32", alignment = "bottom-right", sinks = 0 } = spec;
  const within = tolerance(spec, expected.scores);
  const outer = dtype === "f32" ? within : TOLERANCE.f16;
  const lse = maskedScores(expected.lse);

  const all = await runAttention({ ...spec, outputs: [...STAGES, "lse"] }, inputs);
  assertClose(all.o, expected.o, outer, `o beside stages of ${what}`);
  assertClose(all.lse!, lse, within, `lse beside stages of ${what}`);
  const window = alignment === "bottom-right" ? spec.window ?? Infinity : Infinity;
  const columns = Math.min(capacity, sinks + window + seqLen - 1);
  for (const stage of STAGES) {
    const rows = maskedScores(storedColumns(expected[stage], draw, columns));
    assertClose(all[stage]!, rows, within, `${stage} of ${what}`);
  }
  for (const impl of ["staged", "fused"] as const) {
    const result = await runAttention({ ...spec, impl, outputs: ["lse"] }, inputs);
    assertClose(result.o, expected.o, outer, `o, ${impl}, of ${what}`);
    assertClose(result.lse!, lse, within, `lse, ${impl}, of ${what}`);
  }
}

/** The columns that kernels store: sinks and the last ones of each sequence, as far as a window reaches, and none behind. */
function storedColumns(rows: Float64Array, { spec, inputs }: Draw, kept: number): Float64Array {
  const { batch = 1, capacity, sinks = 0 } = spec;
  const rowsPerSequence = rows.length / capacity / batch;
  const isWeights = rows.every((x) => x >= 0);
  const stored = new Float64Array(rows.length / capacity * kept).fill(isWeights ? 0 : -Infinity);
  for (let row = 0; row < rows.length / capacity; row++) {
    const length = inputs.lengths?.data[Math.floor(row / rowsPerSequence)] ?? capacity;
    const own = rows.subarray(row * capacity, row * capacity + length);
    const columns = length <= kept
      ? own
      : [...own.subarray(0, sinks), ...own.subarray(length - kept + sinks)];
    stored.set(columns, row * kept);
  }
  return stored;
}

for (const name of Object.keys(OPTIONS)) {
  testRandomly(`scores: ${name}`, async (random) => {
    await check(randomDraw(random, randomSizes(random), [name]));
  });
}

testRandomly("scores: options mixed", async (random) => {
  for (let i = 0; i < 4; i++) await check(randomDraw(random));
});

testRandomly("scores: options mixed, f16", async (random) => {
  if (!await hasF16()) return;
  for (let i = 0; i < 2; i++) {
    await check(randomDraw(random, { ...randomSizes(random), dtype: "f16" }));
  }
});

const EVERYTHING = [
  "window to the right",
  "softcap",
  "ALiBi",
  "sink logits",
  "lengths",
  "bias",
  "mask",
];

testRandomly("scores: everything at once", async (random) => {
  for (const alignment of ["bottom-right", 5] as const) {
    const sizes: AttentionSpec = { ...randomSizes(random), alignment, seqLen: 19, capacity: 199 };
    await check(randomDraw(random, sizes, EVERYTHING));
  }
});

testRandomly("scores: everything at once, in tiles of a GPU", async (random) => {
  for (const capacity of [199, 1177]) {
    const sizes: AttentionSpec = { ...randomSizes(random), seqLen: 7, capacity };
    await check(randomDraw(random, sizes, [...EVERYTHING, "tiles of a GPU"]));
  }
});

testRandomly("scores: a context in slices", async (random: Random) => {
  const sizes: AttentionSpec = {
    ...{ numHeads: 5, numKvHeads: 1, headDim: 8, seqLen: 2, capacity: 1177, batch: 2 },
  };
  await check(randomDraw(random, sizes, ["softcap", "sink logits", "bias", "mask", "lengths"]));
  await check(randomDraw(random, sizes, ["ALiBi", "mask of the last keys", "not causal"]));
});
