// Small decoders of every kind that is trained.
import type { DecoderSpec } from "../../src/model/mod.ts";
import { randomWeights } from "../../src/model/random_weights.ts";
import type { DecoderWeights } from "../../src/model/weights.ts";

const SIZES = {
  ...{ vocabSize: 11, dim: 12, hiddenDim: 20, numHeads: 4, headDim: 6, contextLen: 32 },
  isParallel: false,
} as const;

/** Their shapes. */
export const TRAINED: Readonly<Record<string, DecoderSpec>> = {
  "as Llama, MQA, tied": {
    ...{ ...SIZES, numKvHeads: 1, layers: [{ rope: {} }, { rope: { style: "pairs" } }] },
    ...{ norm: { kind: "rms", eps: 1e-5 }, activation: "silu", isGated: true },
  },
  "windows, GQA, a classifier of its own, scaled embeddings": {
    ...{ ...SIZES, numKvHeads: 2, layers: [{ rope: { base: 100 }, window: 3 }, { rope: {} }] },
    ...{ norm: { kind: "rms", eps: 1e-5 }, activation: "geluTanh", isGated: true },
    ...{ embeddingScale: 3, scale: 0.3 },
  },
  "LayerNorm, ALiBi, MHA, no gate, biases, odd sizes": {
    ...{ ...SIZES, dim: 13, hiddenDim: 17, numKvHeads: 4, headDim: 5, layers: [{}] },
    ...{ norm: { kind: "layer", eps: 1e-5 }, activation: "gelu", isGated: false },
    alibiSlopes: [0.5, 0.25, 0.125, 0.0625],
  },
};

/** Weights of one of them. */
export function trainedWeights(name: string, seed: number): DecoderWeights {
  const has = name.includes("biases")
    ? (weight: string) => weight.endsWith(".bias")
    : (weight: string) => name.includes("classifier") && weight === "classifier.weight";
  return randomWeights(TRAINED[name], { seed, has });
}
