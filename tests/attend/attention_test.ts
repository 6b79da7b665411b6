// Both implementations against the float64 reference; the staged one kernel by kernel: scores, weights, output.
import { assert } from "@std/assert";
import { type AttentionSpec, referenceAttention } from "../../mod.ts";
import { caseName, CASES } from "../support/cases.ts";
import { assertClose, maskedScores, TOLERANCE } from "../support/compare.ts";
import { hasF16 } from "../support/gpu.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { randomInputs, runAttention, swapLayout } from "../support/run.ts";

/** The first `sinks` and the last of `columns` columns of every row, `kept` in all: a window leaves no more to look at. */
function keptColumns(
  rows: Float64Array,
  { columns, sinks, kept }: Record<"columns" | "sinks" | "kept", number>,
): Float64Array {
  return rows.filter((_, index) => {
    const column = index % columns;
    return kept === columns || column < sinks || column >= columns - kept + sinks;
  });
}

async function check(random: Random, spec: AttentionSpec): Promise<void> {
  const { layout = "BSNH", kvLayout = layout, dtype = "f32", seqLen = 1, capacity } = spec;
  const inputs = randomInputs(random, spec);
  const isSwapped = kvLayout !== layout;
  const expected = referenceAttention({
    q: inputs.q,
    k: isSwapped ? swapLayout(inputs.k) : inputs.k,
    v: isSwapped ? swapLayout(inputs.v) : inputs.v,
  }, spec);
  const { sinks = 0, window = Infinity } = spec;
  const kept = Math.min(capacity, sinks + window + seqLen - 1);
  const columns = { columns: capacity, sinks, kept };

  const all = await runAttention({ ...spec, outputs: ["scores", "weights"] }, inputs);
  const scores = maskedScores(keptColumns(expected.scores, columns));
  assertClose(all.scores!, scores, TOLERANCE.f32, "scores");
  const weights = keptColumns(expected.weights, columns);
  assertClose(all.weights!, weights, TOLERANCE.f32, "weights");
  assertClose(all.o, expected.o, TOLERANCE[dtype], "o");

  // Without other outputs the staged weights take the place of the scores, and nothing is filled that nobody reads.
  for (const impl of ["staged", "fused"] as const) {
    const { o } = await runAttention({ ...spec, impl }, inputs);
    assertClose(o, expected.o, TOLERANCE[dtype], `o alone, ${impl}`);
  }
}

for (const spec of CASES) {
  testRandomly(`attention: ${caseName(spec)}`, async (random) => {
    const isF16 = spec.dtype === "f16" || spec.kvDtype === "f16";
    if (!isF16 || await hasF16()) await check(random, spec);
  });
}

testRandomly("attention: one output at a time", async (random) => {
  const spec: AttentionSpec = {
    ...{ numHeads: 6, numKvHeads: 2, headDim: 8, seqLen: 19, capacity: 65, batch: 2 },
  };
  const inputs = randomInputs(random, spec);
  const expected = referenceAttention(inputs);
  const { scores, ...withScores } = await runAttention({ ...spec, outputs: ["scores"] }, inputs);
  assertClose(scores!, maskedScores(expected.scores), TOLERANCE.f32, "scores");
  assertClose(withScores.o, expected.o, TOLERANCE.f32, "o beside scores");
  const { weights, ...withWeights } = await runAttention({ ...spec, outputs: ["weights"] }, inputs);
  assertClose(weights!, expected.weights, TOLERANCE.f32, "weights");
  assertClose(withWeights.o, expected.o, TOLERANCE.f32, "o beside weights");
  assert(withScores.weights === undefined && withWeights.scores === undefined);
});
