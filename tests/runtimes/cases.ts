/** What every runtime must compute: each kernel, small, as a software driver takes long to compile. */
import type {
  Arithmetic,
  Dtype,
  Implementation,
  KvDtype,
  RingKvCacheOptions,
  RopeOptions,
  ScoreSpec,
  Tiling,
  Tuning,
} from "@onehead/attention";

/** One attention, over contiguous keys and values, over a ring, or over parts that are merged. */
export interface RuntimeCase {
  name: string;
  batch?: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
  valueDim?: number;
  /** Queries: the last so many tokens. */
  seqLen: number;
  contextLen: number;
  dtype?: Dtype;
  kvDtype?: KvDtype;
  impl?: Implementation;
  arithmetic?: Arithmetic;
  score?: Omit<ScoreSpec, "bias" | "mask">;
  tuning?: Tuning;
  sinks?: number;
  /** Whether there is a mask, random. */
  masked?: boolean;
  /** Through a ring: what is appended at a time, up to the context. The last append is of the queries' tokens. */
  ring?: {
    appends: readonly number[];
    options: Pick<RingKvCacheOptions, "capacity" | "window" | "sinks" | "maxSeqLen">;
    rope?: RopeOptions;
    /** Whether the sequence is copied over a second one, which attends too. */
    forked?: boolean;
  };
  /** Lengths of the parts of the context that are attended to one by one and merged. */
  parts?: readonly number[];
}

/** What GPUs are planned, whatever the device: rows over several groups, values in strips. */
function tuned(
  tiling: Pick<Tiling, "keys" | "lanes" | "partners" | "keyChunk" | "columns">,
): Tuning {
  const rows = { leastRows: 1, maxRows: 2, maxRowGroups: 2, maxPairs: 32, workgroup: 32 };
  const tilings = [{ ...rows, ...tiling, sharers: 0, fillingWorkgroups: 4 }];
  return { schema: 3, adapter: "any", tilings };
}

/** Where products are computed on matrix units: rows, heads and contexts that fill blocks, and that do not. */
const ON_MATRIX_UNITS: readonly RuntimeCase[] = [
  {
    ...{ name: "MQA, decode", numHeads: 8, numKvHeads: 1, headDim: 64 },
    ...{ seqLen: 1, contextLen: 64 },
  },
  {
    ...{ name: "MHA, decode in slices", numHeads: 2, numKvHeads: 2, headDim: 128 },
    ...{ seqLen: 1, contextLen: 199 },
  },
  {
    ...{ name: "GQA, prefill", numHeads: 6, numKvHeads: 2, headDim: 40 },
    ...{ seqLen: 19, contextLen: 37, batch: 2 },
  },
  {
    ...{ name: "MQA, odd sizes, many rows", numHeads: 13, numKvHeads: 1, headDim: 33, valueDim: 7 },
    ...{ seqLen: 11, contextLen: 45 },
  },
  {
    ...{ name: "MQA, wide values of f16", numHeads: 4, numKvHeads: 1, headDim: 16, valueDim: 72 },
    ...{ seqLen: 2, contextLen: 40, kvDtype: "f16" },
  },
  {
    ...{ name: "MQA, window and sinks", numHeads: 4, numKvHeads: 1, headDim: 16 },
    ...{ seqLen: 19, contextLen: 64, sinks: 2, score: { window: 7 } },
  },
  {
    ...{ name: "MHA, not causal, masked", numHeads: 2, numKvHeads: 2, headDim: 24 },
    ...{ seqLen: 5, contextLen: 65, masked: true, score: { causal: false } },
  },
  {
    ...{ name: "one head, rows that see nothing", numHeads: 1, numKvHeads: 1, headDim: 16 },
    ...{ seqLen: 7, contextLen: 5 },
  },
  {
    ...{ name: "MQA, wrapped ring of int8", numHeads: 4, numKvHeads: 1, headDim: 64, seqLen: 2 },
    ...{ contextLen: 37, kvDtype: "int8" },
    ring: {
      appends: [9, 1, 9, 7, 9, 2],
      options: { capacity: 24, window: 14, sinks: 1, maxSeqLen: 9 },
    },
  },
];

