// Merging KV heads: what must be lossless is, what is not is no worse than what it replaces.
import { assert, assertEquals, assertGreater, assertLess, assertLessOrEqual } from "@std/assert";
import {
  type HostTensor,
  mergeKvHeads,
  type MergeKvHeadsOptions,
  outputChange,
  poolingChange,
  type Projection,
  referenceLayer,
  type RopeOptions,
} from "../../../mod.ts";
import { sampledTokens } from "../../../src/layer/merging/sampled_tokens.ts";
import { assertClose } from "../../support/compare.ts";
import { weightsOf } from "../../support/layer.ts";
import { Random, testRandomly } from "../../support/random.ts";
import { testRefusals } from "../../support/refusals.ts";

/** Sizes of a layer, and to how many KV heads it is merged. */
interface Sizes {
  dim: number;
  numHeads: number;
  headDim: number;
  from: number;
  to: number;
}

function drawSizes(random: Random): Sizes {
  const [to, group, perHead] = [1, 2, 3].map(() => random.integer(1, 3));
  return {
    ...{ to, from: to * group, numHeads: to * group * perHead },
    ...{ dim: random.integer(3, 14), headDim: 2 * random.integer(1, 4) },
  };
}

/** Every way to tell positions: rotary ones in both styles, whole, partial and of a range; others leave keys alone. */
function positions(headDim: number): (RopeOptions | undefined)[] {
  const partial: RopeOptions[] = headDim > 2
    ? [{ dims: headDim - 2 }, { dims: 2, style: "pairs" }, { firstDim: 1, dims: 2, base: 50 }]
    : [];
  return [undefined, { base: 50 }, { style: "pairs", base: 50 }, ...partial];
}

/** The elements of a head that are rotated together, and the others alone. */
function partsOf(headDim: number, rope?: RopeOptions): number[][] {
  const { firstDim = 0, dims = headDim, style = "halves" } = rope ?? { dims: 0 };
  const pairs = Array.from(
    { length: dims / 2 },
    (_, i) =>
      (style === "halves" ? [i, i + dims / 2] : [2 * i, 2 * i + 1]).map((j) => firstDim + j),
  );
  const others = Array.from({ length: headDim }, (_, i) => i)
    .filter((i) => i < firstDim || i >= firstDim + dims);
  return others.length > 0 ? [...pairs, others] : pairs;
}

/** `map x` of some rows of a head, where it takes the place of them. */
function mapRows(
  projection: Projection,
  head: { first: number; elements: readonly number[] },
  map: number[][],
): void {
  for (const { data, shape: [, width = 1] } of [projection.weight, projection.bias!]) {
    const rows = data as number[];
    const old = head.elements.map((element) => {
      const start = (head.first + element) * width;
      return rows.slice(start, start + width);
    });
    head.elements.forEach((element, i) => {
      for (let j = 0; j < width; j++) {
        rows[(head.first + element) * width + j] = map[i].reduce(
          (sum, m, k) => sum + m * old[k][j],
          0,
        );
      }
    });
  }
}

/** A layer whose heads have, in each group, the keys and values of its first one times what W_Q and W_O can take up. */
function redundantLayer(random: Random, sizes: Sizes, rope?: RopeOptions) {
  const { dim, numHeads, headDim, from, to } = sizes;
  const shape = { dim, numHeads, numKvHeads: from, headDim };
  const plain = weightsOf(random, shape);
  const arrays = ({ weight, bias }: Projection) => ({
    weight: { ...weight, data: Array.from(weight.data) },
    bias: { ...bias!, data: Array.from(bias!.data) },
  });
  const weights = { ...plain, k: arrays(plain.k), v: arrays(plain.v) };
  const number = () => 2 * random.next() - 1;
  const square = (size: number) =>
    Array.from({ length: size }, () => Array.from({ length: size }, number));
  for (let head = 0; head < from; head++) {
    const source = head - head % (from / to);
    if (head === source) continue;
    for (const part of ["k", "v"] as const) {
      for (const { data, shape: [, width = 1] } of [weights[part].weight, weights[part].bias]) {
        const size = headDim * width;
        data.splice(head * size, size, ...data.slice(source * size, (source + 1) * size));
      }
    }
    const first = head * headDim;
    for (const elements of partsOf(headDim, rope)) {
      const [x, y] = [number(), number()];
      const { firstDim = 0, dims = headDim } = rope ?? { dims: 0 };
      const isPair = elements[0] >= firstDim && elements[0] < firstDim + dims;
      mapRows(weights.k, { first, elements }, isPair ? [[x, -y], [y, x]] : square(elements.length));
    }
    const all = Array.from({ length: headDim }, (_, i) => i);
    mapRows(weights.v, { first, elements: all }, square(headDim));
  }
  return weights;
}

