// The gradients of what is around attention against float64, with the tiles of software and of GPUs.
import { assertEquals, assertRejects } from "@std/assert";
import { Owned } from "../../src/gpu/owned.ts";
import type { BoundWork } from "../../src/gpu/bound_work.ts";
import { fillInRope, Rope } from "../../src/cache/rope_kernel.ts";
import { turnedBack } from "../../src/layer/rope_gradient.ts";
import { chunksOf } from "../../src/layer/chunks.ts";
import { ColumnSums } from "../../src/layer/column_sums.ts";
import { Inside } from "../../src/layer/feed_forward.ts";
import { LinearGradient, productTile } from "../../src/layer/linear_gradient.ts";
import { NormGradient } from "../../src/layer/norm_gradient.ts";
import { EmbeddingGradient, orderOf } from "../../src/model/embedding_gradient.ts";
import {
  embeddingGradient,
  insideForward,
  insideGradient,
  linearGradient,
  normGradient,
  ropeGradient,
} from "../../src/reference/layer_gradient.ts";
import { withLimits } from "../support/buffers.ts";
import { assertNear, assertSame } from "../support/compare.ts";
import { sharedGpu } from "../support/gpu.ts";
import { profileOn, PROFILES } from "../support/plan.ts";
import { testRandomly } from "../support/random.ts";
import { submit, Tensors } from "../support/run.ts";

/** Kinds of device whose tiles differ. */
const TILES = ["software", "software with both", "a GPU", "a GPU with subgroups"];

const run = (...works: BoundWork[]) => submit((encoder) => works.forEach((w) => w.encode(encoder)));
const sumOf = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Float64Array.from(a, (value, i) => value + b[i]);

testRandomly(
  "LinearGradient: a caller's buffers for storage alone are read as such",
  async (random) => {
    using tensors = new Tensors();
    const gpu = await sharedGpu();
    const [numTokens, outputs, inputs] = [40, 9, 8];
    const [x, dy] = [random.tensor([numTokens, inputs]), random.tensor([numTokens, outputs])];
    const w = random.tensor([outputs, inputs]);
    const expected = linearGradient({ x: x.data, w: w.data, dy: dy.data }, [outputs, inputs]);
    const profile = profileOn(gpu, PROFILES.software);
    const linear = tensors.keep(new LinearGradient(gpu, "w", [outputs, inputs], { profile }));
    const read = {
      x: (await tensors.stored(x)).buffer,
      dy: (await tensors.stored(dy)).buffer,
      w: (await tensors.stored(w)).buffer,
    };
    const dx = await tensors.poisoned([numTokens, inputs]);
    const dw = await tensors.upload({ ...w, data: new Float32Array(w.data.length) });
    await run(
      await linear.bindInput({ ...read, dx: dx.buffer }, numTokens),
      await linear.bindWeights({ ...read, dw: dw.buffer }, numTokens),
    );
    assertNear(await dx.download(), expected.dx, "dx");
    assertNear(await dw.download(), expected.dw, "dw");
  },
);

