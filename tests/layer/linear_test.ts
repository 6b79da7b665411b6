// Projections and norms against float64, with the tiles of software and of GPUs.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type KvDtype, Tensor } from "../../mod.ts";
import { type Activation, Linear, UNIFORM_TILE } from "../../src/layer/linear.ts";
import type { LinearTarget } from "../../src/layer/put.ts";
import { WeightMatrix } from "../../src/layer/weight_matrix.ts";
import { Norm } from "../../src/layer/norm.ts";
import type { BoundWork } from "../../src/gpu/bound_work.ts";
import { rowBytes } from "../../src/tensor/dtype.ts";
import { withLimits } from "../support/buffers.ts";
import { assertClose } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { profileOn, PROFILES } from "../support/plan.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { rounded, submit, Tensors } from "../support/run.ts";

/** Sums of up to some hundred products of numbers in [-1, 1]. */
const TOLERANCE = 5e-5;

/** Kinds of device whose tiles differ. */
const TILES = ["software", "software with both", "a GPU", "a GPU with subgroups"];

interface Size {
  numTokens: number;
  inside: number;
  outside: number;
}

const SIZES: readonly Size[] = [
  { numTokens: 1, inside: 64, outside: 8 },
  { numTokens: 1, inside: 1, outside: 1 },
  { numTokens: 1, inside: 172, outside: 130 },
  { numTokens: 1, inside: 63, outside: 34 },
  { numTokens: 2, inside: 8, outside: 4 },
  { numTokens: 5, inside: 300, outside: 66 },
  { numTokens: 17, inside: 37, outside: 6 },
  { numTokens: 17, inside: 40, outside: 6 },
  { numTokens: 33, inside: 172, outside: 130 },
];

/** Of projections that normalise their tokens: few and many, which tiles have in other ways. */
const NORMED_SIZES: readonly Size[] = [
  { numTokens: 1, inside: 24, outside: 34 },
  { numTokens: 1, inside: 67, outside: 6 },
  { numTokens: 4, inside: 40, outside: 66 },
  { numTokens: 9, inside: 2, outside: 6 },
  { numTokens: 33, inside: 40, outside: 130 },
];

const ACTIVATIONS: Readonly<Record<Activation, (x: number) => number>> = {
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => x * normalShare(x),
  geluTanh: (x) => x / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

/** The share of a normal distribution below x, by Simpson's rule. */
function normalShare(x: number): number {
  const steps = 2000;
  const density = (z: number) => Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI);
  let sum = density(0) + density(x);
  for (let i = 1; i < steps; i++) sum += density(x * i / steps) * (i % 2 ? 4 : 2);
  return 0.5 + sum * x / steps / 3;
}

/** x W^T + b in float64 [tokens, out]. */
function projected(
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  bias: ArrayLike<number> | undefined,
  { numTokens, inside, outside }: Size,
): Float64Array {
  return Float64Array.from({ length: numTokens * outside }, (_, i) => {
    const [token, row] = [Math.floor(i / outside), i % outside];
    let sum = bias?.[row] ?? 0;
    for (let j = 0; j < inside; j++) sum += x[token * inside + j] * w[row * inside + j];
    return sum;
  });
}

const run = (work: BoundWork) => submit((encoder) => work.encode(encoder));

interface Draw {
  random: Random;
  /** Name of the profile that tiles are cut for. */
  tiles: string;
  size: Size;
  dtype?: KvDtype;
  hasBias?: boolean;
  mostBytes?: number;
}

