import { checkInteger } from "../../base/check.ts";
import { seedFrom } from "../../base/random.ts";
import type { Gpu } from "../../gpu/device.ts";
import { Decoder } from "../decoder.ts";
import type { DecoderSource } from "./decoder_merge.ts";

/** Options of {@linkcode drawCalibration}. */
export interface DrawCalibrationOptions {
  /** The token that begins every text of the model: BOS, or the end of the text before. */
  first: number;
  /** Sequences to draw. */
  sequences: number;
  /** Tokens of each, the first included. The default is the spec's `contextLen`, at most 256. */
  seqLen?: number;
  /** Repeats the texts. The default is 0. */
  seed?: number;
}

const ACTION = "draw calibration texts";
const USUAL_LENGTH = 256;
/** Tokens between two waits for the device. */
const BATCH = 64;

/**
 * Lets a decoder draw texts, each as likely as the model holds it to be: what {@linkcode mergeDecoder} learns from where no
 * text of the model's kind is at hand.
 *
 * @param gpu Where to run.
 * @param decoder The shape of a decoder, and its weights.
 * @param options How many texts, and how long.
 * @returns Token ids of each.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a value is out of range.
 * @throws {GpuWorkError} If the GPU refused some work.
 *
 * @example Two texts of a model of random weights
 * ```ts
 * import { Gpu } from "@onehead/attention";
 * import { type DecoderSpec, drawCalibration, randomWeights } from "@onehead/attention/decoder";
 *
 * const spec: DecoderSpec = {
 *   ...{ vocabSize: 100, dim: 32, hiddenDim: 64, numHeads: 4, numKvHeads: 2, headDim: 8, contextLen: 64 },
 *   layers: [{ rope: {} }],
 *   norm: { kind: "rms", eps: 1e-5 },
 *   ...{ activation: "silu", isGated: true, isParallel: false },
 * };
 * const gpu = await Gpu.open();
 * const options = { first: 1, sequences: 2, seqLen: 8 };
 * const texts = await drawCalibration(gpu, { spec, weights: randomWeights(spec) }, options);
 * console.log(texts.map((text) => text.length)); // [8, 8]
 * gpu.destroy();
 * ```
 */
export async function drawCalibration(
  gpu: Gpu,
  { spec, weights }: DecoderSource,
  options: DrawCalibrationOptions,
): Promise<number[][]> {
  const { first, sequences, seqLen = Math.min(spec.contextLen, USUAL_LENGTH), seed = 0 } = options;
  checkInteger(ACTION, "sequences", sequences);
  checkInteger(ACTION, "seqLen", seqLen, 2);
  checkInteger(ACTION, "seed", seed, 0);
  const decoder = await Decoder.create(gpu, spec, weights, { maxTokens: seqLen });
  try {
    const texts: number[][] = [];
    for (let i = 0; i < sequences; i++) {
      decoder.clear();
      await decoder.feed([first]);
      const text = [first];
      const draw = {
        tokens: seqLen - 1,
        temperature: 1,
        seed: seedFrom(`${seed} ${i}`),
        batch: BATCH,
      };
      for await (const drawn of decoder.generate(draw)) text.push(...drawn);
      texts.push(text);
    }
    return texts;
  } finally {
    decoder.destroy();
  }
}
