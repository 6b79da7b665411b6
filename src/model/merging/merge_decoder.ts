import { checkFunction, checkInteger, checkObjects, sentence } from "../../base/check.ts";
import { checkGpu, type Gpu } from "../../gpu/device.ts";
import { Owned } from "../../gpu/owned.ts";
import { checkFewerHeads } from "../../layer/pool_kv_heads.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { checkTokens } from "../check_tokens.ts";
import { checkSpec, checkWeights } from "../check_spec.ts";
import type { DecoderSpec } from "../spec.ts";
import type { DecoderWeights } from "../weights.ts";
import type { DecoderSource } from "../decoder_source.ts";
import { DecoderMerge, type LayerMergeReport } from "./decoder_merge.ts";
import { embedSequences } from "./embed_sequences.ts";

/** Options of {@linkcode mergeDecoder}. */
export interface MergeDecoderOptions {
  /** Key/value heads to have: a divisor of those that the decoder has; 1 gives multi-query attention. */
  kvHeads: number;
  /**
   * Token sequences, all of one length, such as the model is made for: texts of its kind, or what it draws itself
   * ({@linkcode drawCalibration}).
   */
  calibration: readonly (readonly number[])[];
  /** How often each layer is refitted at most: 0 leaves it as it is merged in closed form. The default is 8. */
  rounds?: number;
  /** Told after each layer how many are done. */
  progress?: (done: number, of: number) => void;
}

/** A decoder with fewer key/value heads. */
export interface MergedDecoder {
  /** Its shape. */
  spec: DecoderSpec;
  /** Its weights: those that are merged or refitted are in memory, the others are read from where they were. */
  weights: DecoderWeights;
  /** What each layer kept. */
  report: readonly LayerMergeReport[];
}

const ACTION = "merge KV heads";

/**
 * Gives a decoder fewer key/value heads without training, as {@linkcode mergeKvHeads} does layer by layer. Each layer is
 * refitted to what it did in the original, with the inputs that the layers before it, merged already, really give it; the
 * last projection of its feed-forward layer makes up for what is left.
 *
 * Layers run on the GPU, the refits on the host in float64. Of the calibration's activations the residual streams are held,
 * those of both decoders, and what one layer reads: about `8 tokens (4 dim + hiddenDim)` bytes.
 *
 * @param gpu Where layers run.
 * @param decoder The shape of a decoder, and its weights.
 * @param options How many heads, and the texts to learn from.
 * @returns The decoder with fewer heads, and a report of each layer.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If a size is out of range, heads do not divide, sequences are not equally long, or a token is not of
 * the vocabulary.
 * @throws {CheckpointError} If a weight cannot be read.
 * @throws {GpuWorkError} If the GPU refused some work.
 * @throws {DeviceLostError} If the device is lost.
 *
 * @example
 * ```ts
 * import { Gpu } from "@onehead/attention";
 * import { type DecoderSpec, mergeDecoder, randomWeights } from "@onehead/attention/decoder";
 *
 * const spec: DecoderSpec = {
 *   ...{ vocabSize: 100, dim: 32, hiddenDim: 64, numHeads: 4, numKvHeads: 2, headDim: 8, contextLen: 64 },
 *   layers: [{ rope: {} }],
 *   norm: { kind: "rms", eps: 1e-5 },
 *   ...{ activation: "silu", isGated: true, isParallel: false },
 * };
 * const gpu = await Gpu.open();
 * const decoder = { spec, weights: randomWeights(spec) };
 * const calibration = [[1, 2, 3, 4, 5, 6, 7, 8], [8, 6, 4, 2, 1, 3, 5, 7]];
 * const merged = await mergeDecoder(gpu, decoder, { kvHeads: 1, calibration });
 * const { shape } = await merged.weights.read("layers.0.k.weight");
 * console.log(merged.spec.numKvHeads, shape, merged.report.length); // 1 [8, 32] 1
 * gpu.destroy();
 * ```
 */
export async function mergeDecoder(
  gpu: Gpu,
  decoder: DecoderSource,
  options: MergeDecoderOptions,
): Promise<MergedDecoder> {
  checkGpu(ACTION, gpu);
  checkObjects(ACTION, { decoder, options });
  checkSpec(ACTION, decoder.spec);
  checkWeights(ACTION, decoder.weights);
  const { spec } = decoder;
  const { kvHeads, calibration, rounds = 8, progress } = options;
  checkFewerHeads(ACTION, { from: spec.numKvHeads, to: kvHeads });
  checkInteger(ACTION, "rounds", rounds, 0);
  if (progress !== undefined) checkFunction(ACTION, "progress", progress);
  checkCalibration(calibration, spec);
  const shape = [calibration.length, calibration[0].length, spec.dim];
  const stream = { data: await embedSequences(ACTION, decoder, calibration), shape };
  return await Owned.use(async (owned) => {
    const upload = async (label: string) => owned.keep(await Tensor.upload(gpu, stream, { label }));
    const empty = async (label: string, width: number) =>
      owned.keep(await Tensor.empty(gpu, [...shape.slice(0, 2), width], { label }));
    const merge = new DecoderMerge(gpu, decoder, { kvHeads, rounds }, {
      before: await upload("residual stream before"),
      after: await upload("residual stream after"),
      rows: await empty("rows", spec.dim),
      inside: await empty("inside of feed-forward layers", spec.hiddenDim),
    });
    const report: LayerMergeReport[] = [];
    for (let layer = 0; layer < spec.layers.length; layer++) {
      report.push(await merge.layer(layer));
      progress?.(layer + 1, spec.layers.length);
    }
    return { ...merge.merged, report };
  });
}

function checkCalibration(calibration: readonly (readonly number[])[], spec: DecoderSpec): void {
  const seqLen = calibration?.[0]?.length;
  if (!(seqLen > 0)) {
    throw new TypeError(
      sentence(ACTION, "calibration must be sequences of tokens", { calibration }),
    );
  }
  for (const tokens of calibration) {
    checkTokens(ACTION, tokens, spec.vocabSize);
    if (tokens.length === seqLen && seqLen <= spec.contextLen) continue;
    throw new RangeError(
      sentence(ACTION, "sequences must be of one length, that the model is made for", {
        ...{ seqLen, tokens: tokens.length, contextLen: spec.contextLen },
      }),
    );
  }
}