function layerOptions({ numHeads, headDim, from, to }: Sizes, rope?: RopeOptions) {
  const options = { numHeads, headDim, rope };
  return {
    merge: { ...options, from, to } satisfies MergeKvHeadsOptions,
    before: { ...options, numKvHeads: from },
    after: { ...options, numKvHeads: to },
  };
}

testRandomly(
  "merging heads that are each other's allowed multiples loses nothing, at any position",
  (random) => {
    for (const rounds of [0, 2]) {
      const sizes = drawSizes(random);
      for (const rope of positions(sizes.headDim)) {
        const weights = redundantLayer(random, sizes, rope);
        const { merge, before, after } = layerOptions(sizes, rope);
        const merged = mergeKvHeads(weights, random.tensor([3, 12, sizes.dim]), {
          ...merge,
          rounds,
        });
        // Other inputs than those that it learnt from, and positions beyond theirs.
        const x = random.tensor([1, 30, sizes.dim]);
        const change = outputChange(
          referenceLayer(weights, x, before).data,
          referenceLayer(merged.weights, x, after).data,
        );
        assertLess(change.relativeChange, 1e-9, `${JSON.stringify({ ...sizes, rope, rounds })}`);
        const { keys, values, error } = merged.report;
        assertClose([keys!, values], [1, 1], 1e-12, "energy");
        assertLess(error.refitted, 1e-18);
      }
    }
  },
);

testRandomly(
  "merging loses less than the mean and the first, and refitting never loses more",
  (random) => {
    const sizes = { dim: 12, numHeads: 4, headDim: 4, from: 4, to: random.pick([1, 2]) };
    const rope = random.pick(positions(4));
    const weights = weightsOf(random, { ...sizes, numKvHeads: 4 }, random.pick(["qkvo", "", "vo"]));
    const { merge, before, after } = layerOptions(sizes, rope);
    const x = random.tensor([40, 16, sizes.dim]);
    const held = random.tensor([10, 16, sizes.dim]);
    const changeOf = (merged: ReturnType<typeof mergeKvHeads>) =>
      outputChange(
        referenceLayer(weights, held, before).data,
        referenceLayer(merged.weights, held, after).data,
      ).relativeChange ** 2;
    const [closed, refitted] = [0, 4].map((rounds) =>
      mergeKvHeads(weights, x, { ...merge, rounds })
    );
    const { error, rounds } = refitted.report;
    assertGreater(rounds, 0);
    assertLess(error.refitted, error.merged);
    assertEquals(closed.report.error, { merged: error.merged, refitted: error.merged });
    assertLess(changeOf(refitted), changeOf(closed));
    // What the report says of tokens that were held out holds for others.
    assertClose(
      [changeOf(closed), changeOf(refitted)],
      [error.merged, error.refitted],
      0.15,
      "change",
    );
    for (const method of ["mean", "first"] as const) {
      const pooled = poolingChange(weights, held, { ...merge, method }).relativeChange ** 2;
      assertLess(changeOf(closed), pooled);
    }
  },
);

/** What the report says of held-out tokens, by the reference: square of what the output is off by over its own. */
function heldOutError(
  [wanted, actual]: readonly Float64Array[],
  { shape: [batch, seqLen, dim] }: HostTensor,
): number {
  let [lost, all] = [0, 0];
  for (const token of sampledTokens(batch, seqLen).heldOut) {
    for (let i = token * dim; i < (token + 1) * dim; i++) {
      lost += (wanted[i] - actual[i]) ** 2;
      all += wanted[i] ** 2;
    }
  }
  return lost / all;
}

testRandomly("the report's errors are those of the weights that come with it", (random) => {
  const sizes = { dim: 10, numHeads: 4, headDim: 4, from: 4, to: random.pick([1, 2]) };
  for (const biases of ["qkvo", "", "ko", "qv"]) {
    for (const hasNorms of [false, true]) {
      const norms = hasNorms ? { qNorm: random.tensor([4]), kNorm: random.tensor([4]) } : {};
      const weights = { ...weightsOf(random, { ...sizes, numKvHeads: 4 }, biases), ...norms };
      const { merge, before, after } = layerOptions(sizes, random.pick(positions(4)));
      const rules = {
        window: random.pick([undefined, 5]),
        alibiSlopes: random.pick([undefined, [0.1, 0.2, 0.3, 0.4]]),
        scale: 0.6,
        normEps: 0.1,
      };
      const x = random.tensor([10, 12, sizes.dim]);
      const { weights: merged, report } = mergeKvHeads(weights, x, {
        ...merge,
        ...rules,
        rounds: 2,
      });
      const outputs = [
        referenceLayer(weights, x, { ...before, ...rules }).data,
        referenceLayer(merged, x, { ...after, ...rules }).data,
      ];
      assertClose([heldOutError(outputs, x)], [report.error.refitted], 1e-9, biases);
      for (const name of ["q", "k", "v", "o"] as const) {
        assertEquals("bias" in merged[name], biases.includes(name));
      }
    }
  }
});

