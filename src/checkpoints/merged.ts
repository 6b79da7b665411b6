import { checkFunction } from "../base/check.ts";
import type { Gpu } from "../gpu/device.ts";
import type { LayerMergeReport } from "../model/merging/decoder_merge.ts";
import { mergeDecoder, type MergeDecoderOptions } from "../model/merging/merge_decoder.ts";
import { checkCheckpoint, type Checkpoint } from "./checkpoint.ts";

const ACTION = "merge the KV heads of a checkpoint";

/** A checkpoint with fewer key/value heads. */
export interface MergedCheckpoint extends Checkpoint {
  /** What each layer kept. */
  report: readonly LayerMergeReport[];
}

/**
 * Gives a checkpoint fewer key/value heads without training, as {@linkcode mergeDecoder} does: at once, where
 * {@linkcode withPooledKvHeads} pools as weights are read.
 *
 * @param gpu Where layers run.
 * @param checkpoint A decoder; closing either closes its files.
 * @param options How many KV heads, and the texts to learn from.
 * @returns The decoder with fewer KV heads: merged weights are in memory, the others are read from the files.
 * @throws {TypeError} If a value is of the wrong kind.
 * @throws {RangeError} If heads do not divide, sequences are not equally long, or a token is not of the vocabulary.
 * @throws {CheckpointError} If a weight cannot be read.
 * @throws {GpuWorkError} If the GPU refused some work.
 * @throws {DeviceLostError} If the device is lost.
 *
 * @example A multi-query decoder, by what the model itself draws
 * ```ts ignore
 * import { Gpu } from "@onehead/attention";
 * import { openCheckpoint, withMergedKvHeads } from "@onehead/attention/checkpoints";
 * import { Decoder, drawCalibration } from "@onehead/attention/decoder";
 *
 * const gpu = await Gpu.open();
 * const checkpoint = await openCheckpoint("stories260K.bin");
 * const calibration = await drawCalibration(gpu, checkpoint, { begin: [1], sequences: 32 });
 * const { spec, weights, report } = await withMergedKvHeads(gpu, checkpoint, { kvHeads: 1, calibration });
 * const decoder = await Decoder.create(gpu, spec, weights);
 * console.log(report.map(({ keys, values }) => [keys, values]), decoder.cacheBytes);
 * await checkpoint.close();
 * gpu.destroy();
 * ```
 */
export async function withMergedKvHeads(
  gpu: Gpu,
  checkpoint: Checkpoint,
  options: MergeDecoderOptions,
): Promise<MergedCheckpoint> {
  checkCheckpoint(ACTION, checkpoint);
  checkFunction(ACTION, "checkpoint.close", checkpoint.close);
  const merged = await mergeDecoder(gpu, checkpoint, options);
  return { ...checkpoint, ...merged, close: () => checkpoint.close() };
}
