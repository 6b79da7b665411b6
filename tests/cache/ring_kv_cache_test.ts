// The ring against a transcript of all that was ever appended, step by step and slot by slot.
import { assert } from "@std/assert";
import {
  Attention,
  RingKvCache,
  type RingKvCacheOptions,
  type SequencePair,
  type Tensor,
} from "../../mod.ts";
import { withLimits } from "../support/buffers.ts";
import { assertClose, TOLERANCE } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { rounded, shapeOf, submit, Tensors } from "../support/run.ts";
import { poison, Transcript } from "../support/transcript.ts";

/**
 * Append so many tokens, the same for all or each sequence its own, and attend with as many queries; or forget a sequence,
 * or all; or roll a sequence back by so many tokens, as far as it goes; or copy one over another.
 */
type Step =
  | number
  | readonly number[]
  | { clear: number | "all" }
  | { rollBack: number; sequence: number }
  | { fork: SequencePair };

interface Scenario {
  name: string;
  numHeads: number;
  cache: RingKvCacheOptions;
  steps: readonly Step[];
  /** The default is every one; large scenarios do with one. */
  encodings?: readonly Encoding[];
  /** Heads that a buffer of the cache holds at most. The default is all. */
  headsPerPart?: number;
  /** Parts that the cache must be in for the scenario to be worth anything. The default is 1. */
  fewestParts?: number;
}

/** How steps reach the GPU: everything must be the same however they are encoded. */
const ENCODINGS = ["a submit per call", "one encoder", "one pass"] as const;
type Encoding = typeof ENCODINGS[number];

const ones = (count: number): Step[] => new Array(count).fill(1);