testRandomly("few tokens are not followed at the price of others", (random) => {
  const sizes = { dim: 12, numHeads: 4, headDim: 4, from: 4, to: 1 };
  for (let i = 0; i < 5; i++) {
    const weights = weightsOf(random, { ...sizes, numKvHeads: 4 });
    const { merge } = layerOptions(sizes);
    const { error } =
      mergeKvHeads(weights, random.tensor([2, 9, 12]), { ...merge, rounds: 3 }).report;
    assertLessOrEqual(error.refitted, error.merged);
  }
});

testRandomly(
  "the merged layer learns from what it sees, and makes up for what is missing",
  (random) => {
    const sizes = { dim: 6, numHeads: 2, headDim: 4, from: 2, to: 2 };
    const weights = weightsOf(random, { ...sizes, numKvHeads: 2 });
    const { merge, before } = layerOptions(sizes, {});
    const x = random.tensor([30, 16, 6]);
    const y = referenceLayer(weights, x, before).data;
    // As if layers before had halved what it reads, and lost a part of what the layer reads of itself.
    const seen = { ...x, data: x.data.map((value) => value / 2) };
    const other = { ...weights, o: weightsOf(random, { ...sizes, numKvHeads: 2 }).o };
    const wanted = referenceLayer(other, x, before).data;
    const missing = { ...x, data: wanted.map((value, i) => value - y[i]) };
    const { weights: merged, report } = mergeKvHeads(weights, x, { ...merge, seen, missing });
    const actual = referenceLayer(merged, seen, before).data;
    assertLess(report.error.refitted, 0.01 * report.error.merged);
    assertClose([heldOutError([wanted, actual], x)], [report.error.refitted], 1e-9, "error");
  },
);

testRandomly("both rotary styles merge alike: elements in another order", (random) => {
  const sizes = { dim: 10, numHeads: 4, headDim: 6, from: 4, to: 2 };
  const halves = weightsOf(random, { ...sizes, numKvHeads: 4 });
  // Row 2 j + part of a head is row j + 3 part of "halves".
  const reorder = ({ weight, bias }: Projection): Projection => {
    const rows = (data: ArrayLike<number>, width: number) =>
      Float64Array.from(data, (_, i) => {
        const [row, column] = [Math.floor(i / width), i % width];
        const [head, element] = [Math.floor(row / 6), row % 6];
        return data[(head * 6 + Math.floor(element / 2) + element % 2 * 3) * width + column];
      });
    return {
      weight: { ...weight, data: rows(weight.data, sizes.dim) },
      bias: { ...bias!, data: rows(bias!.data, 1) },
    };
  };
  const pairs = { ...halves, q: reorder(halves.q), k: reorder(halves.k) };
  const x = random.tensor([6, 16, sizes.dim]);
  const [a, b] = ([[halves, "halves"], [pairs, "pairs"]] as const).map(([weights, style]) => {
    const { merge, after } = layerOptions(sizes, { style });
    const { weights: merged, report } = mergeKvHeads(weights, x, { ...merge, rounds: 1 });
    return { report, y: referenceLayer(merged, x, after).data };
  });
  assertClose(
    [a.report.keys!, a.report.values],
    [b.report.keys!, b.report.values],
    1e-12,
    "energy",
  );
  assertClose(a.y, b.y, 1e-7, "output");
});

testRandomly("as many heads as before stay what they do", (random) => {
  const sizes = { dim: 8, numHeads: 6, headDim: 4, from: 3, to: 3 };
  const weights = weightsOf(random, { ...sizes, numKvHeads: 3 });
  const { merge, before } = layerOptions(sizes, { dims: 2 });
  const x = random.tensor([2, 9, 8]);
  const { weights: merged } = mergeKvHeads(weights, x, merge);
  const [a, b] = [weights, merged].map((weights) => referenceLayer(weights, x, before).data);
  assertLess(outputChange(a, b).relativeChange, 1e-9);
});