/** A projection of random tokens, what it should be, and what to run it over. */
async function draw(
  tensors: Tensors,
  { random, tiles, size, dtype = "f32", hasBias, mostBytes }: Draw,
) {
  const gpu = await sharedGpu();
  const { numTokens, inside, outside } = size;
  const [x, w] = [random.tensor([numTokens, inside]), random.tensor([outside, inside])];
  const bias = hasBias ? random.tensor([outside]) : undefined;
  const weights = {
    w: tensors.keep(await WeightMatrix.upload(gpu, w, { dtype, label: "w", mostBytes })),
    ...(bias && { bias: await tensors.upload(bias) }),
  };
  const project = (rows: ArrayLike<number>) =>
    projected(rows, rounded(w, dtype).data, bias?.data, size);
  const profile = profileOn(gpu, PROFILES[tiles]);
  const expected = project(x.data);
  return { gpu, profile, weights, x: await tensors.upload(x), expected, project, numTokens };
}

testRandomly(
  "Linear: a caller's buffer that is for storage alone is read as such",
  async (random) => {
    using tensors = new Tensors();
    const size = { numTokens: 33, inside: 8, outside: 5 };
    const drawn = await draw(tensors, { random, tiles: "software", size });
    const { gpu, weights: { w: matrix }, x, expected, numTokens } = drawn;
    const { shape, dtype, bands: [{ w: uploaded }] } = matrix;
    const w = await tensors.stored({ data: await uploaded.download(), shape: uploaded.shape });
    const bands = [{ w, firstRow: 0 }];
    const weights = { w: { shape, dtype, bands } as unknown as WeightMatrix };
    const linear = new Linear(gpu, "linear", weights, { profile: drawn.profile });
    const y = await tensors.poisoned([numTokens, size.outside]);
    await run(await linear.bind({ x: x.buffer, y: y.buffer }, numTokens));
    assertClose(await y.download(), expected, TOLERANCE, "y");
  },
);