const SCENARIOS: readonly Scenario[] = [
  {
    name: "token by token, before, at and after the wrap",
    numHeads: 4,
    cache: { numKvHeads: 1, headDim: 8, capacity: 5, overflow: "wrap" },
    steps: ones(13),
  },
  {
    name: "a ring of one slot",
    numHeads: 3,
    cache: { numKvHeads: 1, headDim: 7, capacity: 1, overflow: "wrap" },
    steps: ones(3),
  },
  {
    name: "chunks, at the least capacity that they need",
    numHeads: 4,
    cache: { numKvHeads: 2, headDim: 8, valueDim: 5, capacity: 9, window: 5, maxSeqLen: 5 },
    steps: [5, 5, 5, 1, 2, 5, 3, 1, 5],
  },
  {
    name: "rows so many that software reads textures",
    numHeads: 96,
    cache: { numKvHeads: 1, headDim: 20, valueDim: 24, capacity: 9, window: 5, maxSeqLen: 5 },
    steps: [5, 5, 3, 5],
    encodings: ["one pass"],
  },
  {
    name: "a chunk that ends at the wrap, then one that starts there",
    numHeads: 2,
    cache: { numKvHeads: 2, headDim: 8, capacity: 8, window: 5, maxSeqLen: 4 },
    steps: [4, 4, 4, 4, 1],
  },
  {
    name: "a first chunk of all slots, longer than maxSeqLen",
    numHeads: 4,
    cache: { numKvHeads: 1, headDim: 8, capacity: 19, window: 19, overflow: "wrap" },
    steps: [19, 1, 1],
  },
  {
    name: "no wrap, exactly full",
    numHeads: 6,
    cache: { batch: 2, numKvHeads: 3, headDim: 33, capacity: 20, maxSeqLen: 16 },
    steps: [16, 1, 1, 2],
  },
  {
    name: "no wrap, but a window",
    numHeads: 2,
    cache: { numKvHeads: 1, headDim: 8, capacity: 20, window: 3, overflow: "error" },
    steps: [7, 1, 7, 5],
  },
  {
    name: "sequences of different lengths, one of them empty at times",
    numHeads: 4,
    cache: { batch: 3, numKvHeads: 2, headDim: 8, capacity: 12, maxSeqLen: 4, overflow: "wrap" },
    steps: [1, { clear: 1 }, 4, 2, { clear: 0 }, 4, 4, { clear: 2 }, 3, 1, { clear: "all" }, 2, 4],
  },
  {
    name: "rolled back and appended again, before, at and after the wrap",
    numHeads: 4,
    cache: { numKvHeads: 2, headDim: 8, capacity: 9, window: 5, maxSeqLen: 5 },
    steps: [
      ...[5, { rollBack: 3, sequence: 0 }, 4, { rollBack: 9, sequence: 0 }, 5, 5],
      ...[{ rollBack: 5, sequence: 0 }, 5, 3, { rollBack: 1, sequence: 0 }, 1, 5],
    ],
  },
  {
    name: "forked, and each goes its own way",
    numHeads: 4,
    cache: { batch: 3, numKvHeads: 2, headDim: 8, valueDim: 5, capacity: 7, window: 7 },
    steps: [
      ...[3, { fork: { from: 0, to: 2 } }, 1, 1, 1, { rollBack: 2, sequence: 0 }, 1],
      ...[1, 1, { fork: { from: 2, to: 0 } }, [0, 1, 1], { fork: { from: 1, to: 2 } }, 1, 1],
    ],
  },
  {
    name: "appended at different lengths",
    numHeads: 2,
    cache: { batch: 5, numKvHeads: 1, headDim: 8, capacity: 12, window: 9, maxSeqLen: 4 },
    steps: [[4, 0, 1, 3, 2], [0, 0, 1, 4, 2], [0, 4, 1, 4, 3], 4, [4, 0, 4, 1, 2], [1, 0, 0, 0, 1]],
  },
  {
    name: "values that are keys, with positions behind them: wrapped, rolled back and forked",
    numHeads: 4,
    cache: {
      ...{ batch: 3, numKvHeads: 2, headDim: 12, valueDim: 8, valuesAre: "keys" },
      ...{ capacity: 9, window: 5, maxSeqLen: 4, sinks: 1, rope: { firstDim: 8 } },
    },
    steps: [
      ...[3, { fork: { from: 0, to: 2 } }, 4, 4, { rollBack: 2, sequence: 1 }, [4, 0, 1], 1],
      ...[{ clear: 1 }, 1, 4, { fork: { from: 2, to: 0 } }, [0, 3, 1], 1],
    ],
  },
  {
    name: "values that are keys of f16, in parts of one head",
    numHeads: 6,
    headsPerPart: 1,
    fewestParts: 2,
    cache: {
      ...{ numKvHeads: 2, headDim: 9, valueDim: 7, valuesAre: "keys", dtype: "f16" },
      ...{ capacity: 24, window: 19, maxSeqLen: 6, rope: { firstDim: 3, dims: 6, style: "pairs" } },
    },
    steps: [6, 6, 6, 6, 1, { rollBack: 3, sequence: 0 }, 5, 6, 1],
  },
  {
    name: "in parts of one head",
    numHeads: 2,
    headsPerPart: 1,
    fewestParts: 4,
    cache: { batch: 2, numKvHeads: 2, headDim: 8, valueDim: 5, capacity: 24, window: 19 },
    steps: [6, { fork: { from: 0, to: 1 } }, 6, 6, [1, 0], 6, { clear: 0 }, 1, 5, 6, 6, 1],
  },
  {
    name: "in parts that end within a sequence",
    numHeads: 3,
    headsPerPart: 2,
    fewestParts: 5,
    cache: {
      ...{ batch: 3, numKvHeads: 3, headDim: 8, capacity: 40, overflow: "wrap", maxSeqLen: 8 },
      layout: "BNSH",
    },
    steps: [
      ...[7, { fork: { from: 0, to: 2 } }, 8, 8, { rollBack: 5, sequence: 1 }, [8, 3, 1], 8],
      ...[8, 5, { fork: { from: 2, to: 0 } }, 1, { fork: { from: 0, to: 1 } }, 1],
    ],
  },
  {
    name: "in parts of f16 of odd sizes",
    numHeads: 3,
    headsPerPart: 2,
    fewestParts: 3,
    cache: {
      ...{ batch: 2, numKvHeads: 3, headDim: 3, valueDim: 5, dtype: "f16" },
      ...{ capacity: 37, window: 30, maxSeqLen: 8 },
    },
    steps: [8, 8, 8, 8, 8, { fork: { from: 1, to: 0 } }, 8, 1],
  },
  {
    name: "appended as BNSH",
    numHeads: 4,
    cache: {
      ...{ batch: 2, numKvHeads: 2, headDim: 8, valueDim: 12, layout: "BNSH" },
      ...{ capacity: 9, window: 5, maxSeqLen: 5 },
    },
    steps: [5, 3, 5, 1],
  },
  {
    name: "many query heads",
    numHeads: 71,
    cache: { numKvHeads: 1, headDim: 8, capacity: 9, window: 5, maxSeqLen: 5 },
    steps: [5, 3, 1, 5],
  },
  {
    name: "f16 of odd sizes",
    numHeads: 3,
    cache: {
      ...{ batch: 2, numKvHeads: 3, headDim: 3, valueDim: 5, dtype: "f16" },
      ...{ capacity: 7, window: 5, maxSeqLen: 3 },
    },
    steps: [3, 3, 3, 1, 1],
  },
  {
    name: "sinks, token by token",
    numHeads: 4,
    cache: { numKvHeads: 1, headDim: 8, capacity: 7, sinks: 3, overflow: "wrap" },
    steps: ones(17),
  },
  {
    name: "sinks, chunks, sequences of different lengths",
    numHeads: 4,
    cache: {
      ...{ batch: 2, numKvHeads: 2, headDim: 8, valueDim: 5 },
      ...{ capacity: 13, sinks: 4, window: 5, maxSeqLen: 5 },
    },
    steps: [5, 5, 5, { clear: 1 }, 1, 2, 5, 3, { clear: 0 }, 3, 1, 5, 5],
  },
  {
    name: "sinks and a ring of one slot, f16",
    numHeads: 3,
    cache: { numKvHeads: 1, headDim: 7, capacity: 3, sinks: 2, overflow: "wrap", dtype: "f16" },
    steps: ones(6),
  },
  {
    name: "a first chunk that fills sinks and ring, longer than maxSeqLen",
    numHeads: 2,
    cache: { numKvHeads: 1, headDim: 8, capacity: 300, sinks: 70, overflow: "wrap" },
    steps: [300, 1, 1],
  },
  {
    name: "rope, wrapped",
    numHeads: 4,
    cache: {
      ...{ batch: 2, numKvHeads: 2, headDim: 8, capacity: 9, window: 5, maxSeqLen: 5, rope: {} },
    },
    steps: [5, 3, { clear: 1 }, 5, 1, 5],
  },
  {
    name: "rope of adjacent pairs, partial, scaled, sinks, BNSH",
    numHeads: 2,
    cache: {
      ...{ numKvHeads: 2, headDim: 11, valueDim: 3, layout: "BNSH" },
      ...{ capacity: 8, sinks: 2, window: 3, maxSeqLen: 4 },
      rope: {
        ...{ dims: 6, style: "pairs", base: 500, attentionFactor: 1.25 },
        frequencies: (frequency) => frequency / 4,
      },
    },
    steps: [4, 3, 4, 1, 4],
  },
  {
    name: "rope of f16",
    numHeads: 2,
    cache: {
      ...{ numKvHeads: 1, headDim: 16, capacity: 8, window: 5, maxSeqLen: 4, dtype: "f16" },
      rope: { frequencies: [1, 0.5, 2, 0.25, 0.1, 3, 0, -1] },
    },
    steps: [4, 3, 4, 1],
  },
  {
    name: "more elements than the largest grid has invocations",
    numHeads: 2,
    cache: { numKvHeads: 2, headDim: 64, capacity: 700, window: 370, maxSeqLen: 330 },
    steps: [330, 300, 330],
    encodings: ["one encoder"],
  },
  {
    name: "more elements than the largest grid has invocations, f16, batch",
    numHeads: 1,
    cache: {
      ...{ batch: 2, numKvHeads: 1, headDim: 128, valueDim: 130, dtype: "f16" },
      ...{ capacity: 600, window: 300, maxSeqLen: 300 },
    },
    steps: [300, 299, 300],
    encodings: ["one encoder"],
  },
];

