// The float64 gradients of what is around attention, against differences of its definitions.
import type { Activation } from "../../src/layer/linear.ts";
import { project } from "../../src/reference/layer.ts";
import {
  embeddingGradient,
  insideForward,
  insideGradient,
  linearGradient,
  normForward,
  normGradient,
  ropeGradient,
} from "../../src/reference/layer_gradient.ts";
import { crossEntropy, divergenceFromTeacher } from "../../src/reference/loss.ts";
import { ropedRow } from "../../src/reference/rope.ts";
import { assertSlopes, doubles, inner } from "../support/differences.ts";
import { testRandomly } from "../support/random.ts";

testRandomly("reference: the gradients of a projection", (random) => {
  const [tokens, outputs, inputs] = [3, 5, 4];
  const at = {
    x: doubles(random, tokens * inputs),
    w: doubles(random, outputs * inputs),
    b: doubles(random, outputs),
  };
  const dy = doubles(random, tokens * outputs);
  const loss = ({ x, w, b }: typeof at) =>
    inner(
      dy,
      project(
        {
          weight: { data: w, shape: [outputs, inputs] },
          bias: { data: b, shape: [outputs] },
        },
        x,
        inputs,
      ),
    );
  const { dx, dw, db } = linearGradient({ ...at, dy }, [outputs, inputs]);
  assertSlopes(random, "dx", { at: at.x, gradient: dx, of: (x) => loss({ ...at, x }) });
  assertSlopes(random, "dw", { at: at.w, gradient: dw, of: (w) => loss({ ...at, w }) });
  assertSlopes(random, "db", { at: at.b, gradient: db, of: (b) => loss({ ...at, b }) });
});

for (const kind of ["rms", "layer"] as const) {
  testRandomly(`reference: the gradients of a norm, ${kind}`, (random) => {
    const width = 7;
    const options = { kind, eps: 1e-3 };
    const at = {
      x: doubles(random, 3 * width),
      gain: doubles(random, width),
      bias: doubles(random, width),
    };
    const dy = doubles(random, 3 * width);
    const loss = (of: typeof at) => inner(dy, normForward(of, options));
    const { dx, dGain, dBias } = normGradient({ ...at, dy }, options);
    assertSlopes(random, "dx", { at: at.x, gradient: dx, of: (x) => loss({ ...at, x }) });
    const ofGain = (gain: Float64Array) => loss({ ...at, gain });
    assertSlopes(random, "dGain", { at: at.gain, gradient: dGain, of: ofGain });
    const ofBias = (bias: Float64Array) => loss({ ...at, bias });
    assertSlopes(random, "dBias", { at: at.bias, gradient: dBias, of: ofBias });
  });
}

testRandomly("reference: the gradient of a rotation", (random) => {
  for (const style of ["halves", "pairs"] as const) {
    const options = { style, dims: 6, firstDim: 2, base: 100, attentionFactor: 1.2 };
    const position = random.integer(0, 9);
    const dy = doubles(random, 9);
    const of = (row: Float64Array) => inner(dy, ropedRow(row, position, options));
    const gradient = ropeGradient(dy, position, options);
    assertSlopes(random, style, { at: doubles(random, 9), gradient, of });
  }
});

testRandomly("reference: the gradient of embeddings", (random) => {
  const [vocabSize, dim] = [5, 3];
  const tokens = [1, 4, 1, 0, 1];
  const dy = doubles(random, tokens.length * dim);
  const of = (w: Float64Array) =>
    inner(dy, tokens.flatMap((token) => [...w.subarray(token * dim, (token + 1) * dim)])) * 2;
  const gradient = embeddingGradient({ tokens, dy }, { vocabSize, dim, scale: 2 });
  assertSlopes(random, "dw", { at: doubles(random, vocabSize * dim), gradient, of });
});

for (const kind of ["silu", "gelu", "geluTanh"] satisfies Activation[]) {
  testRandomly(`reference: the gradients inside a feed-forward layer, ${kind}`, (random) => {
    for (const isGated of [true, false]) {
      // Also where the functions are no longer straight.
      const wide = (): Float64Array => doubles(random, 40).map((value) => 6 * value);
      const at = { gate: wide(), up: wide() };
      const dy = doubles(random, 40);
      const loss = (of: typeof at) => inner(dy, insideForward(of, { kind, isGated }));
      const { dGate, dUp } = insideGradient({ ...at, dy }, { kind, isGated });
      const ofGate = (gate: Float64Array) => loss({ ...at, gate });
      assertSlopes(random, "dGate", { at: at.gate, gradient: dGate, of: ofGate });
      assertSlopes(random, "dUp", { at: at.up, gradient: dUp, of: (up) => loss({ ...at, up }) });
    }
  });
}

testRandomly("reference: the gradients of losses", (random) => {
  const [tokens, vocabSize] = [3, 6];
  const logits = () => doubles(random, tokens * vocabSize).map((value) => 4 * value);
  const sum = ({ losses }: { losses: Float64Array }) => losses.reduce((a, b) => a + b, 0);
  const labels = [5, 0, 2];
  const student = logits();
  const entropy = (x: Float64Array) => crossEntropy(x, labels, { vocabSize });
  assertSlopes(random, "cross-entropy", {
    ...{ at: student, gradient: entropy(student).dLogits, of: (x) => sum(entropy(x)) },
  });
  const teacher = logits();
  for (const temperature of [1, 2.5]) {
    const divergence = (x: Float64Array) =>
      divergenceFromTeacher(x, teacher, { vocabSize, temperature });
    assertSlopes(random, "divergence", {
      ...{ at: student, gradient: divergence(student).dLogits, of: (x) => sum(divergence(x)) },
    });
  }
});