for (const tiles of TILES) {
  for (const dtype of ["f32", "f16", "int8", "int4"] as const) {
    testRandomly(`Linear: matrices in ${dtype}, tiles of ${tiles}`, async (random) => {
      if (dtype === "f16" && !await hasF16()) return;
      for (const size of SIZES) {
        using tensors = new Tensors();
        const hasBias = random.next() < 0.5;
        const drawn = await draw(tensors, { random, tiles, size, dtype, hasBias });
        const y = await tensors.poisoned([size.numTokens, size.outside]);
        const linear = new Linear(drawn.gpu, "linear", drawn.weights, drawn);
        const buffers = { x: drawn.x.buffer, y: y.buffer };
        await run(await linear.bind(buffers, size.numTokens));
        assertClose(await y.download(), drawn.expected, TOLERANCE, JSON.stringify(size));
      }
    });
  }

  for (const kind of ["rms", "layer"] as const) {
    testRandomly(`Linear: the input normalised, ${kind}, tiles of ${tiles}`, async (random) => {
      for (const size of NORMED_SIZES) {
        using tensors = new Tensors();
        const [dtype, hasBias] = [random.pick(["f32", "int8"] as const), random.next() < 0.5];
        const { gpu, profile, weights, project, numTokens } = await draw(tensors, {
          ...{ random, tiles, size, dtype, hasBias },
        });
        const { inside, outside } = size;
        const x = rowsToNormalise(random, [numTokens, inside], kind);
        const gain = random.tensor([inside]);
        const bias = random.next() < 0.5 ? random.tensor([inside]) : undefined;
        const ofRows = { kind, gain: gain.data, bias: bias?.data ?? new Float32Array(inside) };
        const expected = project(normed(x.data, inside, ofRows));
        const norm = tensors.keep(
          await Norm.create(gpu, {
            gain: await tensors.upload(gain),
            ...(bias && { bias: await tensors.upload(bias) }),
          }, { kind, eps: 1e-6, profile }),
        );
        const linear = tensors.keep(new Linear(gpu, "linear", weights, { profile }));
        const outputsOf = async (numTokens: number) => {
          const shape = [numTokens, inside];
          const input = await tensors.upload({
            data: x.data.slice(0, numTokens * inside),
            shape,
          });
          const y = await tensors.poisoned([numTokens, outside]);
          await run(await linear.bind({ x: input.buffer, y: y.buffer }, numTokens, "y", norm));
          return await y.download();
        };
        const what = `${JSON.stringify(size)} ${dtype}`;
        const outputs = await outputsOf(numTokens);
        assertClose(outputs, expected, kind === "rms" ? 1e-4 : 1e-3, what);
        // A lane of a software tile adds up whole rows, in the same order in each.
        if (!profile.isSoftware || numTokens === 1) continue;
        assertEquals(await outputsOf(1), outputs.slice(0, outside), `${what}, alone`);
      }
    });
  }

  testRandomly(
    `Linear: outputs are added or cut into q, k and v, tiles of ${tiles}`,
    async (random) => {
      for (const numTokens of [1, 6]) {
        using tensors = new Tensors();
        const size = { numTokens, inside: 24, outside: 22 };
        const drawn = await draw(tensors, { random, tiles, size });
        const { gpu, profile, weights, x, expected } = drawn;
        const linear = new Linear(gpu, "linear", weights, { profile });
        const before = random.tensor([numTokens, 22]);
        const y = await tensors.upload(before);
        await run(await linear.bind({ x: x.buffer, y: y.buffer }, numTokens, "sum"));
        const sums = expected.map((value, i) => value + before.data[i]);
        assertClose(await y.download(), sums, TOLERANCE, "sums");

        const residual = await tensors.upload(before);
        const added = await tensors.poisoned([numTokens, 22]);
        const apart = { x: x.buffer, y: added.buffer, residual: residual.buffer };
        await run(await linear.bind(apart, numTokens, "added"));
        assertClose(await added.download(), sums, TOLERANCE, "added");

        const widths: LinearTarget = { qWidth: 12, kvWidth: 5 };
        const [q, k, v] = [
          await tensors.poisoned([numTokens, 12]),
          await tensors.poisoned([numTokens, 5]),
          await tensors.poisoned([numTokens, 5]),
        ];
        const buffers = { x: x.buffer, q: q.buffer, k: k.buffer, v: v.buffer };
        await run(await linear.bind(buffers, numTokens, widths));
        for (const [tensor, start, width] of [[q, 0, 12], [k, 12, 5], [v, 17, 5]] as const) {
          const part = expected.filter((_, i) => i % 22 >= start && i % 22 < start + width);
          assertClose(await tensor.download(), part, TOLERANCE, `from ${start}`);
        }
      }
    },
  );

  testRandomly(
    `Linear: a matrix cut between rows is one all the same, tiles of ${tiles}`,
    async (random) => {
      for (const numTokens of [1, 5]) {
        for (const dtype of ["f32", "int8"] as const) {
          using tensors = new Tensors();
          const size = { numTokens, inside: 20, outside: 46 };
          // Parts of 10 rows, the last of 6.
          const mostBytes = 10 * rowBytes(20, dtype) + 7;
          const options = { random, tiles, size, dtype, hasBias: true, mostBytes };
          const { gpu, profile, weights, x, expected } = await draw(tensors, options);
          assertEquals(weights.w.bands.map(({ firstRow }) => firstRow), [0, 10, 20, 30, 40]);
          const plain = new Linear(gpu, "linear", weights, { profile });
          const y = await tensors.poisoned([numTokens, 46]);
          await run(await plain.bind({ x: x.buffer, y: y.buffer }, numTokens));
          assertClose(await y.download(), expected, TOLERANCE, `${dtype}, ${numTokens}`);

          const activation = { kind: "silu", isGated: true } as const;
          const gated = new Linear(gpu, "linear", weights, { activation, profile });
          const half = await tensors.poisoned([numTokens, 23]);
          await run(await gated.bind({ x: x.buffer, y: half.buffer }, numTokens));
          const outputs = Float64Array.from(
            { length: half.length },
            (_, i) => ACTIVATIONS.silu(expected[2 * i]) * expected[2 * i + 1],
          );
          assertClose(await half.download(), outputs, TOLERANCE, `gated, ${dtype}, ${numTokens}`);
        }
      }
    },
  );

  for (const kind of ["silu", "gelu", "geluTanh"] as const) {
    testRandomly(`Linear: ${kind}, gated and not, tiles of ${tiles}`, async (random) => {
      for (const numTokens of [1, 3]) {
        using tensors = new Tensors();
        const size = { numTokens, inside: 40, outside: 14 };
        const drawn = await draw(tensors, { random, tiles, size });
        const { gpu, profile, weights, x, expected } = drawn;
        const act = ACTIVATIONS[kind];
        for (const isGated of [false, true]) {
          const linear = new Linear(gpu, "linear", weights, {
            activation: { kind, isGated },
            profile,
          });
          const y = await tensors.poisoned([numTokens, isGated ? 7 : 14]);
          await run(await linear.bind({ x: x.buffer, y: y.buffer }, numTokens));
          const outputs = isGated
            ? Float64Array.from(
              { length: y.length },
              (_, i) => act(expected[2 * i]) * expected[2 * i + 1],
            )
            : expected.map(act);
          assertClose(await y.download(), outputs, TOLERANCE, isGated ? "gated" : "not gated");
        }
      }
    });
  }

  for (const kind of ["rms", "layer"] as const) {
    testRandomly(`Norm: ${kind}, tiles of ${tiles}`, async (random) => {
      const gpu = await sharedGpu();
      for (const [numRows, width] of [[1, 64], [3, 1], [5, 67], [2, 300]]) {
        using tensors = new Tensors();
        const host = random.tensor([numRows, width]);
        // Far from zero and small: where a difference of squares would lose the deviation.
        const x = {
          ...host,
          data: host.data.map((value) => value * 1e-2 + (kind === "layer" ? 8 : 0)),
        };
        const [gain, bias] = [random.tensor([width]), random.tensor([width])];
        const before = random.tensor([numRows, width]);
        const weights = { gain: await tensors.upload(gain), bias: await tensors.upload(bias) };
        const input = await tensors.upload(x);
        const expected = normed(x.data, width, { kind, gain: gain.data, bias: bias.data });
        for (const to of ["y", "sum"] as const) {
          const norm = await Norm.create(gpu, weights, {
            kind,
            eps: 1e-6,
            to,
            profile: PROFILES[tiles],
          });
          const y = to === "y"
            ? await tensors.poisoned([numRows, width])
            : await tensors.upload(before);
          await run(norm.bind({ x: input.buffer, y: y.buffer }, numRows));
          const rows = to === "y" ? expected : expected.map((value, i) => value + before.data[i]);
          assertClose(
            await y.download(),
            rows,
            kind === "rms" ? 1e-5 : 2e-4,
            `${numRows} x ${width}`,
          );
        }
      }
    });
  }
}

