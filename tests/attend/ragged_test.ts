// Tokens of many sequences laid end to end: each sequence gets what it gets alone, whatever the others do.
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  Attention,
  type AttentionSpec,
  type HostTensor,
  type KvCalibration,
  type KvDtype,
  type KvRotation,
  PagedKvCache,
  type PagedLayer,
  PagePool,
  planAttention,
  PoolExhaustedError,
  referenceAttention,
  type RopeOptions,
  type ScoreAt,
  type ScoreMod,
  type ScoreSpec,
  type Tensor,
} from "../../mod.ts";
import { tensorsOf } from "../../src/cache/kv_memory.ts";
import { ropedRow } from "../../src/reference/rope.ts";
import { assertClose, assertSame, maskedScores, TOLERANCE } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import {
  randomCalibration,
  restored,
  type RowTransform,
  transformsOf,
} from "../support/kv_transform.ts";
import { gpuTuning } from "../support/plan.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { rounded, submit, Tensors } from "../support/run.ts";

/** The shapes and options of a test. */
interface Case {
  batch: number;
  /** Rows of a step. */
  tokens: number;
  /** Most new tokens of a sequence. */
  seqLen: number;
  capacity: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
  valueDim?: number;
  pageSize?: number;
  numPages?: number;
  kvDtype?: KvDtype;
  sinks?: number;
  window?: number;
  rope?: RopeOptions;
  /** Whether each layer has a calibration, which chance draws. */
  isCalibrated?: boolean;
  kvCalibration?: readonly KvCalibration[];
  kvRotation?: KvRotation;
  impl?: "staged";
  maxScratchBytes?: number;
  scores?: Pick<ScoreSpec, "softcap" | "alibiSlopes" | "sinkLogits" | "scale" | "causal">;
  /** Adds a number for each sequence, head, query and key. */
  hasMod?: boolean;
  bias?: boolean;
  mask?: boolean;
  tuning?: AttentionSpec["tuning"];
}

/** A row of each of q, k and v, [heads x size]. */
interface Token {
  q: number[];
  k: number[];
  v: number[];
}

/** A paged cache, its attention and their tensors. */
class Ragged {
  readonly cache: PagedKvCache;
  readonly attention: Attention;
  readonly spec: Case;
  readonly #tensors: Tensors;

  private constructor(tensors: Tensors, spec: Case, cache: PagedKvCache, attention: Attention) {
    this.#tensors = tensors;
    this.spec = spec;
    this.cache = cache;
    this.attention = attention;
  }

  static async create(tensors: Tensors, spec: Case): Promise<Ragged> {
    const gpu = await sharedGpu();
    const { numKvHeads, headDim, valueDim, kvDtype, pageSize = 4, capacity, batch } = spec;
    const numPages = spec.numPages ?? batch * Math.ceil(capacity / pageSize);
    const pool = tensors.keep(
      await PagePool.create(gpu, {
        ...{ layers: 2, numKvHeads, headDim, valueDim, kvDtype, pageSize, numPages },
      }),
    );
    for (const { buffer } of tensorsOf(pool.layers.flat())) {
      gpu.device.queue.writeBuffer(buffer, 0, new Uint8Array(buffer.size).fill(0xff));
    }
    const { sinks, window, rope, seqLen: maxSeqLen, kvCalibration, kvRotation } = spec;
    const cache = tensors.keep(
      await PagedKvCache.create(pool, {
        ...{ batch, capacity, sinks, window, rope, maxSeqLen, kvCalibration, kvRotation },
      }),
    );
    const { numHeads, tokens, seqLen, impl, scores, bias, mask, tuning, maxScratchBytes } = spec;
    const broadcast = [numHeads, tokens, capacity];
    const attention = tensors.keep(
      await Attention.create(gpu, {
        ...{ ...cache.spec, ...scores, numHeads, tokens, seqLen, impl, tuning, outputs: ["lse"] },
        ...{
          maxScratchBytes,
          scoreMod: spec.hasMod ? SCORE_MOD : undefined,
          bias: bias ? broadcast : undefined,
          mask: mask ? broadcast : undefined,
        },
      }),
    );
    return new Ragged(tensors, spec, cache, attention);
  }

  get layer(): PagedLayer {
    return this.cache.layers[1];
  }