for (const tiles of TILES) {
  testRandomly(`LinearGradient: odd shapes, tiles of ${tiles}`, async (random) => {
    const gpu = await sharedGpu();
    const profile = profileOn(gpu, PROFILES[tiles]);
    for (
      const [numTokens, outputs, inputs] of [
        [1, 1, 1],
        [3, 5, 4],
        [2, 20, 64],
        [37, 9, 7],
        [19, 33, 172],
        [random.integer(65, 300), random.integer(1, 40), 4 * random.integer(1, 12)],
        [random.integer(129, 200), random.integer(1, 20), random.integer(1, 30)],
        // Factors by packs, of a second range and of tiles of 8 and of 4 rows.
        ...(profile.longLoads ? [[264, 12, 64], [40, 8, 64]] : []),
      ]
    ) {
      using tensors = new Tensors();
      const [x, dy] = [random.tensor([numTokens, inputs]), random.tensor([numTokens, outputs])];
      const [w, before] = [random.tensor([outputs, inputs]), random.tensor([numTokens, inputs])];
      const [dw, db] = [random.tensor([outputs, inputs]), random.tensor([outputs])];
      const expected = linearGradient({ x: x.data, w: w.data, dy: dy.data }, [outputs, inputs]);
      const linear = tensors.keep(
        new LinearGradient(gpu, "w", [outputs, inputs], { profile }),
      );
      const read = {
        x: (await tensors.upload(x)).buffer,
        dy: (await tensors.upload(dy)).buffer,
        w: (await tensors.upload(w)).buffer,
      };
      const outcomes = [];
      for (let i = 0; i < 2; i++) {
        const written = {
          dx: await tensors.poisoned([numTokens, inputs]),
          sum: await tensors.upload(before),
          dw: await tensors.upload(dw),
          db: await tensors.upload(db),
        };
        await run(
          await linear.bindInput({ ...read, dx: written.dx.buffer }, numTokens),
          await linear.bindInput({ ...read, dx: written.sum.buffer }, numTokens, "sum"),
          await linear.bindWeights(
            { ...read, dw: written.dw.buffer, db: written.db.buffer },
            numTokens,
          ),
        );
        outcomes.push({
          dx: await written.dx.download(),
          sum: await written.sum.download(),
          dw: await written.dw.download(),
          db: await written.db.download(),
        });
      }
      const what = `${numTokens} tokens, ${outputs} x ${inputs}`;
      const [one, other] = outcomes;
      assertNear(one.dx, expected.dx, `dx, ${what}`);
      assertNear(one.sum, sumOf(expected.dx, before.data), `sum, ${what}`);
      assertNear(one.dw, sumOf(expected.dw, dw.data), `dw, ${what}`);
      assertNear(one.db, sumOf(expected.db, db.data), `db, ${what}`);
      for (const name of ["dx", "sum", "dw", "db"] as const) {
        assertSame(one[name], other[name], `${name} again, ${what}`);
      }
    }
  });

  for (const kind of ["rms", "layer"] as const) {
    testRandomly(`NormGradient: ${kind}, tiles of ${tiles}`, async (random) => {
      const gpu = await sharedGpu();
      const profile = profileOn(gpu, PROFILES[tiles]);
      // Of a row of fewer elements, what is kept at unit size has next to no gradient.
      for (const [rows, width] of [[1, 6], [5, 67], [random.integer(130, 200), 12]]) {
        using tensors = new Tensors();
        const host = random.tensor([rows, width]);
        // Far from zero and small: where a difference of squares would lose the deviation.
        const shift = kind === "layer" ? 8 : 0;
        const x = { ...host, data: host.data.map((value) => 0.1 * value + shift) };
        const [dy, gain] = [random.tensor([rows, width]), random.tensor([width])];
        const before = random.tensor([rows, width]);
        const weights = [random.tensor([width]), random.tensor([width])];
        const expected = normGradient(
          { x: Float64Array.from(x.data), gain: gain.data, dy: dy.data },
          { kind, eps: 1e-5 },
        );
        const norm = tensors.keep(new NormGradient(gpu, width, { kind, eps: 1e-5, profile }));
        const read = {
          x: (await tensors.upload(x)).buffer,
          dy: (await tensors.upload(dy)).buffer,
          gain: (await tensors.upload(gain)).buffer,
        };
        for (const to of ["y", "sum"] as const) {
          const outcomes: Float32Array[][] = [];
          for (let i = 0; i < 2; i++) {
            const dx =
              await (to === "y" ? tensors.poisoned([rows, width]) : tensors.upload(before));
            const [dGain, dBias] = [
              await tensors.upload(weights[0]),
              await tensors.upload(weights[1]),
            ];
            const written = { dx: dx.buffer, dGain: dGain.buffer, dBias: dBias.buffer };
            await run(await norm.bind({ ...read, ...written }, rows, to));
            outcomes.push([await dx.download(), await dGain.download(), await dBias.download()]);
          }
          const what = `${rows} x ${width}, ${to}`;
          const wanted = [
            to === "y" ? expected.dx : sumOf(expected.dx, before.data),
            sumOf(expected.dGain, weights[0].data),
            sumOf(expected.dBias, weights[1].data),
          ];
          wanted.forEach((numbers, i) => {
            assertNear(outcomes[0][i], numbers, `${["dx", "dGain", "dBias"][i]}, ${what}`);
            assertSame(outcomes[0][i], outcomes[1][i], `again, ${what}`);
          });
        }
      }
    });
  }
}