testRandomly(
  "Linear: parts of a matrix are uniforms where they fill workgroups",
  async (random) => {
    const size = { numTokens: 32, inside: 8, outside: 128 };
    const cases = [
      { tiles: "software with subgroups of 8", rowsOfPart: 64, dispatches: 2 },
      { tiles: "software with subgroups of 8", rowsOfPart: 32, dispatches: 1 },
      { tiles: "software", rowsOfPart: 32, dispatches: 4 },
    ];
    const { device, profile: { subgroupSize } } = await sharedGpu();
    const ofDevice = device.limits.minUniformBufferOffsetAlignment;
    for (const { tiles, rowsOfPart, dispatches } of cases) {
      if (PROFILES[tiles].subgroupSize > subgroupSize || ofDevice > 256) continue;
      const limits = {
        maxUniformBufferBindingSize: rowsOfPart * rowBytes(size.inside, "f32"),
        minUniformBufferOffsetAlignment: 256,
      };
      using tensors = new Tensors();
      const { gpu, profile, weights, x, expected } = await draw(tensors, { random, tiles, size });
      const y = await tensors.poisoned([size.numTokens, size.outside]);
      const linear = tensors.keep(new Linear(gpu, "linear", weights, { profile }));
      const buffers = { x: x.buffer, y: y.buffer };
      const work = await withLimits(limits, () => linear.bind(buffers, size.numTokens));
      assertEquals(work.dispatches.length, dispatches, `${tiles}, parts of ${rowsOfPart} rows`);
      await run(work);
      assertClose(await y.download(), expected, TOLERANCE, `${tiles}, parts of ${rowsOfPart} rows`);
    }
  },
);