  /** Uploads new tokens into as many rows; those of no token are NaN. */
  async #upload(news: readonly Token[][], tokens: number) {
    const { numHeads, numKvHeads, headDim, valueDim = headDim } = this.spec;
    const upload = async (name: keyof Token, heads: number, size: number) => {
      const data = new Float32Array(tokens * heads * size).fill(NaN);
      data.set(news.flat().flatMap((token) => token[name]));
      return await this.#tensors.upload({ data, shape: [tokens, heads, size] });
    };
    return {
      q: await upload("q", numHeads, headDim),
      k: await upload("k", numKvHeads, headDim),
      v: await upload("v", numKvHeads, valueDim),
    };
  }

  /** Appends tokens that nobody attends from: more than a step has. */
  async feed(news: readonly Token[][]): Promise<void> {
    const { k, v } = await this.#upload(news, news.flat().length);
    await submit((encoder) => {
      this.cache.extend(encoder, news.map(({ length }) => length));
      for (const layer of this.cache.layers) layer.append(encoder, { k, v });
    });
  }

  /** Runs a step; rows of no token are NaN before and after. Returns the rows of each sequence. */
  async step(news: readonly Token[][], bias?: HostTensor, mask?: HostTensor) {
    const { numHeads, headDim, valueDim = headDim, tokens } = this.spec;
    const tensors = this.#tensors;
    const { q, k, v } = await this.#upload(news, tokens);
    const o = await tensors.poisoned([tokens, numHeads, valueDim]);
    const lse = await tensors.poisoned([tokens, numHeads]);
    const scored: { bias?: Tensor; mask?: Tensor } = {
      ...(bias && { bias: await tensors.upload(bias) }),
      ...(mask && { mask: await tensors.upload(mask, "bool") }),
    };
    await submit((encoder) => {
      this.cache.extend(encoder, news.map(({ length }) => length));
      for (const layer of this.cache.layers) layer.append(encoder, { k, v });
      if (this.spec.rope) this.layer.ropeQueries(encoder, q);
      this.attention.encode(encoder, { q, cache: this.layer, o, lse, ...scored });
    });
    const [allO, allLse] = [await o.download(), await lse.download()];
    const { starts } = this.cache;
    const end = starts.at(-1)!;
    const rest = [...allO.slice(end * numHeads * valueDim), ...allLse.slice(end * numHeads)];
    assert(rest.every(Number.isNaN), "rows without a token are not written");
    if (this.spec.rope) {
      const past = (await q.download()).slice(end * numHeads * headDim);
      assert(past.every(Number.isNaN), "queries without a token are not turned");
    }
    const rowsOf = (all: Float32Array, size: number, b: number) =>
      all.slice(starts[b] * size, starts[b + 1] * size);
    return news.map((_, b) => ({
      o: rowsOf(allO, numHeads * valueDim, b),
      lse: rowsOf(allLse, numHeads, b),
    }));
  }
}

/** The transform of what is stored as it is. */
const PLAIN: RowTransform = { block: 1 };

/** A token whose stored row the cache's element type holds as it is. */
function newToken(random: Random, spec: Case): Token {
  const { numHeads, numKvHeads, headDim, valueDim = headDim, kvDtype = "f32" } = spec;
  const transforms = transformsOf({ ...spec, kvCalibration: spec.kvCalibration?.[1] });
  const row = (heads: number, size: number, dtype: KvDtype, transform: RowTransform) => {
    const tensor = rounded(random.tensor([1, 1, heads, size]), dtype);
    return [...Array.from(restored(tensor, transform).data)];
  };
  return {
    q: row(numHeads, headDim, "f32", PLAIN),
    // A rotated key is rounded after the rotation, of which the reference knows nothing.
    k: row(numKvHeads, headDim, spec.rope ? "f32" : kvDtype, transforms.k),
    v: row(numKvHeads, valueDim, kvDtype, transforms.v),
  };
}

/** A number for each place of a score. */
function placed({ batch, head, query, key }: ScoreAt): number {
  return batch + 0.5 * head - 0.1 * query + 0.01 * key;
}
const SCORE_MOD: ScoreMod = {
  name: "placed",
  wgsl: "fn placed(score: f32, at: ScoreAt) -> f32 { return score + f32(at.batch) + " +
    "0.5 * f32(at.head) - 0.1 * f32(at.query) + 0.01 * f32(at.key); }",
};

