// The oracle of the backward kernels: against central differences of the forward oracle, both in float64.
import { assertEquals } from "@std/assert";
import {
  type HostTensor,
  referenceAttention,
  referenceGradient,
  type ReferenceInputs,
  type ReferenceOptions,
} from "../../mod.ts";
import { assertClose } from "../support/compare.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { OPTIONS, randomDraw, randomSizes, referenceOf } from "../support/score_options.ts";

const STEP = 1e-5;
/** Central differences are off by the square of the step, and by rounding over the step. */
const TOLERANCE = 1e-7;

/** A loss whose gradient by the output is `dO`. */
function lossOf(inputs: ReferenceInputs, options: ReferenceOptions, dO: HostTensor): number {
  const { o } = referenceAttention(inputs, options);
  return o.reduce((sum, value, i) => sum + value * dO.data[i], 0);
}

/** How the loss changes with each of `data`, which `lossAt` reads. */
function differences(
  data: ArrayLike<number>,
  lossAt: (changed: Float64Array) => number,
): Float64Array {
  const changed = Float64Array.from(data);
  return Float64Array.from(changed, (value, i) => {
    if (value === -Infinity) return 0;
    const at = (moved: number) => {
      changed[i] = moved;
      return lossAt(changed);
    };
    const slope = (at(value + STEP) - at(value - STEP)) / (2 * STEP);
    changed[i] = value;
    return slope;
  });
}

function check(random: Random, names?: readonly string[]): void {
  const sizes = {
    ...randomSizes(random),
    batch: random.integer(1, 2),
    seqLen: random.integer(1, 3),
  };
  const capacity = random.integer(1, 6);
  const [inputs, options] = referenceOf(randomDraw(random, { ...sizes, capacity }, names));
  const [batch, outer, inner] = inputs.q.shape;
  const dO = random.tensor([batch, outer, inner, inputs.v.shape[3]]);
  const actual = referenceGradient(inputs, dO, options);
  const numeric = (name: "q" | "k" | "v" | "bias") => {
    const { data, shape } = inputs[name]!;
    return differences(
      data,
      (changed) => lossOf({ ...inputs, [name]: { data: changed, shape } }, options, dO),
    );
  };
  assertClose(actual.dq, numeric("q"), TOLERANCE, "dq");
  assertClose(actual.dk, numeric("k"), TOLERANCE, "dk");
  assertClose(actual.dv, numeric("v"), TOLERANCE, "dv");
  if (inputs.bias) assertClose(actual.dBias!, numeric("bias"), TOLERANCE, "dBias");
  const perHead = (name: "sinkLogits" | "alibiSlopes") =>
    differences(
      options[name]!,
      (changed) => lossOf(inputs, { ...options, [name]: [...changed] }, dO),
    );
  if (options.sinkLogits) {
    assertClose(actual.dSinkLogits, perHead("sinkLogits"), TOLERANCE, "dSinkLogits");
  }
  if (options.alibiSlopes) {
    assertClose(actual.dAlibiSlopes, perHead("alibiSlopes"), TOLERANCE, "dAlibiSlopes");
  }
}

for (const name of Object.keys(OPTIONS)) {
  testRandomly(`reference gradient: ${name}`, (random) => {
    for (let i = 0; i < 3; i++) check(random, [name]);
  });
}

testRandomly("reference gradient: options mixed", (random) => {
  for (let i = 0; i < 20; i++) check(random);
});

Deno.test("reference gradient: a row that sees nothing has none, even of infinite values", () => {
  const row = { data: [1, 2], shape: [1, 1, 1, 2] };
  const { dq, dk, dv } = referenceGradient(
    {
      q: row,
      k: row,
      v: { data: [Infinity, 1], shape: row.shape },
      mask: { data: [0], shape: [1, 1] },
    },
    row,
  );
  assertEquals([...dq, ...dk, ...dv], [0, 0, 0, 0, 0, 0]);
});