testRandomly(
  "norms of queries or keys: keys are averaged, values are merged and W_O refitted",
  (random) => {
    const sizes = { dim: 8, numHeads: 4, headDim: 4, from: 4, to: 2 };
    const plain = weightsOf(random, { ...sizes, numKvHeads: 4 });
    const weights = { ...plain, qNorm: random.tensor([4]), kNorm: random.tensor([4]) };
    const { merge, before, after } = layerOptions(sizes, {});
    const x = random.tensor([40, 16, 8]);
    const { weights: merged, report } = mergeKvHeads(weights, x, merge);
    assert(!("keys" in report));
    assertEquals([merged.qNorm, merged.kNorm], [weights.qNorm, weights.kNorm]);
    assertEquals(merged.q.weight.data, Float64Array.from(weights.q.weight.data));
    const half = (data: ArrayLike<number>, i: number) => {
      const size = 4 * 8;
      const first = Math.floor(i / size) * 2 * size + i % size;
      return (data[first] + data[first + size]) / 2;
    };
    const mean = Float64Array.from({ length: 64 }, (_, i) => half(weights.k.weight.data, i));
    assertClose(merged.k.weight.data, mean, 1e-15, "keys");
    assertLess(report.error.refitted, report.error.merged);
    const y = [[weights, before], [merged, after]] as const;
    const [a, b] = y.map(([weights, options]) => referenceLayer(weights, x, options).data);
    assertClose([outputChange(a, b).relativeChange ** 2], [report.error.refitted], 0.1, "change");
  },
);

testRandomly("heads that count nothing, and inputs of few directions, leave no NaN", (random) => {
  const sizes = { dim: 6, numHeads: 4, headDim: 4, from: 4, to: 1 };
  const drawn = weightsOf(random, { ...sizes, numKvHeads: 4 }, "");
  const zeros = { weight: { ...drawn.o.weight, data: new Float32Array(6 * 16) } };
  const weights = {
    ...drawn,
    q: { weight: { ...drawn.q.weight, data: new Float32Array(16 * 6) } },
    v: {
      weight: { ...drawn.v.weight, data: Float32Array.from(drawn.v.weight.data).fill(0, 0, 48) },
    },
  };
  const { merge } = layerOptions(sizes, { dims: 2 });
  const one = { data: new Float32Array(4 * 9 * 6).map((_, i) => i % 6), shape: [4, 9, 6] };
  for (const x of [one, { data: new Float32Array(54), shape: [1, 9, 6] }]) {
    for (const o of [weights.o, zeros]) {
      const { weights: merged, report } = mergeKvHeads({ ...weights, o }, x, merge);
      for (const { weight } of [merged.q, merged.k, merged.v, merged.o]) {
        assert(Array.from(weight.data).every(Number.isFinite));
      }
      assertLess(report.error.refitted, 1e-20);
    }
  }
});

const WEIGHTS = weightsOf(new Random(0), { dim: 8, numHeads: 4, headDim: 2, numKvHeads: 4 });
const INPUTS = { data: new Float32Array(40), shape: [1, 5, 8] };

function merging(options: Record<string, unknown>, x: HostTensor = INPUTS) {
  return () => mergeKvHeads(WEIGHTS, x, { numHeads: 4, from: 4, to: 2, ...options });
}

testRefusals("mergeKvHeads()", [
  ["heads that do not divide", merging({ to: 3 }), RangeError, "from=4, to=3"],
  ["a count that is no number", merging({ to: "1" }), TypeError, 'to="1"'],
  ["no query heads", merging({ numHeads: undefined }), TypeError, "numHeads=undefined"],
  [
    "query heads that do not divide",
    merging({ numHeads: 6, headDim: 2 }),
    RangeError,
    "numHeads=6",
  ],
  ["weights of other heads", merging({ from: 2 }), RangeError, "k.weight must have shape [4, 8]"],
  ["rotary positions beyond a head", merging({ rope: { dims: 4 } }), RangeError, "dims=4"],
  ["a part of a round", merging({ rounds: 0.5 }), RangeError, "rounds=0.5"],
  ["a window of nothing", merging({ window: 0 }), RangeError, "window=0"],
  ["too few slopes", merging({ alibiSlopes: [1] }), RangeError, "a slope for each head"],
  ["a scale that is no number", merging({ scale: NaN }), RangeError, "scale=NaN"],
  [
    "other tokens that are seen",
    merging({ seen: { data: new Float32Array(32), shape: [1, 4, 8] } }),
    RangeError,
    "seen must have shape [1, 5, 8]",
  ],
  [
    "other tokens that are missing",
    merging({ missing: { data: new Float32Array(40), shape: [5, 8] } }),
    RangeError,
    "missing must have shape [1, 5, 8]",
  ],
  [
    "inputs of two axes",
    merging({}, { data: new Float32Array(40), shape: [5, 8] }),
    TypeError,
    "x must be [B, S, dim]",
  ],
  [
    "inputs that are not finite",
    merging({}, { ...INPUTS, data: INPUTS.data.map((_, i) => i === 7 ? NaN : 1) }),
    RangeError,
    "x must be finite",
  ],
  [
    "infinite inputs that are seen",
    merging({ seen: { ...INPUTS, data: INPUTS.data.map(() => Infinity) } }),
    RangeError,
    "seen must be finite",
  ],
]);