/** What devices in compatibility mode have fewer of. */
const COMPATIBILITY = { maxComputeInvocationsPerWorkgroup: 128 };

testRandomly("NormGradient: rows of which more lanes hold their parts", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  // 8 lanes hold 128 packs each, and a pack of an odd row is one element.
  const [rows, width] = [3, 8 * 128 + 3];
  const [x, dy, gain] = [[rows, width], [rows, width], [width]].map((shape) =>
    random.tensor(shape)
  );
  const options = { kind: "rms", eps: 1e-5 } as const;
  const numbers = { x: Float64Array.from(x.data), gain: gain.data, dy: dy.data };
  const expected = normGradient(numbers, options);
  const norm = tensors.keep(
    new NormGradient(gpu, width, { ...options, profile: PROFILES.software }),
  );
  const dx = await tensors.poisoned([rows, width]);
  const dGain = await tensors.upload({ data: new Float32Array(width), shape: [width] });
  await run(
    await norm.bind({
      x: (await tensors.upload(x)).buffer,
      dy: (await tensors.upload(dy)).buffer,
      gain: (await tensors.upload(gain)).buffer,
      ...{ dx: dx.buffer, dGain: dGain.buffer },
    }, rows),
  );
  assertNear(await dx.download(), expected.dx, "dx");
  assertNear(await dGain.download(), expected.dGain, "dGain");
});

testRandomly("Inside: each activation and its gradient, gated and not", async (random) => {
  const gpu = await sharedGpu();
  // Packs of four, and of one.
  const lengths = [4 * random.integer(17, 50), 2 * random.integer(33, 100) + 1];
  const shapes = [true, false].flatMap((isGated) => lengths.map((length) => ({ isGated, length })));
  for (const kind of ["silu", "gelu", "geluTanh"] as const) {
    for (const { isGated, length } of shapes) {
      using tensors = new Tensors();
      const wide = () => {
        const { data, shape } = random.tensor([length]);
        return { data: data.map((value) => 8 * value), shape };
      };
      const [gate, up, dy] = [wide(), wide(), random.tensor([length])];
      const host = { gate: Float64Array.from(gate.data), up: Float64Array.from(up.data) };
      const inside = tensors.keep(new Inside(gpu, { kind, isGated }));
      const read = {
        gate: (await tensors.upload(gate)).buffer,
        up: (await tensors.upload(up)).buffer,
        dy: (await tensors.upload(dy)).buffer,
      };
      const [y, dGate, dUp] = [
        await tensors.poisoned([length]),
        await tensors.poisoned([length]),
        await tensors.poisoned([length]),
      ];
      await run(
        await inside.bind({ ...read, y: y.buffer }, length),
        await inside.bindGradient({ ...read, dGate: dGate.buffer, dUp: dUp.buffer }, length),
      );
      const what = `${kind}, ${isGated ? "gated" : "not gated"}, ${length}`;
      const expected = insideGradient({ ...host, dy: dy.data }, { kind, isGated });
      assertNear(await y.download(), insideForward(host, { kind, isGated }), what);
      assertNear(await dUp.download(), expected.dUp, `dUp, ${what}`);
      if (isGated) assertNear(await dGate.download(), expected.dGate, `dGate, ${what}`);
    }
  }
});

