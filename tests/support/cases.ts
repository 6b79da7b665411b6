import type { AttentionSpec } from "../../mod.ts";

/**
 * Shapes that have a reason to go wrong: lengths around tiles and workgroups (64 invocations own 256 columns), groups and
 * rows that tiles of 8, 4 or 2 do not divide, heads that vectors of 4 do not divide, values wider than 64 lanes, queries
 * before the context, windows of one token and windows longer than everything.
 */
export const CASES: readonly AttentionSpec[] = [
  // One of everything, and rows that see nothing.
  { numHeads: 1, headDim: 1, seqLen: 1, capacity: 1 },
  { numHeads: 4, numKvHeads: 1, headDim: 8, seqLen: 3, capacity: 1 },
  { numHeads: 7, numKvHeads: 1, headDim: 8, seqLen: 19, capacity: 3, batch: 2, layout: "BNSH" },
  { numHeads: 2, numKvHeads: 1, headDim: 8, seqLen: 65, capacity: 19, window: 3 },
  { numHeads: 3, numKvHeads: 1, headDim: 8, seqLen: 19, capacity: 3, causal: false },

  // Decoding: one token.
  { numHeads: 71, numKvHeads: 1, headDim: 64, seqLen: 1, capacity: 19 },
  { numHeads: 71, numKvHeads: 1, headDim: 128, seqLen: 1, capacity: 1177 },
  { numHeads: 8, numKvHeads: 8, headDim: 128, seqLen: 1, capacity: 199, batch: 2 },
  { numHeads: 9, numKvHeads: 3, headDim: 80, seqLen: 1, capacity: 1177, batch: 3, layout: "BNSH" },
  { numHeads: 2, numKvHeads: 1, headDim: 96, seqLen: 1, capacity: 257, kvLayout: "BNSH" },
  { numHeads: 1, headDim: 512, seqLen: 1, capacity: 65 },
  { numHeads: 3, numKvHeads: 1, headDim: 256, seqLen: 1, capacity: 3 },

  // Prefill: all tokens.
  { numHeads: 1, headDim: 7, seqLen: 3, capacity: 3 },
  { numHeads: 9, numKvHeads: 3, headDim: 80, seqLen: 64, capacity: 64 },
  { numHeads: 8, numKvHeads: 8, headDim: 96, seqLen: 65, capacity: 65, layout: "BNSH" },
  { numHeads: 4, numKvHeads: 1, headDim: 64, seqLen: 199, capacity: 199, batch: 2 },
  { numHeads: 1, headDim: 8, seqLen: 1177, capacity: 1177 },
  { numHeads: 9, numKvHeads: 3, headDim: 33, seqLen: 19, capacity: 19, causal: false, batch: 3 },

  // Some new tokens after a history.
  { numHeads: 7, numKvHeads: 1, headDim: 33, valueDim: 8, seqLen: 19, capacity: 63, batch: 2 },
  { numHeads: 71, numKvHeads: 1, headDim: 1, seqLen: 19, capacity: 199 },
  { numHeads: 9, numKvHeads: 3, headDim: 128, valueDim: 7, seqLen: 63, capacity: 1177 },
  { numHeads: 8, numKvHeads: 8, headDim: 256, seqLen: 3, capacity: 1177, layout: "BNSH" },
  { numHeads: 1, headDim: 512, seqLen: 64, capacity: 65, causal: false },
  {
    ...{ numHeads: 5, numKvHeads: 5, headDim: 64, seqLen: 2, capacity: 63, batch: 3 },
    ...{ layout: "BSNH", kvLayout: "BNSH" },
  },
  {
    ...{ numHeads: 6, numKvHeads: 2, headDim: 8, seqLen: 3, capacity: 64, batch: 2 },
    ...{ layout: "BNSH", kvLayout: "BSNH" },
  },

  // Values wider or narrower than keys, up to several blocks of lanes.
  { numHeads: 4, numKvHeads: 1, headDim: 1, valueDim: 256, seqLen: 3, capacity: 65 },
  { numHeads: 4, numKvHeads: 2, headDim: 8, valueDim: 512, seqLen: 1, capacity: 63, batch: 2 },
  { numHeads: 7, numKvHeads: 7, headDim: 64, valueDim: 131, seqLen: 19, capacity: 64 },
  { numHeads: 3, numKvHeads: 1, headDim: 256, valueDim: 1, seqLen: 3, capacity: 199 },

  // Windows: one token, within a column block, across them, everything.
  { numHeads: 4, numKvHeads: 1, headDim: 8, seqLen: 19, capacity: 64, window: 1 },
  { numHeads: 4, numKvHeads: 1, headDim: 64, seqLen: 19, capacity: 1177, window: 65 },
  { numHeads: 2, numKvHeads: 1, headDim: 8, seqLen: 199, capacity: 1177, window: 300 },
  { numHeads: 9, numKvHeads: 3, headDim: 7, seqLen: 63, capacity: 65, window: 64, batch: 2 },
  { numHeads: 1, headDim: 64, seqLen: 3, capacity: 63, window: 1000 },
  { numHeads: 4, numKvHeads: 1, headDim: 80, seqLen: 63, capacity: 64, window: 3, causal: false },

  // Sinks before the window: within a column block, across them, more than there are tokens, and queries before them.
  { numHeads: 4, numKvHeads: 1, headDim: 8, seqLen: 19, capacity: 64, window: 1, sinks: 1 },
  { numHeads: 2, numKvHeads: 1, headDim: 8, seqLen: 199, capacity: 199, window: 20, sinks: 5 },
  { numHeads: 4, numKvHeads: 2, headDim: 64, seqLen: 3, capacity: 1177, window: 65, sinks: 300 },
  { numHeads: 2, numKvHeads: 1, headDim: 7, seqLen: 19, capacity: 65, window: 3, sinks: 1000 },
  { numHeads: 3, numKvHeads: 1, headDim: 8, seqLen: 19, capacity: 3, window: 1, sinks: 2 },
  {
    ...{ numHeads: 4, numKvHeads: 1, headDim: 80, seqLen: 700, capacity: 700, window: 33 },
    ...{ sinks: 4, causal: false, layout: "BNSH" },
  },

  // Scales.
  { numHeads: 8, numKvHeads: 8, headDim: 8, seqLen: 3, capacity: 65, scale: 0.75 },
  { numHeads: 7, numKvHeads: 1, headDim: 33, seqLen: 3, capacity: 65, scale: -0.3 },
  { numHeads: 4, numKvHeads: 1, headDim: 64, seqLen: 3, capacity: 65, scale: 0 },

  // Half the bytes, the same sums.
  { dtype: "f16", numHeads: 1, headDim: 1, seqLen: 1, capacity: 1 },
  { dtype: "f16", numHeads: 7, numKvHeads: 1, headDim: 8, seqLen: 19, capacity: 3, batch: 2 },
  { dtype: "f16", numHeads: 71, numKvHeads: 1, headDim: 128, seqLen: 1, capacity: 1177 },
  { dtype: "f16", numHeads: 9, numKvHeads: 3, headDim: 33, seqLen: 3, capacity: 65, batch: 3 },
  { dtype: "f16", numHeads: 8, numKvHeads: 8, headDim: 64, seqLen: 65, capacity: 199, window: 64 },
  { dtype: "f16", numHeads: 2, headDim: 7, valueDim: 131, seqLen: 3, capacity: 63, causal: false },
  {
    ...{ dtype: "f16", numHeads: 4, numKvHeads: 1, headDim: 256, valueDim: 96, seqLen: 19 },
    ...{ capacity: 64, batch: 2, layout: "BNSH", kvLayout: "BSNH" },
  },

  // Keys and values in other types than queries; sizes that words of 4 and of 8 integers do not divide.
  { kvDtype: "f16", numHeads: 4, numKvHeads: 2, headDim: 8, seqLen: 3, capacity: 65 },
  { kvDtype: "int8", numHeads: 71, numKvHeads: 1, headDim: 64, seqLen: 1, capacity: 1177 },
  { kvDtype: "int4", numHeads: 71, numKvHeads: 1, headDim: 64, seqLen: 1, capacity: 1177 },
  { kvDtype: "int8", numHeads: 4, numKvHeads: 2, headDim: 12, seqLen: 19, capacity: 65, batch: 2 },
  { kvDtype: "int4", numHeads: 4, numKvHeads: 2, headDim: 12, seqLen: 19, capacity: 65, batch: 2 },
  {
    kvDtype: "int8",
    numHeads: 2,
    numKvHeads: 1,
    headDim: 33,
    valueDim: 7,
    seqLen: 3,
    capacity: 65,
  },
  {
    kvDtype: "int4",
    numHeads: 2,
    numKvHeads: 1,
    headDim: 33,
    valueDim: 7,
    seqLen: 3,
    capacity: 65,
  },
  {
    ...{ dtype: "f16", kvDtype: "int8", numHeads: 6, numKvHeads: 2, headDim: 20, valueDim: 36 },
    ...{ seqLen: 65, capacity: 199, window: 20, sinks: 3, layout: "BNSH", kvLayout: "BSNH" },
  },
  { dtype: "f16", kvDtype: "int4", numHeads: 3, headDim: 1, seqLen: 2, capacity: 63, scale: -1 },

  // Values that are the first elements of keys: all of them, few, not by fours, and the sizes of latent attention.
  { valuesAre: "keys", numHeads: 7, numKvHeads: 1, headDim: 8, seqLen: 19, capacity: 65 },
  { valuesAre: "keys", numHeads: 5, headDim: 33, valueDim: 7, seqLen: 3, capacity: 65, batch: 2 },
  { valuesAre: "keys", numHeads: 4, numKvHeads: 2, headDim: 12, valueDim: 6, capacity: 199 },
  {
    ...{ valuesAre: "keys", numHeads: 16, numKvHeads: 1, headDim: 576, valueDim: 512 },
    ...{ seqLen: 1, capacity: 257 },
  },
  {
    ...{ valuesAre: "keys", numHeads: 3, numKvHeads: 1, headDim: 1024, valueDim: 1000 },
    ...{ seqLen: 2, capacity: 63, dtype: "f16" },
  },
  {
    ...{ valuesAre: "keys", kvDtype: "int8", numHeads: 6, numKvHeads: 2, headDim: 20 },
    ...{ valueDim: 16, seqLen: 19, capacity: 199, window: 20, sinks: 3, layout: "BNSH" },
  },
  {
    ...{ valuesAre: "keys", kvDtype: "int4", numHeads: 4, numKvHeads: 1, headDim: 72 },
    ...{ valueDim: 64, seqLen: 1, capacity: 199, dtype: "f16", batch: 2 },
  },
  { valuesAre: "keys", kvDtype: "int4", numHeads: 2, headDim: 33, valueDim: 13, capacity: 63 },
];

/** A case in one line, as the name of its test. */
export function caseName(spec: AttentionSpec): string {
  const { numHeads, numKvHeads = numHeads, seqLen = 1, capacity, dtype = "f32", ...others } = spec;
  const rest = Object.entries(others).map(([name, value]) => ` ${name}=${value}`).join("");
  return `${dtype}, ${numHeads} over ${numKvHeads} heads, ${seqLen} of ${capacity} tokens,${rest}`;
}