/** Attention in f64 of the last `count` tokens of a sequence, which lie in the step from row `start` on. */
function expected(
  spec: Case,
  text: readonly Token[],
  { sequence, count, start }: { sequence: number; count: number; start: number },
  bias?: HostTensor,
  mask?: HostTensor,
) {
  const { numHeads, numKvHeads, headDim, valueDim = headDim, rope, capacity, tokens } = spec;
  const turned = (row: number[], position: number) =>
    rope === undefined ? row : Array.from(
      { length: row.length / headDim },
      (_, head) => ropedRow(row.slice(head * headDim, (head + 1) * headDim), position, rope),
    ).flat();
  const first = text.length - count;
  const within = ({ data }: HostTensor) => ({
    data: Array.from({ length: numHeads * count * text.length }, (_, i) => {
      const [key, row] = [i % text.length, Math.floor(i / text.length)];
      const [token, head] = [row % count, Math.floor(row / count)];
      return data[(head * tokens + start + token) * capacity + key];
    }),
    shape: [1, numHeads, count, text.length],
  });
  const { sinks, window, scores } = spec;
  return referenceAttention({
    q: {
      data: text.slice(first).flatMap(({ q }, i) => turned(q, first + i)),
      shape: [1, count, numHeads, headDim],
    },
    k: {
      data: text.flatMap(({ k }, i) => turned(k, i)),
      shape: [1, text.length, numKvHeads, headDim],
    },
    v: { data: text.flatMap(({ v }) => v), shape: [1, text.length, numKvHeads, valueDim] },
    ...(bias && { bias: within(bias) }),
    ...(mask && { mask: within(mask) }),
    ...(spec.hasMod && {
      scoreMod: (score: number, at: ScoreAt) => score + placed({ ...at, batch: sequence }),
    }),
  }, { ...scores, sinks, window });
}

/** The same with a calibration of each of its two layers. */
function calibrated(random: Random, spec: Case): Case {
  const shape = { ...spec, valueDim: spec.valueDim ?? spec.headDim };
  return { ...spec, kvCalibration: [0, 1].map(() => randomCalibration(random, shape)) };
}

/** Counts of new tokens, for as many as each sequence has room for. */
type CountsOf = (random: Random, room: readonly number[]) => number[];

/**
 * Random steps, each checked against f64, and one sequence against itself alone, in another place of another cache. They
 * begin behind as many tokens of each sequence as `fed` says. Returns the
 * share of its pages that that sequence holds still.
 */
async function checkSteps(
  random: Random,
  given: Case,
  { countsOf = someCounts(given), steps = 6, fed = 0 }: {
    countsOf?: CountsOf;
    steps?: number;
    fed?: number;
  } = {},
): Promise<number> {
  using tensors = new Tensors();
  const spec = given.isCalibrated ? calibrated(random, given) : given;
  const together = await Ragged.create(tensors, spec);
  const alone = await Ragged.create(tensors, spec);
  const [own, other] = [random.integer(0, spec.batch - 1), random.integer(0, spec.batch - 1)];
  const texts: Token[][] = Array.from({ length: spec.batch }, () => []);
  if (fed > 0) {
    for (const text of texts) {
      text.push(...Array.from({ length: fed }, () => newToken(random, spec)));
    }
    await together.feed(texts);
    await alone.feed(texts.map((_, b) => b === other ? texts[own] : []));
  }
  let rows = 0;
  for (let step = 0; step < steps; step++) {
    const counts = countsOf(random, texts.map(({ length }) => spec.capacity - length));
    const news = counts.map((count) => Array.from({ length: count }, () => newToken(random, spec)));
    news.forEach((tokens, b) => texts[b].push(...tokens));
    const { numHeads, tokens, capacity } = spec;
    const bias = spec.bias ? random.tensor([numHeads, tokens, capacity]) : undefined;
    const mask = spec.mask ? maskOf(random, [numHeads, tokens, capacity]) : undefined;
    const outputs = await together.step(news, bias, mask);
    const starts = together.cache.starts;
    counts.forEach((count, b) => {
      if (count === 0) return;
      const at = { sequence: b, count, start: starts[b] };
      const { o, lse } = expected(spec, texts[b], at, bias, mask);
      const tolerance = spec.rope && spec.kvDtype
        ? 2e-2
        : TOLERANCE.f32 * (spec.kvCalibration ? 16 : 1);
      const what = `step ${step}, sequence ${b} of counts ${counts}`;
      assertClose(outputs[b].o, o, tolerance, what);
      assertClose(outputs[b].lse, maskedScores(lse), 10 * tolerance, `${what}: lse`);
      rows += count;
    });
    if (bias || mask || spec.hasMod) continue;
    const only = await alone.step(news.map((_, b) => b === other ? news[own] : []));
    assertSame(only[other].o, outputs[own].o, `sequence ${own} alone in ${other}`);
    assertSame(only[other].lse, outputs[own].lse, "its lse");
  }
  assert(rows > 0);
  return together.cache.pages(own).length / (texts[own].length / together.cache.spec.pages!.size);
}

