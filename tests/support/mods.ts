import type { HostMask, HostTensor, MaskMod, ScoreAt, ScoreMod } from "../../mod.ts";
import type { Random } from "./random.ts";

/** Sizes that functions of scores depend on: positions are below `positions`, or below 0. */
export interface ModSizes {
  batch: number;
  numHeads: number;
  positions: number;
}

/** Tensors of functions on the host. */
export type HostModTensors = Record<string, HostTensor | HostMask>;

/** A function that changes scores, in WGSL and in JavaScript. */
export interface ScoreExample {
  mod: ScoreMod;
  scoreOf: (score: number, at: ScoreAt) => number;
  /** The derivative of `scoreOf` by the score. */
  gradOf: (score: number, at: ScoreAt) => number;
  tensors?: HostModTensors;
}

/** A function that masks keys, in WGSL and in JavaScript. */
export interface MaskExample {
  mod: MaskMod;
  isSeen: (at: ScoreAt) => boolean;
  tensors?: HostModTensors;
}

const one = () => 1;
const shapeOf = ({ shape }: HostTensor | HostMask) => shape;
const clamp = (value: number, most: number) => Math.min(Math.max(value, 0), most);

/** Functions that change scores. */
export const SCORE_EXAMPLES: Readonly<
  Record<string, (random: Random, sizes: ModSizes) => ScoreExample>
> = {
  "relative position bias from a table": (random, { numHeads }) => {
    const reach = random.integer(1, 30);
    const table = random.tensor([numHeads, 2 * reach + 1]);
    const wgsl = `
      // A bias for each head and distance, the farthest ones alike.
      fn relativeBias(score: f32, at: ScoreAt) -> f32 {
        let column = clamp(at.key - at.query, -reach, reach) + reach;
        return score + table[i32(at.head) * (2 * reach + 1) + column];
      }

      fn one(score: f32, at: ScoreAt) -> f32 { return 1.0; }`;
    return {
      mod: {
        ...{
          name: "relativeBias",
          grad: "one",
          wgsl,
          tensors: { table: { shape: shapeOf(table) } },
        },
        scalars: { reach: { type: "i32", value: reach } },
      },
      scoreOf: (score, { head, query, key }) =>
        score + table.data[head * (2 * reach + 1) + clamp(key - query + reach, 2 * reach)],
      gradOf: one,
      tensors: { table },
    };
  },
  "T5 buckets": (random, { numHeads }) => {
    const [half, most] = [random.pick([4, 8, 16]), random.pick([64, 128])];
    const table = random.tensor([numHeads, 2 * half]);
    const wgsl = `
      const EXACT = 0.5;

      // Distances have buckets of their own up to half of them, then ones that grow (T5: Raffel et al. 2020,
      // arXiv 1910.10683). A distance on a boundary stays above it, whatever the device makes of its logarithm.
      fn bucketOf(distance: f32) -> i32 {
        let exact = EXACT * f32(half);
        let beyond = log(distance / exact) / log(most / exact) * (f32(half) - exact) + exact + 0.001;
        return i32(select(min(beyond, f32(half - 1)), distance, distance < exact));
      }

      fn t5(score: f32, at: ScoreAt) -> f32 {
        let later = select(0, half, at.key > at.query);
        return score + buckets[i32(at.head) * 2 * half + later + bucketOf(f32(abs(at.key - at.query)))];
      }

      fn one(score: f32, at: ScoreAt) -> f32 { return 1.0; }`;
    const bucketOf = (distance: number) => {
      const exact = half / 2;
      const beyond = Math.log(distance / exact) / Math.log(most / exact) * (half - exact) + exact;
      return distance < exact ? distance : Math.floor(Math.min(beyond + 0.001, half - 1));
    };
    return {
      mod: {
        ...{ name: "t5", grad: "one", wgsl, tensors: { buckets: { shape: shapeOf(table) } } },
        scalars: { half: { type: "i32", value: half }, most },
      },
      scoreOf: (score, { head, query, key }) => {
        const later = key > query ? half : 0;
        return score + table.data[head * 2 * half + later + bucketOf(Math.abs(key - query))];
      },
      gradOf: one,
      tensors: { buckets: table },
    };
  },
  "softcap by head": (random) => {
    const [least, growth] = [1 + random.next(), random.next()];
    const wgsl = `
      fn capOf(head: u32) -> f32 { return least + growth * f32(head); }

      // By an exponential, as WGSL's own tanh may be off by 1e-5.
      fn pressed(x: f32) -> f32 {
        let decay = exp(-2.0 * abs(x));
        return sign(x) * (1.0 - decay) / (1.0 + decay);
      }

      fn capped(score: f32, at: ScoreAt) -> f32 {
        return capOf(at.head) * pressed(score / capOf(at.head));
      }

      fn cappedSlope(score: f32, at: ScoreAt) -> f32 {
        let x = pressed(score / capOf(at.head));
        return 1.0 - x * x;
      }`;
    const capOf = (head: number) => least + growth * head;
    return {
      mod: { name: "capped", wgsl, grad: "cappedSlope", scalars: { least, growth } },
      scoreOf: (score, { head }) => capOf(head) * Math.tanh(score / capOf(head)),
      gradOf: (score, { head }) => 1 - Math.tanh(score / capOf(head)) ** 2,
    };
  },
};