testRandomly("Inside: far from zero, slopes are 0 and 1", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const up = await tensors.upload({ data: [-1e4, -100, 100, 1e4], shape: [4] });
  const dy = await tensors.upload({ data: [1, 1, 1, 1], shape: [4] });
  for (const kind of ["silu", "gelu", "geluTanh"] as const) {
    const inside = tensors.keep(new Inside(gpu, { kind, isGated: false }));
    const dUp = await tensors.poisoned([4]);
    const buffers = { up: up.buffer, dy: dy.buffer, dUp: dUp.buffer };
    await run(await inside.bindGradient(buffers, 4));
    assertNear(await dUp.download(), [0, 0, 1, 1], kind);
  }
});

testRandomly("Rope: its gradient turns back", async (random) => {
  const gpu = await sharedGpu();
  for (const style of ["halves", "pairs"] as const) {
    using tensors = new Tensors();
    const owned = tensors.keep(new Owned());
    const [batch, seqLen, numHeads, headDim] = [2, 5, 3, 10];
    const options = { style, dims: 6, firstDim: 2, base: 100, attentionFactor: 1.25 };
    const rope = await Rope.create(
      gpu,
      owned,
      turnedBack(fillInRope("test", options, headDim)),
      { headDim, dtype: "f32" },
    );
    const dy = random.tensor([batch, seqLen, numHeads, headDim]);
    const x = await tensors.upload(dy);
    const lengths = await tensors.upload({ data: [5, 5], shape: [2] }, "u32");
    const rows = { arrangement: "padded", seqLen } as const;
    const queries = { ...rows, layout: "BSNH", batch, numHeads, buffer: x.buffer } as const;
    const dispatch = rope.bind(queries, { lengths: lengths.buffer });
    await submit((encoder) => {
      const pass = encoder.beginComputePass();
      dispatch.encode(pass);
      pass.end();
    });
    const expected = Array.from({ length: batch * seqLen * numHeads }, (_, row) => {
      const position = Math.floor(row / numHeads) % seqLen;
      const own = dy.data.subarray(row * headDim, (row + 1) * headDim);
      return ropeGradient(own, position, options);
    });
    assertNear(await x.download(), expected.flat(), style);
  }
});

testRandomly("EmbeddingGradient: tokens that come often, once and never", async (random) => {
  const gpu = await sharedGpu();
  for (const dim of [8, 5]) {
    using tensors = new Tensors();
    const [vocabSize, numTokens] = [random.integer(3, 40), random.integer(20, 90)];
    const tokens = Array.from(
      { length: numTokens },
      () => random.next() < 0.4 ? 1 : random.integer(0, vocabSize - 2),
    );
    const [dy, dw] = [random.tensor([numTokens, dim]), random.tensor([vocabSize, dim])];
    const embedding = tensors.keep(await EmbeddingGradient.create(gpu, { vocabSize, numTokens }));
    embedding.write(tokens);
    const read = (await tensors.upload(dy)).buffer;
    const outcomes = [];
    for (let i = 0; i < 2; i++) {
      const written = await tensors.upload(dw);
      const buffers = { dy: read, dw: written.buffer };
      await run(await embedding.bind(buffers, { dim, scale: 1.5 }));
      outcomes.push(await written.download());
    }
    const expected = embeddingGradient({ tokens, dy: dy.data }, { vocabSize, dim, scale: 1.5 });
    assertNear(outcomes[0], sumOf(expected, dw.data), `${dim} elements`);
    assertSame(outcomes[0], outcomes[1], "again");
  }
});

Deno.test("EmbeddingGradient: places are sorted by token, and those of one stay in order", () => {
  const { starts, order } = orderOf([2, 0, 2, 3, 2], 5);
  assertEquals([...starts], [0, 1, 1, 4, 5, 5]);
  assertEquals([...order], [1, 0, 2, 4, 3]);
});