function randomStep(random: Random, batch: number, maxSeqLen: number): Step {
  const sequence = random.integer(0, batch - 1);
  switch (random.integer(0, 9)) {
    case 0:
      return { clear: random.next() < 0.3 ? "all" : sequence };
    case 1:
      return { rollBack: random.integer(0, maxSeqLen), sequence };
    case 2:
      if (batch === 1) break;
      return { fork: { from: sequence, to: (sequence + random.integer(1, batch - 1)) % batch } };
    case 3:
      return Array.from({ length: batch }, () => random.integer(0, maxSeqLen));
  }
  return random.integer(1, maxSeqLen);
}

function randomScenario(random: Random): Scenario {
  const window = random.integer(1, 20);
  const maxSeqLen = random.integer(1, 10);
  const numKvHeads = random.integer(1, 3);
  const sinks = random.pick([0, 1, 5]);
  const batch = random.integer(1, 3);
  const capacity = window + maxSeqLen - 1 + random.integer(0, 5);
  const numHeads = numKvHeads * random.integer(1, 5);
  return {
    name: "random",
    numHeads,
    cache: {
      ...{ batch, numKvHeads, headDim: 8, valueDim: random.pick([7, 8]), window, maxSeqLen, sinks },
      ...{ capacity: sinks + capacity, layout: random.pick(["BSNH", "BNSH"]) },
      rope: random.pick([undefined, {}, { style: "pairs" }, { firstDim: 4 }]),
      valuesAre: random.pick([undefined, "keys"]),
    },
    steps: Array.from({ length: 16 }, () => randomStep(random, batch, maxSeqLen)),
    headsPerPart: random.pick([undefined, random.integer(1, batch * numKvHeads)]),
  };
}