function maskOf(random: Random, shape: number[]): HostTensor {
  const { data } = random.tensor(shape);
  return { data: data.map((x) => x > -0.8 ? 1 : 0), shape };
}

/** Random counts that fit: none, one and several tokens beside each other. */
function someCounts({ tokens, seqLen }: Case) {
  return (random: Random, room: readonly number[]) => {
    let left = tokens;
    const counts = room.map((own): number => {
      const wanted = random.pick([0, 1, 1, random.integer(2, Math.max(2, seqLen))]);
      const count = Math.min(wanted, own, left, seqLen);
      left -= count;
      return count;
    });
    if (!counts.some((count) => count > 0)) counts[0] = Math.min(1, room[0]);
    return counts;
  };
}

/** 64 sequences of which some decode. */
function someDecode(random: Random, room: readonly number[]): number[] {
  return room.map((own) => Math.min(own, random.pick([0, 1, 1, 1])));
}

/** A prompt of 300 tokens beside a decode step, and sequences that rest; then all decode. */
function promptBesideDecode(random: Random, room: readonly number[]): number[] {
  const isFirst = room.every((own) => own === room[0]);
  if (!isFirst) return room.map(() => 1);
  const counts = room.map(() => 0);
  const prompt = random.integer(0, counts.length - 1);
  counts[prompt] = 300;
  counts[(prompt + random.integer(1, counts.length - 1)) % counts.length] = 1;
  return counts;
}

const SEQUENCES = [0, 1, 2, 3, 4];
const SMALL = {
  batch: 5,
  tokens: 17,
  seqLen: 9,
  capacity: 40,
  numHeads: 4,
  numKvHeads: 1,
  headDim: 8,
};
const CASES: Record<string, Case> = {
  "f32": SMALL,
  "one head for each of three heads": { ...SMALL, numHeads: 6, numKvHeads: 2, valueDim: 12 },
  "heads of their own": { ...SMALL, numHeads: 3, numKvHeads: 3, headDim: 5 },
  "71 heads, which no tile divides": { ...SMALL, numHeads: 71, tokens: 7, seqLen: 3 },
  "f16": { ...SMALL, kvDtype: "f16" },
  "int8, a window": { ...SMALL, kvDtype: "int8", window: 7 },
  "int4, sinks and a window": { ...SMALL, kvDtype: "int4", sinks: 3, window: 6 },
  "int8, calibrated, a window": { ...SMALL, kvDtype: "int8", isCalibrated: true, window: 7 },
  "staged, int8, calibrated and rotated, 2 KV heads": {
    ...{ ...SMALL, impl: "staged", kvDtype: "int8", numKvHeads: 2 },
    ...{ isCalibrated: true, kvRotation: "hadamard" },
  },
  "rope, sinks and a window": { ...SMALL, rope: { base: 100 }, sinks: 2, window: 8 },
  "scores": {
    ...SMALL,
    scores: {
      softcap: 3,
      alibiSlopes: [0.1, 0.2, 0.3, 0.4],
      sinkLogits: [1, 0, -1, 2],
      scale: 0.7,
    },
  },
  "not causal": { ...SMALL, scores: { causal: false } },
  "a bias": { ...SMALL, bias: true },
  "a mask": { ...SMALL, mask: true },
  "a function of the caller's": { ...SMALL, hasMod: true },
  "staged": { ...SMALL, impl: "staged" },
  "staged, a bias, sinks and a window": {
    ...SMALL,
    impl: "staged",
    bias: true,
    sinks: 2,
    window: 6,
  },
  "staged, int8, rope, 2 KV heads": {
    ...{ ...SMALL, impl: "staged", kvDtype: "int8", rope: {}, numKvHeads: 2 },
  },
  "staged, blocks of 1 KV head": {
    // The scores of two heads of 17 tokens over 40.
    ...{ ...SMALL, impl: "staged", numKvHeads: 2, maxScratchBytes: 4 * 2 * 17 * 40 },
  },
  "staged, f16, ALiBi, heads of their own": {
    ...{ ...SMALL, impl: "staged", kvDtype: "f16", numKvHeads: 4 },
    scores: { alibiSlopes: [0.5, 0.1, 0.2, 0.3] },
  },
};

