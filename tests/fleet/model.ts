// The model of the fleet, of random weights, and the sizes of its workers.
import type { DecoderSpec } from "../../src/model/spec.ts";

export const MODEL: DecoderSpec = {
  ...{ vocabSize: 512, dim: 64, hiddenDim: 192, numHeads: 8, numKvHeads: 1, headDim: 8 },
  contextLen: 256,
  layers: Array.from({ length: 4 }, () => ({ rope: {} })),
  ...{ norm: { kind: "rms", eps: 1e-5 }, activation: "silu", isGated: true, isParallel: false },
};

/** The batch of each worker. */
export const BATCH = { maxSequences: 8, maxStepTokens: 64, pageSize: 16, stepsPerRead: 4 };
/** Sequences that wait at a worker that takes no more. */
export const MAX_QUEUE = 1;
/** The first word of all subjects, and the name of the model. */
export const FLEET = "fleet";
/** Where workers tell of their steps. */
export const STEPS = `${FLEET}.steps`;