/** A pass cannot clear or truncate, so that one pass goes from one of these to the next. */
type Call =
  | { encode(target: GPUCommandEncoder | GPUComputePassEncoder): void }
  | { encodeApart(encoder: GPUCommandEncoder): void };

async function run(calls: readonly Call[], encoding: Encoding): Promise<void> {
  const encode = (encoder: GPUCommandEncoder, call: Call) =>
    "encodeApart" in call ? call.encodeApart(encoder) : call.encode(encoder);
  switch (encoding) {
    case "a submit per call":
      for (const call of calls) await submit((encoder) => encode(encoder, call));
      break;
    case "one encoder":
      await submit((encoder) => calls.forEach((call) => encode(encoder, call)));
      break;
    case "one pass":
      await submit((encoder) => {
        let pass: GPUComputePassEncoder | undefined;
        for (const call of calls) {
          if ("encodeApart" in call) {
            pass?.end();
            pass = undefined;
            call.encodeApart(encoder);
          } else {
            call.encode(pass ??= encoder.beginComputePass());
          }
        }
        pass?.end();
      });
  }
}

/** Runs a scenario on a device whose storage bindings hold as many heads as it says, and the queries. */
async function play(random: Random, scenario: Scenario, encoding: Encoding): Promise<void> {
  const { cache, headsPerPart = Infinity, numHeads, steps } = scenario;
  const { batch = 1, capacity, headDim, valueDim = headDim, dtype = "f32" } = cache;
  const rowBytes = Math.max(headDim, valueDim) * (dtype === "f16" ? 2 : 4);
  const queries = batch * numHeads * Math.max(...steps.map(numNewTokens));
  const maxStorageBufferBindingSize = Math.max(headsPerPart * capacity, queries) * rowBytes;
  if (maxStorageBufferBindingSize === Infinity) return await playHere(random, scenario, encoding);
  await withLimits(
    { maxStorageBufferBindingSize },
    () => playHere(random, scenario, encoding),
  );
}