for (const [name, spec] of Object.entries(CASES)) {
  testRandomly(`ragged: any mixture of new tokens, ${name}`, async (random) => {
    if (spec.kvDtype === "f16" && !await hasF16()) return;
    await checkSteps(random, { ...spec, pageSize: random.pick([3, 4, 16]) });
  });
}

const MANY = { ...SMALL, batch: 64, tokens: 64, seqLen: 1, capacity: 12, headDim: 4 };
const LONG = { ...SMALL, tokens: 301, seqLen: 300, capacity: 320, numHeads: 2, pageSize: 16 };
for (const impl of [undefined, "staged"] as const) {
  testRandomly(`ragged: 64 sequences of which some decode, ${impl ?? "fused"}`, async (random) => {
    await checkSteps(random, { ...MANY, impl }, { countsOf: someDecode });
  });
  testRandomly(`ragged: 300 tokens beside one, ${impl ?? "fused"}`, async (random) => {
    await checkSteps(random, { ...LONG, impl }, { countsOf: promptBesideDecode });
  });
}

testRandomly("ragged: contexts in slices", async (random) => {
  const spec = { ...LONG, batch: 3, tokens: 5, seqLen: 3, capacity: 1500 };
  using tensors = new Tensors();
  const { attention: { plan } } = await Ragged.create(tensors, spec);
  assert(plan.impl === "fused" && plan.slices > 1, "the context is cut");
  await checkSteps(random, spec, { fed: 900, steps: 3 });
});

testRandomly("ragged: windows that gave pages back", async (random) => {
  const spec = { ...SMALL, window: 6, sinks: 2, capacity: 200, pageSize: 4, numPages: 60 };
  const countsOf: CountsOf = (random, room) =>
    someCounts(spec)(random, room).map((count) => Math.max(1, Math.min(count, 3)));
  const held = await checkSteps(random, spec, { countsOf, steps: 25 });
  assert(held < 0.9, `${held} of the pages are held`);
});

testRandomly(
  "ragged: software reads textures, also of windows that gave pages back",
  async (random) => {
    const spec = {
      ...{ ...SMALL, numHeads: 128, capacity: 100, window: 6, sinks: 2 },
      ...{ pageSize: 4, numPages: 60 },
    };
    using tensors = new Tensors();
    const { attention: { plan, gpu: { profile } } } = await Ragged.create(tensors, spec);
    const areTexels = profile.isSoftware && profile.subgroupSize !== 4;
    assertEquals(plan.impl === "fused" && plan.texels?.length, areTexels ? 3 : undefined);
    const countsOf: CountsOf = (random, room) =>
      someCounts(spec)(random, room).map((count) => Math.min(count, 3));
    await checkSteps(random, spec, { countsOf, steps: 8 });
  },
);

testRandomly("ragged: tiles of other devices", async (random) => {
  const shape = { numHeads: random.pick([4, 12]), numKvHeads: random.pick([1, 2, 4]) };
  const spec = { ...SMALL, ...shape, headDim: 16 };
  await checkSteps(random, { ...spec, tuning: gpuTuning(random) });
});