/** Functions that mask keys. */
export const MASK_EXAMPLES: Readonly<
  Record<string, (random: Random, sizes: ModSizes) => MaskExample>
> = {
  "documents in one sequence": (random, { batch, positions }) => {
    const data = Array.from({ length: batch }, () => {
      let document = 0;
      return Array.from({ length: positions }, () => document += Number(random.next() < 0.1));
    }).flat();
    const documents = { data, shape: [batch, positions] };
    const wgsl = `
      fn documentOf(batch: u32, position: i32) -> u32 {
        return documents[i32(batch) * positions + clamp(position, 0, positions - 1)];
      }

      fn sameDocument(at: ScoreAt) -> bool {
        return documentOf(at.batch, at.query) == documentOf(at.batch, at.key);
      }`;
    const documentOf = (batch: number, position: number) =>
      data[batch * positions + clamp(position, positions - 1)];
    return {
      mod: {
        ...{ name: "sameDocument", wgsl },
        tensors: { documents: { shape: documents.shape, dtype: "u32" } },
        scalars: { positions: { type: "i32", value: positions } },
      },
      isSeen: ({ batch, query, key }) => documentOf(batch, query) === documentOf(batch, key),
      tensors: { documents },
    };
  },
  "prefix-LM": (random, { batch, positions }) => {
    const data = Array.from({ length: batch }, () => random.integer(0, positions));
    const prefixes = { data, shape: [batch] };
    const wgsl = `
      fn isInPrefixOrPast(at: ScoreAt) -> bool {
        return at.key <= at.query || at.key < i32(prefixes[at.batch]);
      }`;
    return {
      mod: {
        ...{ name: "isInPrefixOrPast", wgsl },
        tensors: { prefixes: { shape: prefixes.shape, dtype: "u32" } },
      },
      isSeen: ({ batch, query, key }) => key <= query || key < data[batch],
      tensors: { prefixes },
    };
  },
  "dilated windows": (random) => {
    const [span, stride] = [random.integer(1, 60), random.integer(1, 5)];
    const wgsl = `
      fn dilated(at: ScoreAt) -> bool {
        let distance = abs(at.query - at.key);
        return distance <= span && distance % stride == 0;
      }`;
    return {
      mod: {
        ...{ name: "dilated", wgsl },
        scalars: { span: { type: "i32", value: span }, stride: { type: "i32", value: stride } },
      },
      isSeen: ({ query, key }) =>
        Math.abs(query - key) <= span && Math.abs(query - key) % stride === 0,
    };
  },
  "a bitmap": (random, { numHeads, positions }) => {
    const shape = [numHeads, positions, positions];
    const data = Array.from({ length: numHeads * positions ** 2 }, () => random.next() < 0.6);
    const bitmap = { data, shape };
    const wgsl = `
      fn isInBitmap(at: ScoreAt) -> bool {
        let row = i32(at.head) * positions + clamp(at.query, 0, positions - 1);
        let bit = u32(row * positions + at.key);
        return ((bitmap[bit / 32u] >> (bit % 32u)) & 1u) == 1u;
      }`;
    return {
      mod: {
        ...{ name: "isInBitmap", wgsl, tensors: { bitmap: { shape, dtype: "bool" } } },
        scalars: { positions: { type: "i32", value: positions } },
      },
      isSeen: ({ head, query, key }) =>
        data[(head * positions + clamp(query, positions - 1)) * positions + key],
      tensors: { bitmap },
    };
  },
};