testRandomly(
  "Linear: each of the heads that a token has is multiplied by rows of its own",
  async (random) => {
    const gpu = await sharedGpu();
    for (const rowsOfHead of [1, 2, 5]) {
      using tensors = new Tensors();
      const [numTokens, heads, inside] = [3, 7, 6];
      const [x, w] = [
        random.tensor([numTokens * heads, inside]),
        random.tensor([heads * rowsOfHead, inside]),
      ];
      const weights = {
        w: tensors.keep(await WeightMatrix.upload(gpu, w, { dtype: "f32", label: "w" })),
      };
      const linear = tensors.keep(new Linear(gpu, "linear", weights, { heads }));
      const [input, y] = [
        await tensors.upload(x),
        await tensors.poisoned([numTokens, heads * rowsOfHead]),
      ];
      await run(await linear.bind({ x: input.buffer, y: y.buffer }, numTokens));
      const outside = heads * rowsOfHead;
      const expected = Array.from({ length: numTokens * outside }, (_, i) => {
        const [token, row] = [Math.floor(i / outside), i % outside];
        const first = (token * heads + Math.floor(row / rowsOfHead)) * inside;
        let sum = 0;
        for (let j = 0; j < inside; j++) sum += x.data[first + j] * w.data[row * inside + j];
        return sum;
      });
      assertClose(await y.download(), expected, TOLERANCE, `${rowsOfHead} rows of a head`);
    }
  },
);

testRandomly("WeightMatrix: each part has its own rows, in any number of parts", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const host = random.tensor([12, 3]);
  for (const rowsOfPart of [2, 4, 6, 12]) {
    const options = { dtype: "f32", label: "w", mostBytes: rowsOfPart * 3 * 4 } as const;
    const { bands } = tensors.keep(await WeightMatrix.upload(gpu, host, options));
    assertEquals(bands.length, 12 / rowsOfPart);
    const parts = await Promise.all(bands.map(({ w }) => w.download()));
    assertEquals(parts.flatMap((part) => [...part]), [...Float32Array.from(host.data)]);
  }
});

testRandomly(
  "Norm: rows go on in a second line of the grid, and end where they end",
  async (random) => {
    const gpu = await sharedGpu();
    using tensors = new Tensors();
    const [numRows, width] = [5, 6];
    const x = random.tensor([2 * numRows, width]);
    const [gain, bias] = [random.tensor([width]), random.tensor([width])];
    const weights = { gain: await tensors.upload(gain), bias: await tensors.upload(bias) };
    const input = await tensors.upload(x);
    const norm = await Norm.create(gpu, weights, { kind: "rms", eps: 1e-6 });
    const { tensor, behind } = await tensors.poisonedWithin([numRows, width]);
    await withLimits({ maxComputeWorkgroupsPerDimension: 3 }, async () => {
      await run(norm.bind({ x: input.buffer, y: tensor.buffer }, numRows));
    });
    const numbers = { gain: gain.data, bias: bias.data };
    const expected = normed(x.data, width, { kind: "rms", ...numbers });
    assertClose(await tensor.download(), expected.slice(0, numRows * width), 1e-5, "rows");
    assert((await behind()).every(Number.isNaN), "behind the rows");
    norm.destroy();
  },
);