testRandomly("ragged: decode steps have the bits of padded ones", async (random) => {
  using tensors = new Tensors();
  const gpu = await sharedGpu();
  const spec = { ...SMALL, tokens: SMALL.batch, seqLen: 1 };
  const { batch, numHeads, headDim } = spec;
  const ragged = await Ragged.create(tensors, spec);
  const padded = tensors.keep(await Attention.create(gpu, { ...ragged.cache.spec, numHeads }));
  await ragged.feed(Array.from({ length: batch }, (_, b) => texted(random, spec, 3 * b)));
  const news = Array.from({ length: batch }, (_, b) => texted(random, spec, b === 2 ? 0 : 1));
  const outputs = await ragged.step(news);
  const rows = news.map(([token]) => token?.q ?? new Array(numHeads * headDim).fill(0));
  const q = await tensors.upload({ data: rows.flat(), shape: [batch, 1, numHeads, headDim] });
  const o = await tensors.poisoned([batch, 1, numHeads, headDim]);
  await submit((encoder) => padded.encode(encoder, { q, cache: ragged.layer, o }));
  const size = numHeads * headDim;
  const all = await o.download();
  news.forEach(({ length }, b) => {
    if (length > 0) assertSame(outputs[b].o, all.slice(b * size, (b + 1) * size), `sequence ${b}`);
  });
});

function texted(random: Random, spec: Case, length: number): Token[] {
  return Array.from({ length }, () => newToken(random, spec));
}

testRandomly(
  "ragged: what is bound once serves steps of one submission, whoever takes part",
  async (random) => {
    using tensors = new Tensors();
    const gpu = await sharedGpu();
    const spec = { ...SMALL, rope: {} };
    const { numHeads, headDim, tokens } = spec;
    const ragged = await Ragged.create(tensors, spec);
    const { cache, layer, attention } = ragged;
    const steps = [[3, 0, 1, 9, 2], [0, 0, 0, 0, 0], [1, 5, 0, 1, 1], [0, 1, 1, 1, 0]].map((
      counts,
    ) => counts.map((count) => texted(random, spec, count)));
    const sizes = { q: numHeads, k: 1, v: 1 };
    const bound = {
      q: await tensors.poisoned([tokens, numHeads, headDim]),
      k: await tensors.poisoned([tokens, 1, headDim]),
      v: await tensors.poisoned([tokens, 1, headDim]),
      o: await tensors.poisoned([tokens, numHeads, headDim]),
      lse: await tensors.poisoned([tokens, numHeads]),
    };
    const { q, k, v, o, lse } = bound;
    const append = layer.bindAppend({ k, v });
    const rope = layer.bindRopeQueries(q);
    const attend = attention.bind({ q, cache: layer, o, lse });
    const outputs: Tensor[] = [];
    const given = await Promise.all(steps.map(async (news) => {
      outputs.push(await tensors.poisoned(o.shape));
      const rows = async (name: keyof Token) => {
        const data = new Float32Array(tokens * sizes[name] * headDim).fill(NaN);
        data.set(news.flat().flatMap((token) => token[name]));
        return await tensors.upload({ data, shape: bound[name].shape });
      };
      return { q: await rows("q"), k: await rows("k"), v: await rows("v") };
    }));
    const encoder = gpu.device.createCommandEncoder();
    const copy = (from: Tensor, to: Tensor) =>
      encoder.copyBufferToBuffer(from.buffer, 0, to.buffer, 0, from.buffer.size);
    steps.forEach((news, i) => {
      for (const name of ["q", "k", "v"] as const) copy(given[i][name], bound[name]);
      cache.extend(encoder, news.map(({ length }) => length));
      append.encode(encoder);
      rope.encode(encoder);
      attend.encode(encoder);
      copy(o, outputs[i]);
    });
    gpu.device.queue.submit([encoder.finish()]);
    const texts: Token[][] = steps[0].map(() => []);
    for (const [i, news] of steps.entries()) {
      const actual = await outputs[i].download();
      let start = 0;
      news.forEach((added, b) => {
        texts[b].push(...added);
        const end = start + added.length;
        if (added.length > 0) {
          const own = actual.slice(start * numHeads * headDim, end * numHeads * headDim);
          const { o } = expected(spec, texts[b], { sequence: b, count: added.length, start });
          assertClose(own, o, TOLERANCE.f32, `step ${i}, sequence ${b}`);
        }
        start = end;
      });
    }
  },
);

