import { checkFunction, checkInteger, checkObjects, sentence } from "../../base/check.ts";
import { checkSpec, checkWeights } from "../check_spec.ts";
import { seedFrom } from "../../base/random.ts";
import { checkGpu, type Gpu } from "../../gpu/device.ts";
import { checkTokens } from "../check_tokens.ts";
import { Batch } from "../batch.ts";
import { drawAmong, drawText } from "../draw_text.ts";
import type { DecoderSource } from "../decoder_source.ts";

/** Options of {@linkcode drawCalibration}. */
export interface DrawCalibrationOptions {
  /** The tokens that begin every text of the model: BOS, or the end of the text before. */
  begin: readonly number[];
  /** The tokens of which each ends a text: behind one, the next text begins. The default is none. */
  ends?: readonly number[];
  /** Sequences to draw. */
  sequences: number;
  /** Tokens of each, those that begin and end texts included. The default is the spec's `contextLen`, at most 256. */
  seqLen?: number;
  /** Repeats the texts. The default is 0. */
  seed?: number;
  /** Told after each sequence how many are drawn. */
  progress?: (done: number, of: number) => void;
}

const ACTION = "draw calibration texts";
const USUAL_LENGTH = 256;
/** Sequences that are drawn together. */
const MOST_AT_ONCE = 32;

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
 * const options = { begin: [1], sequences: 2, seqLen: 8 };
 * const texts = await drawCalibration(gpu, { spec, weights: randomWeights(spec) }, options);
 * console.log(texts.map((text) => text.length)); // [8, 8]
 * gpu.destroy();
 * ```
 */
export async function drawCalibration(
  gpu: Gpu,
  decoder: DecoderSource,
  options: DrawCalibrationOptions,
): Promise<number[][]> {
  checkGpu(ACTION, gpu);
  checkObjects(ACTION, { decoder, options });
  checkSpec(ACTION, decoder.spec);
  checkWeights(ACTION, decoder.weights);
  const { spec } = decoder;
  const {
    begin,
    ends = [],
    sequences,
    seqLen = Math.min(spec.contextLen, USUAL_LENGTH),
    seed = 0,
  } = options;
  const { progress } = options;
  for (const tokens of [begin, ends]) checkTokens(ACTION, tokens, spec.vocabSize);
  if (begin.length === 0) {
    throw new RangeError(sentence(ACTION, "there must be a token that begins a text", { begin }));
  }
  checkInteger(ACTION, "sequences", sequences);
  checkInteger(ACTION, "seqLen", seqLen, 2);
  checkInteger(ACTION, "seed", seed, 0);
  if (progress !== undefined) checkFunction(ACTION, "progress", progress);
  const maxSequences = Math.min(sequences, MOST_AT_ONCE);
  const sizes = { maxTokens: seqLen, maxSequences };
  const batch = await Batch.create(gpu, spec, decoder.weights, sizes);
  try {
    const texts: number[][] = [];
    let [next, done] = [0, 0];
    const draw = async () => {
      while (next < sequences) {
        const i = next++;
        const one = { tokens: seqLen, begin, ends, seed: seedFrom(`${seed} ${i}`) };
        texts[i] = await drawText(drawAmong(batch), one);
        progress?.(++done, sequences);
      }
    };
    await Promise.all(Array.from({ length: maxSequences }, draw));
    return texts;
  } finally {
    batch.destroy();
  }
}