function numNewTokens(step: Step): number {
  if (typeof step === "number") return step;
  return "map" in step ? Math.max(1, ...step) : 0;
}

async function playHere(random: Random, scenario: Scenario, encoding: Encoding): Promise<void> {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const cache = tensors.keep(await RingKvCache.create(gpu, scenario.cache));
  const fewest = scenario.fewestParts ?? 1;
  assert(cache.parts.length >= fewest, `${cache.parts.length} parts instead of ${fewest}`);
  poison(cache);
  const { rope } = scenario.cache;
  const transcript = new Transcript(cache, rope);
  const { numHeads } = scenario;
  const { batch, numKvHeads, headDim, valueDim, valuesAre, layout, dtype, window } = cache.spec;
  const calls: Call[] = [];
  const outputs: { step: number; o: Tensor; expected: Float64Array }[] = [];

  for (const [step, action] of scenario.steps.entries()) {
    if (typeof action === "object" && "clear" in action) {
      const sequence = action.clear === "all" ? undefined : action.clear;
      calls.push({ encodeApart: (encoder) => cache.clear(encoder, sequence) });
      transcript.clear(sequence);
      continue;
    }
    if (typeof action === "object" && "rollBack" in action) {
      const { rollBack, sequence } = action;
      const least = transcript.leastLength(sequence);
      const length = Math.max(least, transcript.lengths[sequence] - rollBack);
      calls.push({ encodeApart: (encoder) => cache.truncate(encoder, length, sequence) });
      transcript.truncate(length, sequence);
      continue;
    }
    if (typeof action === "object" && "fork" in action) {
      calls.push({ encode: (target) => cache.fork(target, action.fork) });
      transcript.fork(action.fork);
      continue;
    }
    const lengths = typeof action === "number" ? undefined : action;
    const seqLen = numNewTokens(action);
    const host = (heads: number, tokens: number, size: number) =>
      rounded(random.tensor(shapeOf(layout, { batch, heads, tokens, size })), dtype);
    const tokens = {
      k: host(numKvHeads, seqLen, headDim),
      v: valuesAre === "keys" ? undefined : host(numKvHeads, seqLen, valueDim),
    };
    transcript.append(tokens.k, tokens.v, lengths);
    const k = await tensors.upload(tokens.k, dtype);
    const v = tokens.v && await tensors.upload(tokens.v, dtype);
    calls.push({ encode: (target) => cache.append(target, { k, v, lengths }) });

    const numQueries = transcript.intactQueries(seqLen);
    if (numQueries === 0 || Math.max(...transcript.lengths) === 0) continue;
    const queries = host(numHeads, numQueries, headDim);
    const expected = transcript.attend(queries, window);
    const q = await tensors.upload(queries, dtype);
    const o = await tensors.poisoned(
      shapeOf(layout, { batch, heads: numHeads, tokens: numQueries, size: valueDim }),
      dtype,
    );
    // Either implementation must find the tokens that the other left, so they take turns.
    const impl = step % 2 === 0 ? "fused" : "staged";
    const attention = tensors.keep(
      await Attention.create(gpu, { ...cache.spec, numHeads, seqLen: numQueries, impl }),
    );
    calls.push({
      encode(target) {
        if (rope) cache.ropeQueries(target, q);
        attention.encode(target, { q, cache, o });
      },
    });
    outputs.push({ step, o, expected });
  }

  await run(calls, encoding);
  for (const { step, o, expected } of outputs) {
    const what = `${encoding}: o of step ${step}`;
    assertClose(await o.download(), expected, TOLERANCE[dtype], what);
  }
  await transcript.check();
}

for (const scenario of SCENARIOS) {
  testRandomly(`ring: ${scenario.name}`, async (random) => {
    if (scenario.cache.dtype === "f16" && !await hasF16()) return;
    for (const encoding of scenario.encodings ?? ENCODINGS) await play(random, scenario, encoding);
  });
}

testRandomly("ring: random shapes and steps", async (random) => {
  for (let round = 0; round < 10; round++) {
    await play(random, randomScenario(random), random.pick(ENCODINGS));
  }
});
