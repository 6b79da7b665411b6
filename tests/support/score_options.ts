import type { AttentionSpec, HostMask, HostTensor, ReferenceOptions } from "../../mod.ts";
import { MASK_EXAMPLES, type ModSizes, SCORE_EXAMPLES } from "./mods.ts";
import { gpuTuning } from "./plan.ts";
import type { Random } from "./random.ts";
import { type Inputs, randomInputs, rounded, swapLayout } from "./run.ts";

/** An attention whose scores are made of whatever a draw came up with. */
export interface Draw {
  spec: AttentionSpec;
  inputs: Inputs;
}

/** Random sizes, most of them awkward. */
export function randomSizes(random: Random): AttentionSpec {
  const numKvHeads = random.integer(1, 3);
  const layout = random.pick(["BSNH", "BNSH"] as const);
  const headDim = random.pick([3, 8]);
  return {
    batch: random.integer(1, 3),
    numKvHeads,
    numHeads: numKvHeads * random.integer(1, 5),
    headDim,
    valueDim: random.pick([headDim, 5]),
    seqLen: random.pick([1, 1, 2, 7, 19]),
    capacity: random.pick([1, 3, 19, 65, 199]),
    layout,
    kvLayout: random.pick([layout, "BNSH"]),
  };
}

const withScoreMod =
  (exampleOf: (typeof SCORE_EXAMPLES)[string]) => (random: Random, draw: Draw) => {
    const { mod, scoreOf, gradOf, tensors } = exampleOf(random, modSizes(draw));
    draw.spec.scoreMod = mod;
    Object.assign(draw.inputs, { scoreMod: scoreOf, scoreModGrad: gradOf });
    Object.assign(draw.inputs.modTensors ??= {}, tensors);
  };

const withMaskMod = (exampleOf: (typeof MASK_EXAMPLES)[string]) => (random: Random, draw: Draw) => {
  const { mod, isSeen, tensors } = exampleOf(random, modSizes(draw));
  draw.spec.maskMod = mod;
  draw.inputs.maskMod = isSeen;
  Object.assign(draw.inputs.modTensors ??= {}, tensors);
};

function modSizes({ spec: { batch = 1, numHeads, capacity } }: Draw): ModSizes {
  return { batch, numHeads, positions: capacity };
}

/** Options that each change scores, or how they are computed, in their own way; a draw has some of them. */
export const OPTIONS: Readonly<Record<string, (random: Random, draw: Draw) => void>> = {
  "not causal": (_, { spec }) => {
    spec.causal = false;
  },
  "top-left": (_, { spec }) => {
    spec.alignment = "top-left";
  },
  "a past": (random, { spec }) => {
    spec.alignment = random.integer(0, spec.capacity + 2);
  },
  window: (random, { spec }) => {
    spec.window = random.integer(1, spec.capacity);
  },
  "window and sinks": (random, { spec }) => {
    Object.assign(spec, { window: random.integer(1, spec.capacity), sinks: random.integer(1, 5) });
  },
  "window to the right": (random, { spec }) => {
    Object.assign(spec, { causal: false, windowRight: random.integer(0, 9) });
  },
  scale: (random, { spec }) => {
    spec.scale = 4 * random.next() - 2;
  },
  softcap: (random, { spec }) => {
    spec.softcap = random.pick([0.5, 3, 50]);
  },
  ALiBi: (random, { spec }) => {
    spec.alibiSlopes = Array.from({ length: spec.numHeads }, () => random.next());
  },
  "sink logits": (random, { spec }) => {
    spec.sinkLogits = Array.from({ length: spec.numHeads }, () => 6 * random.next() - 3);
  },
  lengths: (random, { spec, inputs }) => {
    const { batch = 1, capacity } = spec;
    const data = Array.from({ length: batch }, () => random.integer(0, capacity));
    inputs.lengths = { data, shape: [batch] };
  },
  bias: (random, { spec, inputs }) => {
    inputs.bias = rounded(randomBias(random, randomShape(random, spec)), spec.dtype ?? "f32");
  },
  mask: (random, { spec, inputs }) => {
    inputs.mask = randomMask(random, randomShape(random, spec));
  },
  "mask of the last keys": (random, { spec, inputs }) => {
    spec.maskKeys = "last";
    inputs.mask = randomMask(random, randomShape(random, spec));
  },
  ...mapped(SCORE_EXAMPLES, withScoreMod),
  ...mapped(MASK_EXAMPLES, withMaskMod),
  "tiles of a GPU": (random, { spec }) => {
    spec.tuning = gpuTuning(random);
  },
};

/** Sizes and inputs with some of the options: those that are named, or up to five. */
export function randomDraw(
  random: Random,
  sizes: AttentionSpec = randomSizes(random),
  names: readonly string[] = randomNames(random),
): Draw {
  const draw = { spec: { ...sizes }, inputs: randomInputs(random, sizes) };
  for (const name of names) OPTIONS[name](random, draw);
  return draw;
}

/** What the reference takes: K and V in the layout of q, and no shapes of what the inputs have. */
export function referenceOf({ spec, inputs }: Draw): [Inputs, ReferenceOptions] {
  const { layout = "BSNH", kvLayout = layout } = spec;
  const { bias: _, mask: __, tuning: ___, ...options } = spec;
  if (kvLayout === layout) return [inputs, options];
  return [{ ...inputs, k: swapLayout(inputs.k), v: swapLayout(inputs.v) }, options];
}

/** Booleans, about two thirds of them true; now and then a whole row is false. */
export function randomMask(random: Random, shape: readonly number[]): HostMask {
  const keys = shape.at(-1)!;
  const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
  const data = Array.from({ length: rows }, () => {
    const isEmpty = random.next() < 0.1;
    return Array.from({ length: keys }, () => !isEmpty && random.next() < 0.67);
  }).flat();
  return { data, shape };
}

/** Numbers of any size, some of them minus infinity. */
function randomBias(random: Random, shape: readonly number[]): HostTensor {
  const { data } = random.tensor(shape);
  return { data: data.map((x) => random.next() < 0.2 ? -Infinity : 5 * x), shape };
}

/** A shape of 2 to 4 axes that broadcasts, with as many keys as the context has or fewer. */
function randomShape(random: Random, spec: AttentionSpec): number[] {
  const { batch = 1, numHeads, seqLen = 1, capacity } = spec;
  const axis = (size: number) => random.pick([1, size]);
  const shape = [axis(batch), axis(numHeads), axis(seqLen)];
  const keys = random.pick([capacity, random.integer(1, capacity)]);
  // Where it is one, that must be said.
  if (keys === 1) spec.maskKeys ??= "first";
  return [...shape.slice(random.integer(0, 2)), keys];
}

function mapped<From, To>(
  from: Readonly<Record<string, From>>,
  map: (value: From) => To,
): Record<string, To> {
  return Object.fromEntries(Object.entries(from).map(([name, value]) => [name, map(value)]));
}

function randomNames(random: Random): string[] {
  const names = Object.keys(OPTIONS);
  return Array.from({ length: random.integer(1, 5) }, () => random.pick(names));
}
