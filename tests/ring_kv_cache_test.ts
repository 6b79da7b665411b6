// The ring against a transcript of all that was ever appended, step by step and slot by slot.
import { Attention, RingKvCache, type RingKvCacheOptions, type Tensor } from "../mod.ts";
import { assertClose, TOLERANCE } from "./_compare.ts";
import { hasF16, sharedGpu } from "./_gpu.ts";
import { type Random, testRandomly } from "./_random.ts";
import { rounded, shapeOf, submit, Tensors } from "./_run.ts";
import { poison, Transcript } from "./_transcript.ts";

/** Append so many tokens and attend with as many queries; or forget a sequence, or all. */
type Step = number | { clear: number | "all" };

interface Scenario {
  name: string;
  numHeads: number;
  cache: RingKvCacheOptions;
  steps: readonly Step[];
  /** The default is every one; large scenarios do with one. */
  encodings?: readonly Encoding[];
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

function randomScenario(random: Random): Scenario {
  const window = random.integer(1, 20);
  const maxSeqLen = random.integer(1, 10);
  const numKvHeads = random.integer(1, 3);
  const sinks = random.pick([0, 1, 5]);
  const batch = random.integer(1, 3);
  const steps = Array.from(
    { length: 12 },
    (): Step =>
      random.next() < 0.2
        ? { clear: random.next() < 0.3 ? "all" : random.integer(0, batch - 1) }
        : random.integer(1, maxSeqLen),
  );
  return {
    name: "random",
    numHeads: numKvHeads * random.integer(1, 5),
    cache: {
      ...{ batch, numKvHeads, headDim: 8, valueDim: random.pick([7, 8]), window, maxSeqLen, sinks },
      capacity: sinks + window + maxSeqLen - 1 + random.integer(0, 5),
      rope: random.pick([undefined, {}, { style: "pairs" }]),
      layout: random.pick(["BSNH", "BNSH"]),
    },
    steps,
  };
}

/** A pass cannot clear, so that one pass goes from clear to clear. */
type Call =
  | { encode(target: GPUCommandEncoder | GPUComputePassEncoder): void }
  | { clear(encoder: GPUCommandEncoder): void };

async function run(calls: readonly Call[], encoding: Encoding): Promise<void> {
  const encode = (encoder: GPUCommandEncoder, call: Call) =>
    "clear" in call ? call.clear(encoder) : call.encode(encoder);
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
          if ("clear" in call) {
            pass?.end();
            pass = undefined;
            call.clear(encoder);
          } else {
            call.encode(pass ??= encoder.beginComputePass());
          }
        }
        pass?.end();
      });
  }
}

async function play(random: Random, scenario: Scenario, encoding: Encoding): Promise<void> {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const cache = tensors.keep(await RingKvCache.create(gpu, scenario.cache));
  poison(cache);
  const { rope } = scenario.cache;
  const transcript = new Transcript(cache, rope);
  const { numHeads } = scenario;
  const { batch, numKvHeads, headDim, valueDim, layout, dtype, window } = cache.spec;
  const calls: Call[] = [];
  const outputs: { step: number; o: Tensor; expected: Float64Array }[] = [];

  for (const [step, action] of scenario.steps.entries()) {
    if (typeof action !== "number") {
      const sequence = action.clear === "all" ? undefined : action.clear;
      calls.push({ clear: (encoder) => cache.clear(encoder, sequence) });
      transcript.clear(sequence);
      continue;
    }
    const host = (heads: number, size: number) =>
      rounded(random.tensor(shapeOf(layout, { batch, heads, tokens: action, size })), dtype);
    const tokens = { k: host(numKvHeads, headDim), v: host(numKvHeads, valueDim) };
    const queries = host(numHeads, headDim);
    transcript.append(tokens.k, tokens.v);
    const expected = transcript.attend(queries, window);

    const k = await tensors.upload(tokens.k, dtype);
    const v = await tensors.upload(tokens.v, dtype);
    const q = await tensors.upload(queries, dtype);
    const o = await tensors.poisoned(
      shapeOf(layout, { batch, heads: numHeads, tokens: action, size: valueDim }),
      dtype,
    );
    // Either implementation must find the tokens that the other left, so they take turns.
    const impl = step % 2 === 0 ? "fused" : "staged";
    const attention = tensors.keep(
      await Attention.create(gpu, { ...cache.spec, numHeads, seqLen: action, impl }),
    );
    calls.push({
      encode(target) {
        cache.append(target, { k, v });
        if (rope) cache.rotate(target, q);
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