testRandomly("Norm: rows without a deviation become their bias, however large", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const [numRows, width] = [50, 67];
  const rows = Array.from({ length: numRows }, () => 1e6 * random.next());
  const x = { data: rows.flatMap((value) => Array(width).fill(value)), shape: [numRows, width] };
  const [gain, bias] = [random.tensor([width]), random.tensor([width])];
  const weights = { gain: await tensors.upload(gain), bias: await tensors.upload(bias) };
  const input = await tensors.upload(x);
  const expected = rows.flatMap(() => [...bias.data]);
  for (const tiles of TILES) {
    const profile = PROFILES[tiles];
    const norm = await Norm.create(gpu, weights, { kind: "layer", eps: 1e-6, profile });
    const y = await tensors.poisoned([numRows, width]);
    await run(norm.bind({ x: input.buffer, y: y.buffer }, numRows));
    assertClose(await y.download(), expected, 1e-5, tiles);
  }
});

Deno.test("Linear, Norm: what a device would leave undone is an error", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const profile = PROFILES.software;
  const long = tensors.keep(await Tensor.empty(gpu, [1, 250_000]));
  const matrix = async (rows: number, columns: number) => {
    const zeros = { data: new Float32Array(rows * columns), shape: [rows, columns] };
    return tensors.keep(await WeightMatrix.upload(gpu, zeros, { dtype: "f32", label: "w" }));
  };
  const linear = new Linear(gpu, "a long row", { w: await matrix(1, 250_000) }, { profile });
  const [x, y] = [long.buffer, long.buffer];
  await assertRejects(() => linear.bind({ x, y }, 1), RangeError, "inputs=250000, rounds=62500");
  const rms = { kind: "rms", eps: 1e-6, profile } as const;
  const gain = tensors.keep(await Tensor.empty(gpu, [250_001]));
  const normOfOdd = () => Norm.create(gpu, { gain }, rms);
  await assertRejects(normOfOdd, RangeError, "width=250001, rounds=62502");

  const w = await matrix(1, 4);
  const small = new Linear(gpu, "many tokens", { w }, { profile });
  const { tokens, tokenGroups } = UNIFORM_TILE;
  const numTokens = tokens * tokenGroups * gpu.device.limits.maxComputeWorkgroupsPerDimension + 1;
  await assertRejects(() => small.bind({ x, y }, numTokens), RangeError, "the grid must fit");
});

/**
 * Small rows, with a mean far from zero where that is taken away; some have an element far from the others, or nothing else than
 * zeros, and where no mean is lost, some are large.
 */
function rowsToNormalise(random: Random, shape: [number, number], kind: "rms" | "layer") {
  const [numRows, width] = shape;
  const { data } = random.tensor(shape);
  for (let row = 0; row < numRows; row++) {
    const of = random.pick(["small", "outlier", "zeros", "large"]);
    const scale = of === "zeros" ? 0 : of === "large" && kind === "rms" ? 1e16 : 1e-2;
    const mean = kind === "rms" || of === "zeros" ? 0 : 8;
    for (let i = row * width; i < (row + 1) * width; i++) data[i] = data[i] * scale + mean;
    if (of === "outlier") data[row * width + random.integer(0, width - 1)] += 10;
  }
  return { data, shape };
}

function normed(
  x: ArrayLike<number>,
  width: number,
  { kind, gain, bias }: { kind: "rms" | "layer"; gain: ArrayLike<number>; bias: ArrayLike<number> },
): Float64Array {
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += width) {
    const row = Array.from({ length: width }, (_, i) => x[start + i]);
    const average = (values: number[]) => values.reduce((a, b) => a + b, 0) / width;
    const mean = kind === "rms" ? 0 : average(row);
    const deviation = Math.sqrt(average(row.map((value) => (value - mean) ** 2)) + 1e-6);
    row.forEach((value, i) => y[start + i] = (value - mean) / deviation * gain[i] + bias[i]);
  }
  return y;
}
