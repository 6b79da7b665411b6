// The least squares of a refit: what they should make least is least.
import { assertGreaterOrEqual, assertLess, assertLessOrEqual } from "@std/assert";
import { fillInRope } from "../../../src/cache/rope_kernel.ts";
import type { Affine } from "../../../src/layer/merging/affine.ts";
import { fitScores } from "../../../src/layer/merging/fit_scores.ts";
import { fitValues } from "../../../src/layer/merging/fit_values.ts";
import { LayerInputs } from "../../../src/layer/merging/layer_inputs.ts";
import { outputsOf, productsOf } from "../../../src/layer/merging/layer_pass.ts";
import { SampledAttention } from "../../../src/layer/merging/sampled_attention.ts";
import { type Random, testRandomly } from "../../support/random.ts";

const DIM = 2;
const SHAPE = { batch: 6, seqLen: 9, numHeads: 2, headDim: 2 };
const ALL = Array.from({ length: SHAPE.batch * SHAPE.seqLen }, (_, token) => token);

/** A layer so small that a solution takes fewer steps than it may. */
function draw(random: Random) {
  const affine = (out: number, inputs: number): Affine => {
    const hasBias = random.next() < 0.5;
    const matrix = Float64Array.from(
      { length: out * (inputs + 1) },
      (_, i) => !hasBias && i % (inputs + 1) === inputs ? 0 : 2 * random.next() - 1,
    );
    return { out, matrix, hasBias };
  };
  const rope = random.pick([undefined, fillInRope("test", { base: 10 }, SHAPE.headDim)]);
  const attention = new SampledAttention(SHAPE, { scale: 0.7, rope }, ALL);
  const inputs = new LayerInputs(random.tensor([SHAPE.batch, SHAPE.seqLen, DIM]));
  const layer = { q: affine(4, DIM), k: affine(2, DIM), v: affine(2, DIM), o: affine(3, 4) };
  return { affine, attention, inputs, layer };
}

/** Matrices near one, with no bias where it has none. */
function* neighbours(random: Random, affine: Affine): Generator<Affine> {
  const width = affine.matrix.length / affine.out;
  for (let i = 0; i < 20; i++) {
    const size = 10 ** -random.integer(1, 4);
    const matrix = affine.matrix.map((value, i) =>
      value + (affine.hasBias || i % width < width - 1 ? size * (2 * random.next() - 1) : 0)
    );
    yield { ...affine, matrix };
  }
}

testRandomly("fitScores(): what softmax sees of the errors is least", (random) => {
  const { affine, attention, inputs, layer } = draw(random);
  const norms = { eps: 0 };
  const original = { q: affine(4, DIM), k: affine(4, DIM) };
  const products = productsOf(original, inputs, attention, norms);
  const weights = attention.weights(products.slice());
  // Row by row, the variance of the errors under the attention weights.
  const errorOf = (layer: { q: Affine; k: Affine }) => {
    const now = productsOf(layer, inputs, attention, norms);
    let sum = 0;
    for (let start = 0, row = 0; start < now.length; row++) {
      const count = row % SHAPE.seqLen + 1;
      const moments = [0, 0];
      for (let i = start; i < start + count; i++) {
        const error = products[i] - now[i];
        moments[0] += weights[i] * error;
        moments[1] += weights[i] * error * error;
      }
      sum += moments[1] - moments[0] ** 2;
      start += count;
    }
    return sum;
  };
  for (const part of ["q", "k"] as const) {
    const fitted = fitScores(part, layer, inputs, attention, { products, weights });
    const least = errorOf({ ...layer, [part]: fitted });
    assertLess(least, errorOf(layer));
    for (const other of neighbours(random, fitted)) {
      assertGreaterOrEqual(errorOf({ ...layer, [part]: other }), least - 1e-9);
    }
  }
});

testRandomly(
  "fitValues(): the error falls, and W_O leaves the least with the values as they are",
  (random) => {
    const { affine, attention, inputs, layer } = draw(random);
    const weights = attention.weights(productsOf(layer, inputs, attention, { eps: 0 }));
    const original = { v: affine(4, DIM), o: affine(3, 4) };
    const target = { weights, outputs: outputsOf(original, inputs, attention, weights).outputs };
    const errorOf = (layer: { v: Affine; o: Affine }) => {
      const { outputs } = outputsOf(layer, inputs, attention, weights);
      return outputs.reduce((sum, output, i) => sum + (target.outputs[i] - output) ** 2, 0);
    };
    const first = fitValues(layer, inputs, attention, target);
    assertLess(errorOf(first), errorOf(layer));
    // But for the ridge, which holds what inputs say little about.
    for (const o of neighbours(random, first.o)) {
      assertGreaterOrEqual(errorOf({ ...first, o }), 0.98 * errorOf(first));
    }
    let fitted = first;
    for (let i = 0; i < 60; i++) fitted = fitValues(fitted, inputs, attention, target);
    assertLessOrEqual(errorOf(fitted), errorOf(first));
    for (const v of neighbours(random, fitted.v)) {
      assertGreaterOrEqual(errorOf({ ...fitted, v }), 0.98 * errorOf(fitted));
    }
  },
);