Deno.test("ragged: what cannot be is refused before anything is counted", async () => {
  using tensors = new Tensors();
  const gpu = await sharedGpu();
  const spec = { ...SMALL, tokens: 6, seqLen: 4, numPages: 6, rope: {} };
  const { cache, layer, attention } = await Ragged.create(tensors, spec);
  const { numHeads, headDim, tokens } = spec;
  const rows = (tokens: number, heads: number) => tensors.poisoned([tokens, heads, headDim]);
  const [q, k, o] = [await rows(6, numHeads), await rows(6, 1), await rows(6, numHeads)];
  const lse = await tensors.poisoned([tokens, numHeads]);
  const attend = attention.bind({ q, cache: layer, o, lse });
  const append = layer.bindAppend({ k, v: k });
  const rope = layer.bindRopeQueries(q);
  const encoder = gpu.device.createCommandEncoder();
  const state =
    () => [cache.pool.available, cache.starts, ...SEQUENCES.map((b) => cache.length(b))];
  const refuses = (call: () => void, kind: new (message: string) => Error, says: string) => {
    const before = state();
    assertThrows(call, kind, says);
    assertEquals(state(), before);
  };
  // Nobody has a step.
  refuses(() => append.encode(encoder), RangeError, "extend once before each append");
  refuses(() => rope.encode(encoder), RangeError, "those of the last step (extend first)");
  refuses(() => attend.encode(encoder), RangeError, "those of the last step (extend first)");
  // Starts ascend, as they are sums of counts.
  refuses(() => cache.extend(encoder, [2, -1, 0, 0, 0]), RangeError, "counts[1] must be");
  refuses(
    () => cache.extend(encoder, [9, 9, 9, 0, 0]),
    PoolExhaustedError,
    "needed=9, available=6",
  );
  // More tokens than there are rows for.
  cache.extend(encoder, [3, 0, 4, 0, 0]);
  assertEquals(cache.starts, [0, 3, 3, 7, 7, 7]);
  refuses(() => append.encode(encoder), RangeError, "tokens=6, counts=[3, 0, 4, 0, 0]");
  refuses(() => rope.encode(encoder), RangeError, "tokens=6, counts=[3, 0, 4, 0, 0]");
  layer.append(encoder, { k: await rows(7, 1), v: await rows(7, 1) });
  refuses(() => attend.encode(encoder), RangeError, "tokens=6, counts=[3, 0, 4, 0, 0]");
  cache.extend(encoder, [0, 5, 0, 0, 0]);
  refuses(() => attend.encode(encoder), RangeError, "must be appended first");
  append.encode(encoder);
  refuses(() => append.encode(encoder), RangeError, 'extended="appended already"');
  refuses(() => attend.encode(encoder), RangeError, "sequence=1, count=5, seqLen=4");
  cache.extend(encoder, [0, 1, 0, 0, 0]);
  append.encode(encoder);
  attend.encode(encoder);
  // The rows are nobody's once sequences change in another way.
  cache.truncate(encoder, 5, 1);
  assertEquals(cache.starts, [0, 0, 0, 0, 0, 0]);
  refuses(() => rope.encode(encoder), RangeError, "those of the last step (extend first)");
  refuses(() => attend.encode(encoder), RangeError, "those of the last step (extend first)");
  // Shapes and types.
  const short = await rows(5, numHeads);
  const planned = { ...cache.spec, numHeads, tokens };
  const bind = (given: object) => () => attention.bind({ q, cache: layer, o, lse, ...given });
  refuses(bind({ q: short }), RangeError, "q must have shape [6, 4, 8]");
  refuses(bind({ o: short }), RangeError, "o must have shape [6, 4, 8]");
  refuses(() => layer.bindAppend({ k, v: short }), RangeError, "v must have shape [6, 1, 8]");
  const plan = (given: object) => () =>
    planAttention({ ...planned, ...given }, gpu.device.limits, gpu.profile);
  refuses(plan({ tokens: 0 }), RangeError, "tokens must be a whole number");
  refuses(plan({ tokens: "6" }), TypeError, "tokens must be a number");
  refuses(plan({ seqLen: 7 }), RangeError, "seqLen=7, tokens=6");
  refuses(plan({ pages: undefined }), TypeError, "those of a PagedKvCache");
  refuses(plan({ layout: "BNSH" }), RangeError, 'layout "BSNH"');
  refuses(plan({ alignment: "top-left" }), RangeError, "the last tokens of their sequences");
  refuses(plan({ bias: [5, 1, 1, 40] }), RangeError, "must broadcast");
  refuses(
    plan({ impl: "staged", maxScratchBytes: 4 * 40 * 23 }),
    RangeError,
    "scratch must hold the scores of one KV head",
  );
});