Deno.test("chunks: all terms are in one, none has more than a loop goes, few outputs get many", () => {
  const software = PROFILES.software;
  for (const profile of [software, PROFILES["a GPU"]]) {
    for (const terms of [1, 63, 64, 65, 1000, 200_000]) {
      for (const workgroups of [1, 7, 1000]) {
        const { count, size } = chunksOf(profile, terms, workgroups);
        assertEquals(Math.ceil(terms / size), count);
        if (profile.isSoftware) assertEquals(size <= 60_000, true);
      }
    }
  }
  assertEquals(chunksOf(PROFILES["a GPU"], 100_000, 1000).count, 1);
  assertEquals(chunksOf(PROFILES["a GPU"], 100_000, 1).count > 100, true);
  assertEquals(chunksOf(software, 200_000, 1000).count, 4);
});

testRandomly("ColumnSums: more rows than a loop of the software driver goes", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const rows = 130_001;
  const x = random.tensor([rows, 1]);
  const sums = tensors.keep(new ColumnSums(gpu, 1, { profile: PROFILES.software }));
  const y = await tensors.upload({ data: [3], shape: [1] });
  await run(await sums.bind({ x: (await tensors.upload(x)).buffer, y: y.buffer }, rows));
  const expected = x.data.reduce((sum, value) => sum + value, 3);
  assertNear(await y.download(), [expected], "sum", { size: Math.sqrt(rows) });
});

testRandomly("LinearGradient: more tiles than a line of a grid has", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const profile = PROFILES.software;
  const { rows, workgroup } = productTile(profile, { rows: 2 ** 20, packs: 1 });
  const tokens = rows * workgroup * gpu.device.limits.maxComputeWorkgroupsPerDimension + 9;
  const linear = tensors.keep(new LinearGradient(gpu, "w", [1, 1], { profile }));
  const dy = random.tensor([tokens, 1]);
  const dx = await tensors.poisoned([tokens, 1]);
  const w = await tensors.upload({ data: [2], shape: [1, 1] });
  const buffers = { dy: (await tensors.upload(dy)).buffer, w: w.buffer, dx: dx.buffer };
  await run(await linear.bindInput(buffers, tokens));
  assertSame(await dx.download(), dy.data.map((value) => 2 * value), "dx");
});

Deno.test("gradients: what a device would leave undone is an error", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const profile = PROFILES.software;
  const { buffer } = await tensors.upload({ data: [0], shape: [1] });
  const linear = tensors.keep(new LinearGradient(gpu, "a long row", [60_001, 1], { profile }));
  const buffers = { dy: buffer, w: buffer, dx: buffer };
  await assertRejects(() => linear.bindInput(buffers, 1), RangeError, "outputs=60001");
  const norm = tensors.keep(
    new NormGradient(gpu, 160_001, { kind: "rms", eps: 1e-6, profile }),
  );
  const all = { x: buffer, dy: buffer, gain: buffer, dx: buffer, dGain: buffer };
  const bind = () => norm.bind(all, 1);
  await assertRejects(
    bind,
    RangeError,
    "a multiple of 4): current values width=160001, most=32768",
  );
  await withLimits(COMPATIBILITY, async () => {
    await assertRejects(bind, RangeError, "width=160001, most=16384");
  });
});

Deno.test("NormGradient: as wide a row as lanes hold, without running what drivers compile for long", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const bind = async (width: number) => {
    const { buffer } = await tensors.poisoned([width]);
    const profile = PROFILES.software;
    const norm = tensors.keep(new NormGradient(gpu, width, { kind: "layer", eps: 1e-6, profile }));
    return norm.bind({ x: buffer, dy: buffer, gain: buffer, dx: buffer, dGain: buffer }, 1);
  };
  await bind(131_072);
  await withLimits(COMPATIBILITY, async () => {
    await bind(65_536);
    await assertRejects(() => bind(65_540), RangeError, "width=65540, most=65536");
  });
});