export const CASES: readonly RuntimeCase[] = [
  {
    ...{ name: "MHA, decode", numHeads: 4, numKvHeads: 4, headDim: 64 },
    ...{ seqLen: 1, contextLen: 33 },
  },
  {
    ...{ name: "GQA, prefill", numHeads: 6, numKvHeads: 2, headDim: 40 },
    ...{ seqLen: 19, contextLen: 19, batch: 2 },
  },
  {
    ...{ name: "MQA, decode in slices", numHeads: 7, numKvHeads: 1, headDim: 64 },
    ...{ seqLen: 1, contextLen: 199 },
  },
  {
    ...{ name: "GQA, keys shared by neighbours", numHeads: 6, numKvHeads: 2, headDim: 64 },
    ...{ seqLen: 1, contextLen: 199 },
    tuning: tuned({ keys: 1, lanes: 32, partners: 4, keyChunk: 0, columns: 4 }),
  },
  {
    ...{ name: "GQA, keys by workgroup memory", numHeads: 6, numKvHeads: 2, headDim: 40 },
    ...{ seqLen: 19, contextLen: 71 },
    tuning: tuned({ keys: 2, lanes: 16, partners: 1, keyChunk: 4, columns: 2 }),
  },
  {
    ...{ name: "MQA, odd sizes", numHeads: 5, numKvHeads: 1, headDim: 33, valueDim: 7 },
    ...{ seqLen: 19, contextLen: 63, batch: 2 },
  },
  {
    ...{ name: "MQA, not causal, masked", numHeads: 4, numKvHeads: 1, headDim: 8 },
    ...{ seqLen: 5, contextLen: 65, masked: true, score: { causal: false } },
  },
  {
    ...{ name: "MQA, window and sinks", numHeads: 4, numKvHeads: 1, headDim: 16 },
    ...{ seqLen: 19, contextLen: 64, sinks: 2, score: { window: 7 } },
  },
  {
    ...{ name: "GQA, softcap and ALiBi", numHeads: 4, numKvHeads: 2, headDim: 16 },
    ...{
      seqLen: 3,
      contextLen: 65,
      score: { softcap: 2, alibiSlopes: [0.5, 0.25, 0.125, 0.0625] },
    },
  },
  {
    ...{ name: "MQA, staged", impl: "staged", numHeads: 3, numKvHeads: 1, headDim: 24 },
    ...{ seqLen: 3, contextLen: 65 },
  },
  {
    ...{ name: "MQA, int4 keys and values", numHeads: 4, numKvHeads: 1, headDim: 20 },
    ...{ seqLen: 3, contextLen: 65, kvDtype: "int4" },
  },
  {
    ...{ name: "MQA, parts merged", numHeads: 4, numKvHeads: 1, headDim: 16 },
    ...{ seqLen: 1, contextLen: 65, parts: [40, 25] },
  },
  {
    ...{ name: "MQA, wrapped ring, forked", numHeads: 4, numKvHeads: 1, headDim: 16, seqLen: 2 },
    ...{ contextLen: 37 },
    ring: {
      appends: [9, 1, 9, 7, 9, 2],
      options: { capacity: 24, window: 14, sinks: 1, maxSeqLen: 9 },
      forked: true,
    },
  },
  {
    ...{ name: "GQA, wrapped ring of int8", numHeads: 4, numKvHeads: 2, headDim: 16, seqLen: 1 },
    ...{ contextLen: 24, kvDtype: "int8" },
    ring: { appends: [10, 13, 1], options: { capacity: 29, window: 17, maxSeqLen: 13 } },
  },
  {
    ...{ name: "MQA, ring with rotary positions", numHeads: 4, numKvHeads: 1, headDim: 16 },
    ...{ seqLen: 3, contextLen: 20 },
    ring: { appends: [17, 3], options: { capacity: 32 }, rope: { dims: 12 } },
  },
  {
    ...{ name: "MQA in f16", dtype: "f16", numHeads: 8, numKvHeads: 1, headDim: 64 },
    ...{ seqLen: 1, contextLen: 65 },
  },
  {
    ...{ name: "MQA, wrapped ring of f16", dtype: "f16", numHeads: 4, numKvHeads: 1, headDim: 16 },
    ...{ seqLen: 1, contextLen: 21 },
    ring: { appends: [12, 8, 1], options: { capacity: 16, window: 9, maxSeqLen: 8 } },
  },
  ...ON_MATRIX_UNITS.map((asked): RuntimeCase => ({
    ...asked,
    ...{ name: `matrix units: ${asked.name}`, arithmetic: "matrix", impl: "fused" },
  })),
];
